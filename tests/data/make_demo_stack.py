"""Make the bundled demo: a FIB-SEM stack of an electrode, and the labels behind it.

`python tests/data/make_demo_stack.py` writes `demo_stack.tif` and `demo_truth.tif` beside this file. The scene is
known: overlapping ellipsoids (active material), a binder that hugs them (CBD), pore elsewhere. The camera then does
to it what a FIB-SEM does: blur, shading, curtains, charging, flicker, drift, noise, eight bits. Labels drift with
the picture, so both describe the same voxels. All arrays are (z, y, x); y runs down the milled face.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

PORE, CBD, ACTIVE = 0, 1, 2
GREY = np.array([0.20, 0.38, 0.70])
VOXEL_UM = 0.05
SHAPE = (72, 176, 176)
SEED = 2
MARGIN = 10
FRACTION = {CBD: 0.12, ACTIVE: 0.49}

Axis3 = tuple[int, int, int]
Grey = NDArray[np.float64]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Demo:
    """`stack` uint8 grey levels and `truth` uint8 labels, both (z, y, x); `path` is the drift (z, 2) in pixels."""

    stack: Labels
    truth: Labels
    path: Grey


def make(shape: Axis3 = SHAPE, seed: int = SEED, *, diameter: tuple[float, float] = (20.0, 40.0)) -> Demo:
    """Return a stack of `shape` whose particles are `diameter` voxels across; the same seed gives the same arrays."""
    scene_rng, camera_rng = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    field = (shape[0], shape[1] + 2 * MARGIN, shape[2] + 2 * MARGIN)
    labels, grains = electrode(field, scene_rng, diameter)
    grey = ndimage.gaussian_filter(GREY[labels] + texture(labels, grains, scene_rng), 0.6, mode="nearest")
    path = drift(shape[0], camera_rng)
    stack, truth = filmed(grey, labels, path)
    return Demo(quantised(exposed(stack, truth, camera_rng)), truth, path)


def electrode(
    shape: Axis3, rng: np.random.Generator, diameter: tuple[float, float]
) -> tuple[Labels, NDArray[np.int32]]:
    """Return the labels and the number of the particle in each voxel (0 outside particles)."""
    grains = packed(shape, rng, diameter)
    labels = np.where(grains > 0, ACTIVE, PORE).astype(np.uint8)
    labels[binder(grains > 0, rng)] = CBD
    labels = rounded(labels)
    return labels, np.where(labels == ACTIVE, grains, 0)


def packed(shape: Axis3, rng: np.random.Generator, diameter: tuple[float, float]) -> NDArray[np.int32]:
    """Drop ellipsoids at random until they fill their share; the overlap they may have grows as room gets scarce."""
    grains = np.zeros(shape, np.int32)
    filled, number, tries, wanted = 0, 0, 0, FRACTION[ACTIVE] * grains.size
    while filled < wanted:
        tries += 1
        box, inside = ellipsoid(shape, rng, diameter)
        free = inside & (grains[box] == 0)
        if not inside.any() or free.sum() < (0.97 - tries / 20_000) * inside.sum():
            continue
        number += 1
        grains[box][free] = number
        filled += int(free.sum())
    return grains


def ellipsoid(
    shape: Axis3, rng: np.random.Generator, diameter: tuple[float, float]
) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """Return a box of the field and the voxels of a randomly turned, slightly bumpy ellipsoid inside it."""
    radius = rng.uniform(*diameter) / 2
    axes = radius * rng.uniform(0.8, 1.2, 3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    reach = int(np.ceil(1.3 * radius)) + 1
    centre = rng.uniform(-radius, np.array(shape) + radius)
    box = tuple(
        slice(max(0, int(c) - reach), max(0, min(n, int(c) + reach))) for c, n in zip(centre, shape, strict=True)
    )
    points = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), -1) - centre
    local = points @ turn / axes
    bump = 1 + 0.06 * np.sin(3 * local[..., 0] + 2 * local[..., 1]) * np.sin(3 * local[..., 2])
    return box, np.asarray(np.sum(local**2, axis=-1) < bump)


def binder(active: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the CBD: the part of the pore that lies near particles and where a smooth random field is high."""
    near = ndimage.gaussian_filter(active.astype(np.float64), 5.0)
    cloud = standard(ndimage.gaussian_filter(rng.normal(size=active.shape), 5.0))
    score = np.where(active, -np.inf, 4.0 * near + 0.55 * cloud)
    level = np.quantile(score, 1 - 1.45 * FRACTION[CBD])
    return np.asarray(ndimage.binary_opening(score > level, ball(1.9)))


def rounded(labels: Labels) -> Labels:
    """Let each voxel take the commonest label around it: no phase stays thinner than about three voxels."""
    votes = [ndimage.gaussian_filter((labels == phase).astype(np.float32), 1.3) for phase in (PORE, CBD, ACTIVE)]
    return np.asarray(np.argmax(votes, axis=0), np.uint8)


def ball(radius: float) -> NDArray[np.bool_]:
    """Return the voxels within `radius` of the middle one."""
    reach = np.arange(-int(radius), int(radius) + 1)
    z, y, x = np.meshgrid(reach, reach, reach, indexing="ij")
    return np.asarray(z**2 + y**2 + x**2 <= radius**2)


