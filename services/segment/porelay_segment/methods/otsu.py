"""Multi-level Otsu thresholds."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Axis3, Params
from porelay_schemas.frames import Source
from porelay_schemas.plan import Phase
from porelay_schemas.segmenters import GreyClass, Model, segmenter, whole
from porelay_segment import histogram, ordering, thresholds
from porelay_segment.boxes import boxes, widened

CLOSE = 0.1


class OtsuParams(Params):
    """Which phase is darker than which, and how much noise is smoothed away first."""

    order: tuple[str, ...] | None = Field(
        default=None, description="names of the phases from dark to bright; default: the plan's order"
    )
    smooth_sigma_voxels: float = Field(
        default=0, ge=0, le=20, description="Gaussian blur before thresholding: sigma, in voxels; 0: none"
    )


class Thresholds(Model):
    """Thresholds, and the label of each class from dark to bright."""

    labels: tuple[int, ...]


def halo(params: OtsuParams) -> Axis3:
    """Return how far the blur reaches."""
    reach = int(4 * params.smooth_sigma_voxels + 0.5)
    return reach, reach, reach


def smoothed(grey: NDArray[Any], params: OtsuParams) -> NDArray[Any]:
    """Return the grey levels that are compared with the thresholds."""
    if params.smooth_sigma_voxels == 0:
        return grey
    from scipy.ndimage import gaussian_filter

    result: NDArray[Any] = gaussian_filter(grey, params.smooth_sigma_voxels, output=np.float32, mode="reflect")
    return result


def find_thresholds(source: Source, phases: Sequence[Phase], params: OtsuParams) -> Thresholds:
    """Count the grey levels and split them; raise BadInput where they do not suffice."""
    labels = ordering.dark_to_bright(phases, params.order, "otsu")
    found = histogram.counted(_pieces(source, params), "otsu", smoothed=params.smooth_sigma_voxels > 0)
    levels = thresholds.multi_otsu(found, len(phases))
    classes = class_statistics(found, levels, [phases[label].name for label in labels])
    return Thresholds(
        thresholds=levels,
        classes=tuple(classes[labels.index(label)] for label in range(len(phases))),
        ambiguous=close_calls(found, levels, [each.mean for each in classes]),
        ambiguous_means="grey level within a tenth of the gap between two phases' means about their threshold",
        by_grey_level=True,
        labels=labels,
    )


def _pieces(source: Source, params: OtsuParams) -> Callable[[], Iterator[NDArray[Any]]]:
    def pieces() -> Iterator[NDArray[Any]]:
        for box in boxes(source.shape):
            wide, core = widened(box, halo(params), source.shape)
            yield smoothed(source[wide], params)[core]

    return pieces


def class_statistics(found: histogram.Histogram, levels: Sequence[float], names: Sequence[str]) -> list[GreyClass]:
    """Return share, mean and deviation of each class, dark to bright."""
    member = np.digitize(found.centres, levels)
    total, classes = found.counts.sum(), []
    for number, name in enumerate(names):
        grey, count = found.centres[member == number], found.counts[member == number]
        mean = float((grey * count).sum() / count.sum())
        sigma = float(np.sqrt((np.square(grey - mean) * count).sum() / count.sum()))
        classes.append(GreyClass(phase=name, share=float(count.sum() / total), mean=mean, sigma=sigma))
    return classes


def close_calls(found: histogram.Histogram, levels: Sequence[float], means: Sequence[float]) -> float:
    """Return the share of voxels near a threshold."""
    gaps = zip(levels, means, means[1:], strict=False)
    return sum(found.within(t - CLOSE * (high - low), t + CLOSE * (high - low)) for t, low, high in gaps)


def label(grey: NDArray[Any], model: Thresholds, params: OtsuParams) -> NDArray[np.uint8]:
    """Label a block by its thresholds."""
    table = np.array(model.labels, np.uint8)
    values = smoothed(grey, params)
    if values.dtype == np.uint8:
        return np.asarray(table[np.digitize(np.arange(256), model.thresholds)][values])
    return np.asarray(table[np.digitize(values, np.array(model.thresholds, np.float32)).astype(np.uint8)])


@segmenter(fit=find_thresholds, apply=label, halo=halo)
def otsu(grey: NDArray[Any], phases: Sequence[Phase], params: OtsuParams) -> NDArray[np.uint8]:
    """Split the grey levels at the thresholds that leave the least variance within each phase.

    `grey` (z, y, x) of any dtype; labels uint8 of the same shape. One class for each phase. Raises BadInput for a
    single grey level, or fewer levels than phases. Otsu 1979, IEEE Trans. SMC 9, 62.
    """
    return whole(otsu, grey, phases, params)
