"""Real against generated: numbers, curves, and how far to trust them.

Samples are whole volumes, never voxels; distributions are compared by their values, never by heights of histograms.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from porelay_schemas.descriptors import Comparison, Curve, Definition, Descriptor, Difference, Distance, Measured

WASSERSTEIN = Definition(
    id="wasserstein_1.v1",
    text="Wasserstein-1 distance between the two sets of weighted samples: how far they must be moved on average",
)
GAP = Definition(
    id="mean_absolute_gap.v1", text="mean over the common lags of the absolute difference of the two curves"
)
FEW_SAMPLES = 5
FEW_LENGTHS = 25
"""Below so many correlation lengths an edge, D_eff of equal pieces of one random field scatters by 9 % and more."""


def compare(
    real: Measured, curves: Sequence[Curve], generated: Sequence[Measured], others: Sequence[Sequence[Curve]]
) -> Comparison:
    """Return differences, distances and notes; `generated` has at least one volume, `others` its curves."""
    return Comparison(
        differences=tuple(_difference(number, generated) for number in real.descriptors),
        distances=tuple(_distance(curve, others) for curve in curves),
        notes=tuple(notes(real, generated)),
    )


def _difference(real: Descriptor, generated: Sequence[Measured]) -> Difference:
    found = [number for number in (volume.find(*real.key) for volume in generated) if number is not None]
    mean, spread, samples = averaged(found)
    known = mean is not None and real.value is not None
    absolute = mean - real.value if mean is not None and real.value is not None else None
    return Difference(
        name=real.name,
        phases=real.phases,
        axis=real.axis,
        unit=real.unit,
        real=real.value,
        generated=mean,
        spread=spread,
        samples=samples,
        absolute=absolute,
        relative=absolute / abs(real.value) if absolute is not None and real.value else None,
        note="; ".join(filter(None, (_percolation(found), "" if known else _why(real, found)))),
    )


def averaged(found: Sequence[Descriptor]) -> tuple[float | None, float | None, int]:
    """Return mean, sample standard deviation and number of the values.

    A harmonic mean takes a phase that does not percolate as an infinite value, and its spread to first order.
    """
    if any(number.mean == "harmonic" for number in found):
        return _harmonic(found)
    values = [number.value for number in found if number.value is not None]
    mean = float(np.mean(values)) if values else None
    return mean, float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values)


def _harmonic(found: Sequence[Descriptor]) -> tuple[float | None, float | None, int]:
    inverse = [
        1 / number.value if number.value else 0.0 for number in found if number.value or number.percolates is False
    ]
    mean = float(np.mean(inverse)) if inverse else 0.0
    if mean == 0:
        return None, None, len(inverse)
    return 1 / mean, float(np.std(inverse, ddof=1)) / mean**2 if len(inverse) > 1 else None, len(inverse)


def _percolation(found: Sequence[Descriptor]) -> str:
    told = [number.percolates for number in found if number.percolates is not None]
    return f"percolates in {sum(told)} of {len(told)} generated volumes" if told and not all(told) else ""


def _why(real: Descriptor, found: Sequence[Descriptor]) -> str:
    if real.value is None:
        return f"real: {real.note or 'no value'}"
    return f"generated: {found[0].note or 'no value'}" if found else "generated: not measured"


def _distance(real: Curve, others: Sequence[Sequence[Curve]]) -> Distance:
    matching = [next((curve for curve in curves if curve.key == real.key), None) for curves in others]
    measure = wasserstein if real.kind == "distribution" else gap
    values = tuple(measure(real, curve) if curve is not None else None for curve in matching)
    known = [value for value in values if value is not None]
    return Distance(
        name="wasserstein_1" if real.kind == "distribution" else "mean_absolute_gap",
        curve=real.name,
        phases=real.phases,
        axis=real.axis,
        unit=real.x_unit if real.kind == "distribution" else real.y_unit,
        values=values,
        mean=float(np.mean(known)) if known else None,
        definition=WASSERSTEIN if real.kind == "distribution" else GAP,
    )


def wasserstein(a: Curve, b: Curve) -> float:
    """Return the Wasserstein-1 distance of two distributions, in the unit of x."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(a.x, b.x, a.y, b.y))


def gap(a: Curve, b: Curve) -> float | None:
    """Return the mean absolute difference of two functions where both are known, None where they are nowhere."""
    low, high = max(a.x[0], b.x[0]), min(a.x[-1], b.x[-1])
    x = np.unique([lag for lag in (*a.x, *b.x) if low <= lag <= high])
    if x.size < 2:
        return None
    difference = np.abs(np.interp(x, a.x, a.y) - np.interp(x, b.x, b.y))
    return float((difference[1:] + difference[:-1]) @ np.diff(x) / 2 / (x[-1] - x[0]))


def notes(real: Measured, generated: Sequence[Measured]) -> list[str]:
    """Return what a reader must know before trusting the comparison."""
    found = []
    if len(generated) < FEW_SAMPLES:
        volumes = "one volume" if len(generated) == 1 else f"{len(generated)} volumes"
        found.append(
            f"Few samples: {volumes} generated. The spread tells nothing yet about what a further sample would give; "
            f"draw at least {FEW_SAMPLES}, better 20."
        )
    if flat(real):
        found.append(
            "The real volume is a single image. In a plane a material percolates less and conducts worse than in "
            "space: compare volume fractions, correlations and chords with it, not connectivity or transport."
        )
    sizes = sorted({prod(volume.volume.shape) for volume in (real, *generated)})
    if len(sizes) > 1:
        found.append(
            f"Windows of different size ({sizes[0]:,} and {sizes[-1]:,} voxels): smaller ones scatter more, and in "
            "them thin phases percolate more often."
        )
    if any(volume.volume.voxel_um != real.volume.voxel_um for volume in generated):
        found.append("Voxel sizes differ: Euler densities and areas of rough surfaces depend on them.")
    return found + [
        note for volume, what in ((real, "real"), (generated[0], "generated")) for note in _window(volume, what)
    ]


def flat(measured: Measured) -> bool:
    """Return whether a volume is one voxel thick: a single image."""
    return 1 in measured.volume.shape


def _window(measured: Measured, what: str) -> list[str]:
    """Judge a window by its shortest edge in correlation lengths."""
    lengths = {
        number.phases[0]: number.value
        for number in measured.descriptors
        if number.name == "correlation_length" and number.value
    }
    volume = measured.volume
    edges = [size * edge for size, edge in zip(volume.shape, volume.voxel_um, strict=True) if size > 1]
    if not lengths or not edges:
        return []
    phase = max(lengths, key=lambda name: lengths[name])
    count = min(edges) / lengths[phase]
    if count >= FEW_LENGTHS:
        return []
    return [
        f"Small window: the shortest edge of the {what} volume, {min(edges):.3g} µm, is {count:.0f} correlation "
        f"lengths of {phase} ({lengths[phase]:.2g} µm). Below {FEW_LENGTHS}, effective diffusivities of equal pieces "
        "of one material differ by 10 % and more; differences of that size prove nothing."
    ]