def standard(field: Grey) -> Grey:
    """Return the field with mean 0 and standard deviation 1."""
    return np.asarray((field - field.mean()) / field.std())


def texture(labels: Labels, grains: NDArray[np.int32], rng: np.random.Generator) -> Grey:
    """Return what differs inside a phase: crystal orientation from grain to grain, mottled binder, faint cloud."""
    orientation = rng.normal(0, 0.018, grains.max() + 1)
    orientation[0] = 0.0
    mottle = standard(ndimage.gaussian_filter(rng.normal(size=labels.shape), 1.2))
    return np.asarray(orientation[grains] + np.array([0.008, 0.022, 0.010])[labels] * mottle)


def drift(slices: int, rng: np.random.Generator) -> Grey:
    """Return the position of each slice (y, x) in pixels: a random walk of 0.8 px a slice that a spring holds."""
    path = np.zeros((slices, 2))
    for z in range(1, slices):
        path[z] = 0.97 * path[z - 1] + rng.normal(0, 0.8, 2)
    return np.clip(path, 1 - MARGIN, MARGIN - 1)


def filmed(grey: Grey, labels: Labels, path: Grey) -> tuple[Grey, Labels]:
    """Cut a window from each slice of the field: grey levels at fractions of a pixel, labels at the nearest one."""
    core = slice(MARGIN, -MARGIN)
    window = [
        ndimage.shift(plane, at, order=3, mode="nearest")[core, core] for plane, at in zip(grey, path, strict=True)
    ]
    nearest = [
        np.roll(plane, at, (0, 1))[core, core] for plane, at in zip(labels, np.rint(path).astype(int), strict=True)
    ]
    return np.stack(window), np.stack(nearest)


def exposed(stack: Grey, truth: Labels, rng: np.random.Generator) -> Grey:
    """Return the stack as the detector records it, artefact after artefact."""
    seen = stack + charging(truth, rng)
    seen = seen * (1 + curtains(stack.shape, rng)) * shading(stack.shape)
    seen = flickering(seen, rng)
    return seen + 0.055 * np.sqrt(np.clip(seen, 0.02, None) / 0.4) * rng.normal(size=stack.shape)


def charging(truth: Labels, rng: np.random.Generator) -> Grey:
    """Return the glow of about one slice in eight: pore rims light up and smear along the scan line."""
    glow = np.zeros(truth.shape)
    for z in np.flatnonzero(rng.random(len(truth)) < 0.12):
        rim = ndimage.gaussian_filter((truth[z] == PORE).astype(np.float64), 3) * (truth[z] != PORE)
        patch = ndimage.gaussian_filter(rng.normal(size=truth[z].shape), 18)
        glow[z] = 0.6 * ndimage.gaussian_filter1d(rim * (standard(patch) > 0.6), 5, axis=1)
    return glow


def curtains(shape: tuple[int, ...], rng: np.random.Generator) -> Grey:
    """Return the relative brightness of the stripes that milling leaves: down y, each from its own depth onwards."""
    slices, rows, columns = shape
    fine = ndimage.gaussian_filter(rng.normal(size=(slices, columns)), (2.0, 0.8))
    broad = ndimage.gaussian_filter(rng.normal(size=(slices, columns)), (4.0, 2.5))
    strength = 0.055 * standard(fine) * (rng.random(columns) < 0.6) + 0.035 * standard(broad)
    begin = ndimage.gaussian_filter1d(rng.uniform(-0.4, 0.8, columns), 1.0) * rows
    fade = np.clip((np.arange(rows)[:, None] - begin) / (0.15 * rows), 0, 1)
    return np.asarray(strength[:, None, :] * fade)


def shading(shape: tuple[int, ...]) -> Grey:
    """Return the detector's share of light: less towards the bottom of the trench, and slowly less with time."""
    z, y, x = (np.linspace(-0.5, 0.5, n) for n in shape)
    return np.asarray((1 - 0.06 * z[:, None, None]) * (1 - 0.07 * y[:, None] - 0.03 * x))


def flickering(stack: Grey, rng: np.random.Generator) -> Grey:
    """Return the stack with a gain and an offset of its own in each slice."""
    gain = 1 + rng.normal(0, 0.025, (len(stack), 1, 1))
    return np.asarray(stack * gain + rng.normal(0, 0.010, (len(stack), 1, 1)))


def quantised(stack: Grey) -> Labels:
    """Return eight bits for 0 to 1."""
    return np.asarray(np.rint(255 * np.clip(stack, 0, 1)), np.uint8)


def write(path: Path, volume: Labels) -> None:
    """Write an ImageJ TIFF with its voxel size."""
    spacing = {"axes": "ZYX", "spacing": VOXEL_UM, "unit": "um"}
    tifffile.imwrite(
        path, volume, imagej=True, compression="zlib", compressionargs={"level": 9},
        resolution=(1 / VOXEL_UM, 1 / VOXEL_UM), metadata=spacing,
    )  # fmt: skip


if __name__ == "__main__":
    demo = make()
    here = Path(__file__).parent
    write(here / "demo_stack.tif", demo.stack)
    write(here / "demo_truth.tif", demo.truth)
