"""The middle image of a plane: a volume in its own frame, whose slices lie across y or x of the material."""

from collections.abc import Sequence

from porelay_kit.figures.ortho import Sliceable
from porelay_kit.figures.panels import Panel
from porelay_schemas.plan import Phase
from porelay_schemas.planes import ROWS_COLUMNS, PlaneAxis


def plane_panel(title: str, volume: Sliceable, axis: PlaneAxis, phases: Sequence[Phase] | None = None) -> Panel:
    """Return the middle slice of a volume (slices, rows, columns) of a plane, its axes named in the title."""
    middle = volume.shape[0] // 2
    rows, columns = ROWS_COLUMNS[axis]
    return Panel(f"{title} ({columns} →  {rows} ↓)", volume[middle : middle + 1][0], phases)
