"""Boxes that a person has marked as one phase."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from porelay_schemas.base import Axis3
from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.frames import Box
from porelay_schemas.plan import Phase

At = Annotated[int, Field(ge=0)]
Region = tuple[At, At, At, At, At, At]
"""First and end voxel along z, y and x: (z0, z1, y0, y1, x0, x1)."""

Regions = Mapping[str, Sequence[Region]]


def marked(regions: Regions, phases: Sequence[Phase], shape: Axis3) -> list[tuple[int, Box]]:
    """Return (label, box) of each region; raise BadInput for an unknown phase, one without region, a box outside."""
    names = [phase.name for phase in phases]
    for name in regions:
        if name not in names:
            raise BadInput(f"gmm.regions: no phase of the plan is called {name!r}. {nearest(name, names)}")
    for name in names:
        if not regions.get(name):
            raise BadInput(
                f"gmm.regions: phase {name!r} has no region, wanted at least one for each of {', '.join(names)}. "
                "Mark a box that shows it, or leave regions out to learn without any."
            )
    return [(names.index(name), _box(name, region, shape)) for name in names for region in regions[name]]


def _box(name: str, region: Region, shape: Axis3) -> Box:
    ends = list(zip(region[0::2], region[1::2], shape, strict=True))
    if not all(0 <= first < end <= size for first, end, size in ends):
        raise BadInput(
            f"gmm.regions.{name}: got {list(region)}, wanted [z0, z1, y0, y1, x0, x1] with first < end inside the "
            f"volume of {shape} voxels (z, y, x). Correct the box; preprocessing may have cropped the volume."
        )
    z, y, x = (slice(first, end) for first, end, _ in ends)
    return z, y, x
