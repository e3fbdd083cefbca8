"""Gaussian mixture."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from porelay_schemas.base import Axis3, Params
from porelay_schemas.errors import BadInput
from porelay_schemas.frames import Source
from porelay_schemas.plan import Phase
from porelay_schemas.segmenters import GreyClass, Model, segmenter, whole
from porelay_segment import histogram, mixture, ordering, thresholds
from porelay_segment.features import Describer
from porelay_segment.regions import Region, marked
from porelay_segment.sampling import of_region, sampled

SURE = 0.9
SLICES_AT_ONCE = 32
Scale = Annotated[float, Field(ge=0, le=20)]


class GmmParams(Params):
    """What voxels are described by, and what the phases are learned from."""

    scales_voxels: tuple[Scale, ...] = Field(
        default=(0.0,),
        min_length=1,
        max_length=4,
        description="Gaussian blurs whose grey levels describe a voxel: sigmas, in voxels; 0: unblurred. Several, or "
        "wide ones, need regions: alone, the mixture then makes a phase of the blurred edges",
    )
    gradient: bool = Field(
        default=False, description="whether the steepness of the grey levels describes it too; for use with regions"
    )
    regions: dict[str, tuple[Region, ...]] = Field(
        default={},
        description="boxes marked as a phase, each a component of its own: name -> [[z0, z1, y0, y1, x0, x1], ...], in "
        "voxels of this stage's input; none: learned without",
    )
    order: tuple[str, ...] | None = Field(
        default=None, description="without regions: names of the phases from dark to bright; default: the plan's order"
    )
    priors: Literal["estimated", "equal"] = Field(
        default="estimated", description="how common phases are held to be before looking: as in the volume, or equally"
    )
    least_sigma: float = Field(
        default=1.0, gt=0, le=64, description="spread that every phase has at least, in 1/255 of the grey range"
    )
    samples: int = Field(default=200_000, ge=1000, le=2_000_000, description="voxels that are learned from, at most")
    seed: int = Field(default=0, ge=0, description="seed of the choice of samples")


class Components(Model):
    """The mixture, and the label of each of its components."""

    labels: tuple[int, ...]
    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    covariances: tuple[tuple[tuple[float, ...], ...], ...]

    @property
    def mixture(self) -> mixture.Mixture:
        """The same as arrays."""
        return mixture.Mixture(np.array(self.weights), np.array(self.means), np.array(self.covariances))


def describer(params: GmmParams) -> Describer:
    """Return what turns grey levels into features."""
    return Describer(params.scales_voxels, params.gradient)


def halo(params: GmmParams) -> Axis3:
    """Return how far the features look."""
    return describer(params).halo


def learn(source: Source, phases: Sequence[Phase], params: GmmParams) -> Components:
    """Learn the mixture of a bounded sample; raise BadInput where it has no contrast or regions are wrong."""
    values = sampled(source, describer(params), params.samples, params.seed)
    low, high = float(values[0].min()), float(values[0].max())
    if not np.isfinite(values).all() or low == high:
        raise BadInput(
            f"gmm: the sampled voxels have grey level {low:g} only, wanted at least two levels to tell phases apart. "
            "Look at the dropped stack; it may be empty, saturated or hold values that are not finite."
        )
    floor = (params.least_sigma * grey_range(source, high - low) / 255) ** 2 * np.eye(len(values))
    if params.regions:
        labels, found, notes = from_regions(source, phases, params, values, floor)
    else:
        labels, found, notes = unsupervised(values, phases, params, floor)
    if params.priors == "equal":
        found = evenly_weighted(found, labels)
    return described(found, labels, values, phases, notes)


def grey_range(source: Source, spread: float) -> float:
    """Return the range of grey levels that 1/255 is meant of: the type's for integers, the data's for others."""
    dtype = np.dtype(source.dtype)
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else spread


Learned = tuple[tuple[int, ...], mixture.Mixture, tuple[str, ...]]


def unsupervised(
    values: NDArray[np.float64], phases: Sequence[Phase], params: GmmParams, floor: NDArray[np.float64]
) -> Learned:
    """Start from the Otsu classes of the smoothest feature; the darkest component is the darkest phase."""
    smoothest = values[describer(params).smoothest]
    levels = thresholds.multi_otsu(histogram.counted(lambda: [smoothest], "gmm", smoothed=True), len(phases))
    found, converged = mixture.learn(values, np.digitize(smoothest, levels), floor)
    bright = np.argsort(np.argsort(found.means[:, describer(params).smoothest]))
    order = ordering.dark_to_bright(phases, params.order, "gmm")
    notes = () if converged else ("The mixture had not settled when learning ended; check the picture.",)
    return tuple(order[rank] for rank in bright), found, notes


def from_regions(
    source: Source,
    phases: Sequence[Phase],
    params: GmmParams,
    values: NDArray[np.float64],
    floor: NDArray[np.float64],
) -> Learned:
    """Make each marked box a component, then estimate how common the components are in the volume."""
    boxed = marked(params.regions, phases, source.shape)
    found = []
    for _, box in boxed:
        inside = of_region(source, box, describer(params), params.samples)
        found.append(mixture.maximised(inside, np.ones((1, inside.shape[1])), floor))
    together = mixture.Mixture(
        np.full(len(found), 1 / len(found)),
        np.concatenate([each.means for each in found]),
        np.concatenate([each.covariances for each in found]),
    )
    return tuple(label for label, _ in boxed), mixture.reweighted(together, values), ()


def evenly_weighted(found: mixture.Mixture, labels: Sequence[int]) -> mixture.Mixture:
    """Return the mixture with all phases equally common, their components in proportion."""
    each = np.array(labels)
    total = np.array([found.weights[each == label].sum() for label in each])
    return mixture.Mixture(found.weights / total / len(set(labels)), found.means, found.covariances)


def described(
    found: mixture.Mixture,
    labels: Sequence[int],
    values: NDArray[np.float64],
    phases: Sequence[Phase],
    notes: tuple[str, ...],
) -> Components:
    """Return the model with what the report shows of it."""
    share, _ = mixture.posteriors(mixture.scores(found, values))
    each = np.array(labels)
    of_phase = np.stack([share[each == label].sum(axis=0) for label in range(len(phases))])
    classes = tuple(_class(phase.name, part, values[0]) for phase, part in zip(phases, of_phase, strict=True))
    return Components(
        classes=classes,
        ambiguous=float((of_phase.max(axis=0) < SURE).mean()),
        ambiguous_means=f"the likeliest phase is less than {SURE:.0%} sure",
        by_grey_level=True,
        notes=notes,
        labels=tuple(labels),
        weights=tuple(found.weights.tolist()),
        means=tuple(tuple(row) for row in found.means.tolist()),
        covariances=tuple(tuple(tuple(row) for row in matrix) for matrix in found.covariances.tolist()),
    )


def _class(name: str, part: NDArray[np.float64], grey: NDArray[np.float64]) -> GreyClass:
    total = max(float(part.sum()), 1e-12)
    mean = float((part * grey).sum() / total)
    sigma = float(np.sqrt((part * np.square(grey - mean)).sum() / total))
    return GreyClass(phase=name, share=min(total / grey.size, 1.0), mean=mean, sigma=sigma)


def label(grey: NDArray[Any], model: Components, params: GmmParams) -> NDArray[np.uint8]:
    """Give each voxel of a block its likeliest phase, some slices at a time."""
    reach = halo(params)[0]
    out = np.empty(grey.shape, np.uint8)
    for z in range(0, grey.shape[0], SLICES_AT_ONCE):
        first, end = max(z - reach, 0), min(z + SLICES_AT_ONCE, grey.shape[0])
        part = describer(params)(grey[first : end + reach])
        for at in range(z, end):
            out[at] = likeliest(part[:, at - first], model)
    return out


def likeliest(values: NDArray[np.float32], model: Components) -> NDArray[np.uint8]:
    """Return the label of the likeliest phase for features (f, y, x)."""
    score = mixture.scores(model.mixture, values)
    best = np.full(values.shape[1:], -np.inf, np.float32)
    out = np.zeros(values.shape[1:], np.uint8)
    for number in sorted(set(model.labels)):
        of_phase = [line for line, label_ in zip(score, model.labels, strict=True) if label_ == number]
        total = of_phase[0]
        for line in of_phase[1:]:
            total = np.logaddexp(total, line)
        better = total > best
        best[better] = total[better]
        out[better] = number
    return out


@segmenter(fit=learn, apply=label, halo=halo, places=lambda params: bool(params.regions))
def gmm(grey: NDArray[Any], phases: Sequence[Phase], params: GmmParams) -> NDArray[np.uint8]:
    """Give each voxel its likeliest phase under a Gaussian mixture, learned from marked boxes or from the volume alone.

    `grey` (z, y, x) of any dtype; labels uint8 of the same shape. The likelihood is the full one: Mahalanobis distance,
    log determinant and prior. Raises BadInput for a single grey level, or regions that are wrong.
    """
    return whole(gmm, grey, phases, params)
