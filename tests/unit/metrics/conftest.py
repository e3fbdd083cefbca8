"""Media with known answers."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_schemas.plan import Phase

REPOSITORY = Path(__file__).parents[3]
Mask = NDArray[np.bool_]


@pytest.fixture
def phases() -> Callable[[int], tuple[Phase, ...]]:
    """Return `phases(count)`: phases a, b, c, ..."""
    return lambda count: tuple(Phase(name="abcdefgh"[index], colour="#123456") for index in range(count))


@pytest.fixture
def shared() -> Callable[[str], NDArray[np.uint8]]:
    """Return `shared(name)`: a TIFF of the shared data folder; skips where there is none."""
    import tifffile

    def read(name: str) -> NDArray[np.uint8]:
        folder = Path(os.environ.get("PORELAY_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
        if not (folder / name).exists():
            pytest.skip(f"{name} is not in {folder}; set PORELAY_TEST_DATA")
        return np.asarray(tifffile.imread(folder / name))

    return read


@pytest.fixture
def blobs() -> Callable[..., Mask]:
    """Return `blobs(shape, fraction, seed=0, sigma=2)`: a thresholded Gaussian field."""
    from scipy.ndimage import gaussian_filter

    def make(shape: tuple[int, int, int], fraction: float, seed: int = 0, sigma: float = 2) -> Mask:
        field = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma)
        return np.asarray(field > np.quantile(field, 1 - fraction))

    return make


@pytest.fixture
def ball() -> Callable[..., Mask]:
    """Return `ball(shape, radius, voxel_um=(1, 1, 1))`: true within `radius` um of the middle."""

    def make(shape: tuple[int, int, int], radius: float, voxel_um: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Mask:
        z, y, x = (((np.arange(size) + 0.5) - size / 2) * edge for size, edge in zip(shape, voxel_um, strict=True))
        return np.asarray(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x**2 < radius**2)

    return make


@pytest.fixture
def spheres() -> Callable[..., tuple[Mask, float]]:
    """Return `spheres(size, radius, density, seed=0)`: what overlapping spheres leave, and its true area per volume.

    The area is counted on the spheres themselves, by points of their surfaces that no other sphere covers.
    """
    from scipy.spatial import cKDTree

    def make(size: int, radius: float, density: float, seed: int = 0) -> tuple[Mask, float]:
        rng = np.random.default_rng(seed)
        wide = size + 2 * radius
        centres = rng.uniform(-radius, size + radius, (rng.poisson(density * wide**3 / (4 / 3 * np.pi * radius**3)), 3))
        void = np.ones((size, size, size), bool)
        reach = int(radius) + 1
        for centre in centres:
            box = tuple(slice(max(int(at) - reach, 0), min(int(at) + reach + 1, size)) for at in centre)
            z, y, x = (np.arange(part.start, part.stop) + 0.5 - at for part, at in zip(box, centre, strict=True))
            void[box] &= z[:, None, None] ** 2 + y[None, :, None] ** 2 + x**2 > radius**2
        points = rng.standard_normal((len(centres), 400, 3))
        points = (centres[:, None] + radius * points / np.linalg.norm(points, axis=2, keepdims=True)).reshape(-1, 3)
        points = points[((points > 0) & (points < size)).all(1)]
        covering = cKDTree(centres).query_ball_point(points, radius * (1 - 1e-6), return_length=True)
        return void, float((covering == 0).sum()) / 400 * 4 * np.pi * radius**2 / size**3

    return make
