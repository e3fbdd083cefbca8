"""Run metrics on a volume, and say beforehand whether they fit the memory."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from porelay_metrics.labels import Labels
from porelay_metrics.params import MetricParams, StreamingParams
from porelay_schemas.base import Axis3, Params, VoxelUm
from porelay_schemas.descriptors import Curve, Descriptor
from porelay_schemas.errors import TooLarge

Found = tuple[tuple[Descriptor, ...], tuple[Curve, ...]]


class Metric(Protocol):
    """A method with its parameters: called with labels, phases and voxel size."""

    @property
    def name(self) -> str:
        """The name that plans use."""

    @property
    def params(self) -> Params:
        """Its validated parameters."""

    @property
    def function(self) -> Callable[..., Any]:
        """The method itself."""


def measure(labels: Labels, metric: Metric, voxel_um: VoxelUm) -> Found:
    """Return the numbers and the curves that a metric finds in a volume."""
    results = metric.function(labels, labels.phases, voxel_um, params=metric.params)
    curves = tuple(result for result in results if isinstance(result, Curve))
    return tuple(result for result in results if not isinstance(result, Curve)), curves


def needed(metric: Metric, shape: Axis3, phases: int) -> int:
    """Return the bytes a metric says it needs, 0 where it streams."""
    params = metric.params
    if isinstance(params, StreamingParams):
        return 0
    return (
        params.bytes_needed(shape, phases)
        if isinstance(params, MetricParams)
        else MetricParams().bytes_needed(shape, phases)
    )


def fitting(metrics: Sequence[Metric], shape: Axis3, phases: int, max_bytes: int) -> tuple[list[Metric], list[str]]:
    """Return the metrics that fit the memory, and what to say about the others.

    Raises TooLarge for a metric that does not fit and may not be skipped.
    """
    fits, skipped = [], []
    for metric in metrics:
        bytes_needed = needed(metric, shape, phases)
        if bytes_needed <= max_bytes:
            fits.append(metric)
            continue
        size = " x ".join(str(length) for length in shape)
        what = f"a volume of {size} voxels needs {_amount(bytes_needed)}, the limit is {_amount(max_bytes)}"
        if not getattr(metric.params, "skip_if_too_large", False):
            raise TooLarge(
                f"metrics.{metric.name}: {what}. Raise it with --max-memory, use a smaller volume (preprocess: crop or "
                "resample), or leave the metric out with skip_if_too_large: true."
            )
        skipped.append(f"{metric.name}: not measured: {what}. Raise it with --max-memory.")
    return fits, skipped


def _amount(size: int) -> str:
    return f"{size / 2**30:.2f} GiB of memory" if size >= 2**28 else f"{size / 2**20:.1f} MiB of memory"
