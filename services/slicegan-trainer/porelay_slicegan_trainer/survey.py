"""Whether data suit this way of learning: measured before the training, told in the report, never refused."""

import numpy as np
from numpy.typing import NDArray

from porelay_nets import geometry
from porelay_schemas.section import Check
from porelay_slicegan_trainer.data import PLANE, Images
from porelay_slicegan_trainer.descriptors import Descriptors, describe
from porelay_slicegan_trainer.methods.slicegan import SliceganParams

CORRELATED = 0.05
MOST_STRETCH = 1.3
MOST_DRIFT_SIGMAS = 4.0
LEAST_DRIFT = 0.05
SLABS = 4


def survey(classes: Images, params: SliceganParams) -> tuple[Check, ...]:
    """Check correlation length, stationarity and isotropy of label images."""
    measured = describe(classes, params.patch_edge - 1)
    length = correlation_length(measured)
    found = [_long_range(length, params), _drifting(classes, length)]
    if params.mode == "isotropic":
        found.append(_directed(measured))
    return tuple(found)


def covariance(measured: Descriptors) -> NDArray[np.float64]:
    """Return the normalised covariance (axes, phases, lags): 1 at lag 0, 0 where voxels are independent."""
    squared = (measured.fractions**2)[None, :, None]
    spread = (measured.fractions - measured.fractions**2)[None, :, None]
    return np.asarray((measured.s2 - squared) / np.maximum(spread, 1e-12))


def correlation_length(measured: Descriptors) -> int:
    """Return the first lag in voxels at which every phase is uncorrelated (5 %), on the mean of the axes."""
    mean = np.nanmean(covariance(measured), axis=0)
    lags = [np.flatnonzero(curve <= CORRELATED) for curve in mean]
    return max(int(found[0]) if found.size else mean.shape[1] for found in lags)


def _long_range(length: int, params: SliceganParams) -> Check:
    learnable = geometry.reach(len(params.generator_widths)) // 2
    most = min(params.patch_edge // 3, learnable)
    scale = most / length
    return Check(
        name="correlation length",
        value=float(length),
        threshold=f"at most {most} voxels",
        verdict="ok" if length <= most else "warn",
        meaning=(
            "Voxels this far apart are independent; a patch should be three times as long, and the generator cannot "
            f"learn correlations beyond {learnable} voxels."
            + ("" if length <= most else f" Resample by about {scale:.2f}, or use a larger patch_edge.")
        ),
    )


def _directed(measured: Descriptors) -> Check:
    ratio = max(_stretch(curves) for curves in covariance(measured).swapaxes(0, 1))
    return Check(
        name="isotropy",
        value=round(ratio, 2),
        threshold=f"at most {MOST_STRETCH}",
        verdict="ok" if ratio <= MOST_STRETCH else "warn",
        meaning=(
            "How much longer the features are along one axis than along another. Isotropic training makes them alike"
            + ("." if ratio <= MOST_STRETCH else ": set mode to anisotropic to keep what the material has.")
        ),
    )


def _stretch(curves: NDArray[np.float64]) -> float:
    """Return the largest ratio of the lags at which the covariance (axes, lags) of a phase has fallen to one half."""
    lags = [_half_lag(curve) for curve in curves if not np.isnan(curve).any()]
    return max(lags) / min(lags)


def _half_lag(curve: NDArray[np.float64]) -> float:
    below = np.flatnonzero(curve <= 0.5)
    if not below.size:
        return float(len(curve))
    lag = int(below[0])
    return float(lag - 1 + (curve[lag - 1] - 0.5) / (curve[lag - 1] - curve[lag]))


def _drifting(classes: Images, length: int) -> Check:
    drifts = [_drift(classes, axis, length) for axis in classes.directions]
    flat = [drift for found in drifts for drift in found]
    axis, sigmas, change = max(flat, key=lambda drift: drift[1], default=("", 0.0, 0.0))
    graded = sigmas > MOST_DRIFT_SIGMAS and change > LEAST_DRIFT
    return Check(
        name="stationarity",
        value=round(float(sigmas), 2),
        threshold=f"at most {MOST_DRIFT_SIGMAS:g} standard deviations",
        verdict="warn" if graded else "ok",
        meaning=(
            f"Volume fractions of four slabs along {axis or 'an axis'} differ by up to {change:.3f} from their mean. "
            + (
                "The material is graded or layered; the generator makes it alike everywhere. Crop one layer."
                if graded
                else "The material is alike everywhere, as the generator will make it."
            )
        ),
    )


def _drift(classes: Images, across: str, length: int) -> list[tuple[str, float, float]]:
    """Return (axis, largest deviation of a slab in standard deviations, the same in fractions) for each long axis.

    The standard deviation of a slab's mean comes from blocks, of about a correlation length, inside the slabs.
    """
    stack = classes.stacks[across]  # type: ignore[index]
    names = (across, *PLANE[across])  # type: ignore[index]
    found = []
    for phase in range(classes.outputs):
        blocks = _block_means(stack == phase, max(length, 8))
        for place, name in enumerate(names):
            slabs = np.array_split(blocks, SLABS, axis=place)
            if blocks.shape[place] < SLABS or slabs[0].size < 4:
                continue
            sigma = np.sqrt(np.mean([part.var(ddof=1) for part in slabs]) / slabs[0].size)
            change = max(abs(part.mean() - blocks.mean()) for part in slabs)
            found.append((name, float(change / max(sigma, 1e-9)), float(change)))
    return found


def _block_means(field: NDArray[np.bool_], edge: int) -> NDArray[np.float64]:
    """Return the means of a field (k, rows, columns) over blocks of about `edge` voxels."""
    means: NDArray[np.float64] = field.astype(np.float64)
    for place, size in enumerate(field.shape):
        starts = np.linspace(0, size, max(size // edge, min(size, SLABS), 1) + 1).astype(int)[:-1]
        widths = np.diff(np.append(starts, size))
        shape = [-1 if axis == place else 1 for axis in range(3)]
        means = np.add.reduceat(means, starts, axis=place) / widths.reshape(shape)
    return means
