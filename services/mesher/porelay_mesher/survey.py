"""All that is measured on the meshes, once, for the gate, `mesh.json` and the report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porelay_mesher import conformity, crofton
from porelay_mesher.groups import Groups
from porelay_mesher.meshes import Cleaning, Meshes, Structure, TetMesh
from porelay_mesher.quality import Quality, measure
from porelay_mesher.topology import structure


@dataclass(frozen=True, eq=False)
class Survey:
    """A tetrahedral mesh measured; areas are (phase, phase) in um2, of interfaces only."""

    meshes: Meshes
    mesh: TetMesh
    cleaning: Cleaning
    groups: Groups
    quality: Quality
    by_nodes: Structure  # of the meshed labels, connected as the mesh's nodes connect them
    areas_um2: NDArray[np.float64]
    crofton_um2: NDArray[np.float64]  # (estimate, phase, phase)
    open_regions: int
    off_the_box: int

    @property
    def voxel_um3(self) -> float:
        """Volume of a meshed voxel."""
        return float(np.prod(self.meshes.voxel_um))

    @property
    def wanted_um3(self) -> NDArray[np.float64]:
        """Volume of each phase in the window, before cleaning."""
        return np.array(self.cleaning.before.voxels) * self.voxel_um3

    @property
    def present(self) -> list[int]:
        """The phases that the mesh has."""
        return [k for k, volume in enumerate(self.quality.volumes_um3) if volume > 0]


def survey(meshes: Meshes) -> Survey | None:
    """Return what there is to say about the tetrahedral mesh; None where there is none."""
    if meshes.tets is None or meshes.cleaning is None:
        return None
    labels, phases = np.asarray(meshes.labels[:, :, :]), len(meshes.phases)
    return Survey(
        meshes=meshes,
        mesh=meshes.tets,
        cleaning=meshes.cleaning,
        groups=Groups(meshes.tets, meshes.phases, meshes.collector),
        quality=measure(meshes.tets, phases),
        by_nodes=structure(labels, phases, by_nodes=True),
        areas_um2=_areas(meshes.tets, phases),
        crofton_um2=crofton.areas_um2(labels, meshes.voxel_um, phases),
        open_regions=conformity.open_regions(meshes.tets),
        off_the_box=conformity.off_the_box(meshes.tets),
    )


def _areas(mesh: TetMesh, phases: int) -> NDArray[np.float64]:
    inner = mesh.sides[:, 1] >= 0
    first, second = mesh.region_phase[mesh.sides[inner]].astype(np.int64).T
    sums = np.bincount(first * phases + second, mesh.areas_um2[inner], minlength=phases**2).reshape(phases, phases)
    return np.asarray(sums + sums.T, np.float64)
