"""What all metrics let the user choose, and how much memory they say they need."""

from math import prod

from pydantic import Field

from porelay_schemas.base import Axis3, Params

BYTES_PER_VOXEL = 16


class MetricParams(Params):
    """Parameters of a metric that holds the whole volume. Override `bytes_needed` where 16 bytes a voxel are wrong."""

    skip_if_too_large: bool = Field(
        default=False, description="leave the metric out, and say so, where it does not fit the memory; else refuse"
    )

    def bytes_needed(self, shape: Axis3, phases: int) -> int:
        """Return the peak memory in bytes for a volume (z, y, x)."""
        return BYTES_PER_VOXEL * prod(shape)


class StreamingParams(Params):
    """Parameters of a metric that reads block by block, whatever the volume's size."""
