"""The picture of the property fields."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from porelay_comsol_bridge.recipe import VoxelField
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.plan import Phase
from porelay_schemas.section import Figure


class Labels(Protocol):
    """A label volume (z, y, x) that is read by slicing."""

    @property
    def shape(self) -> Axis3:
        """Voxels along (z, y, x)."""

    @property
    def voxel_um(self) -> VoxelUm:
        """Edges of a voxel along (z, y, x)."""

    def __getitem__(self, box: Any, /) -> NDArray[Any]: ...


def fields_png(path: Path, fields: Sequence[VoxelField], volume: Labels, phases: tuple[Phase, ...]) -> Figure:
    """Draw the phases and each field on the middle slice (y, x)."""
    from porelay_kit import figures

    middle = volume.shape[0] // 2
    labels = np.asarray(volume[middle : middle + 1, :, :])[0]
    panels = [figures.Panel("phases", labels, phases=phases)]
    panels += [figures.Panel(_title(field), _steps(field)[labels]) for field in fields if field.unit]
    _, dy, dx = volume.voxel_um
    figures.panels_png(path, panels, voxel_um=(dy, dx))
    caption = (
        f"Property fields of the package on the middle slice (z = {middle}); the values above each picture go from "
        "black to white in even steps."
    )
    return Figure(file=path.name, caption=caption, wide=True)


def _steps(field: VoxelField) -> NDArray[np.float32]:
    """Return the rank of each phase's value, so that a small value is seen beside a large one."""
    return np.searchsorted(sorted(set(field.by_phase)), field.by_phase).astype(np.float32)


def _title(field: VoxelField) -> str:
    values = ", ".join(f"{value:.3g}" for value in sorted(set(field.by_phase)))
    return f"{field.about}: {values} {field.unit.replace('^2', '²')}"
