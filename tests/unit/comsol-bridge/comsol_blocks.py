"""A tiny electrode for the tests: its labels, its mesh (six tetrahedra a voxel) in COMSOL's format, and `mesh.json`.

Written without any code of the mesher or of the bridge, after COMSOL's description of the format.
"""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porelay_schemas.meshes import MeshDescription, PhaseMesh, Selection
from porelay_schemas.plan import Phase

PHASES = (
    Phase(name="pore", colour="#2b3a4a", conducts=("ions",)),
    Phase(name="cbd", colour="#e0a030", conducts=("electrons",)),
    Phase(name="active_material", colour="#9fb4c7", conducts=("electrons",)),
)
VOXEL_UM = (0.4, 0.2, 0.1)
FACES = ("z_min", "z_max", "y_min", "y_max", "x_min", "x_max")


def labels() -> NDArray[np.uint8]:
    """Return labels (z, y, x) = (2, 3, 4) in columns along z: pore, a column of binder, active material."""
    columns = np.array([[0, 0, 1, 2], [0, 0, 2, 2], [0, 1, 2, 2]], np.uint8)
    return np.stack([columns, columns])


class Block:
    """The mesh of a label volume: `selections` maps a label to (dimension, entities, elements, measure)."""

    def __init__(self, voxels: NDArray[np.uint8], voxel_um: tuple[float, float, float] = VOXEL_UM) -> None:
        self.voxels, self.voxel_um = voxels, voxel_um
        z, y, x = (np.arange(n + 1) * step for n, step in zip(voxels.shape, voxel_um, strict=True))
        grid = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1).reshape(-1, 3)
        self.nodes = grid[:, ::-1]
        self.number = np.arange(len(grid)).reshape(*(n + 1 for n in voxels.shape))
        self.tets: list[list[int]] = []
        self.domains: list[int] = []
        for place in np.ndindex(voxels.shape):
            for order in permutations(range(3)):
                corner = np.array(place)
                path = [corner.copy()]
                for axis in order:
                    corner[axis] += 1
                    path.append(corner.copy())
                self.tets.append([int(self.number[tuple(at)]) for at in path])
                self.domains.append(int(voxels[place]) + 1)
        self.tris: list[list[int]] = []
        self.boundaries: list[int] = []
        self.known: dict[tuple[str, ...], int] = {}
        self._triangles()

    def _triangles(self) -> None:
        for place in np.ndindex(self.voxels.shape):
            mine = PHASES[self.voxels[place]].name
            for axis in range(3):
                if place[axis] == 0:
                    self._square(place, axis, ("face", "zyx"[axis] + "_min", mine))
                after = tuple(at + (k == axis) for k, at in enumerate(place))
                if after[axis] == self.voxels.shape[axis]:
                    self._square(after, axis, ("face", "zyx"[axis] + "_max", mine))
                elif self.voxels[after] != self.voxels[place]:
                    pair = sorted((int(self.voxels[place]), int(self.voxels[after])))
                    self._square(after, axis, ("interface", *(PHASES[k].name for k in pair)))

    def _square(self, corner: tuple[int, ...], axis: int, key: tuple[str, ...]) -> None:
        along = [k for k in range(3) if k != axis]
        entity = self.known.setdefault(key, len(self.known))
        for first, second in (along, along[::-1]):
            path = [np.array(corner)]
            for step in (first, second):
                path.append(path[-1] + np.eye(3, dtype=int)[step])
            self.tris.append([int(self.number[tuple(at)]) for at in path])
            self.boundaries.append(entity)

    def selections(self) -> list[Selection]:
        found = []
        volumes, areas = self._volumes(), self._areas()
        for k, phase in enumerate(PHASES):
            mine = np.array(self.domains) == k + 1
            if mine.any():
                measure = float(volumes[mine].sum())
                found.append(_selection(phase.name, "phase", 3, (phase.name,), None, (int(mine.sum()), measure)))
        for key, entity in self.known.items():
            mine = np.array(self.boundaries) == entity
            size = (int(mine.sum()), float(areas[mine].sum()))
            if key[0] == "interface":
                found.append(_selection("_".join(key[1:]), "interface", 2, key[1:], None, size))
            else:
                found.append(_selection(f"{key[1]}_{key[2]}", "face_phase", 2, (key[2],), key[1], size))
        return found

    def entities(self, selection: Selection) -> list[int]:
        if selection.kind == "phase":
            return [[p.name for p in PHASES].index(selection.phases[0]) + 1]
        key = (
            ("interface", *selection.phases)
            if selection.kind == "interface"
            else ("face", selection.face or "", *selection.phases)
        )
        return [self.known[key]]

    def _volumes(self) -> NDArray[Any]:
        a, b, c, d = (self.nodes[np.array(self.tets)[:, k]] for k in range(4))
        return np.abs(np.einsum("ij,ij->i", b - a, np.cross(c - a, d - a))) / 6

    def _areas(self) -> NDArray[Any]:
        a, b, c = (self.nodes[np.array(self.tris)[:, k]] for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2

    def describe(self, collector: str = "z_min") -> MeshDescription:
        axis, end = collector.split("_")
        chosen = self.selections()
        return MeshDescription(
            shape=self.voxels.shape, voxel_um=self.voxel_um, origin_um=(0, 0, 0), collector=collector,
            separator=f"{axis}_{'min' if end == 'max' else 'max'}", nodes=len(self.nodes), tetrahedra=len(self.tets),
            triangles=len(self.tris), selections=tuple(chosen), files=("electrode.mphtxt", "electrode.nas"),
            phases=tuple(_phase(s) for s in chosen if s.kind == "phase"),
        )  # fmt: skip

    def write(self, path: Path) -> None:
        words = ["0 1", "1", "5 mesh1", "1", "3 obj", "0 0 1", "4 Mesh", "4", "3", str(len(self.nodes)), "0"]
        words += [" ".join(map(repr, map(float, row))) for row in self.nodes]
        words += ["2", "3 tri", "3", str(len(self.tris)), *(" ".join(map(str, row)) for row in self.tris)]
        words += [str(len(self.boundaries)), *map(str, self.boundaries)]
        words += ["3 tet", "4", str(len(self.tets)), *(" ".join(map(str, row)) for row in self.tets)]
        words += [str(len(self.domains)), *map(str, self.domains)]
        chosen = self.selections()
        for s in chosen:
            entities = self.entities(s)
            words += ["0 0 1", "9 Selection", "0", f"{len(s.name)} {s.name}", "5 mesh1", str(s.dimension)]
            words += [str(len(entities)), *map(str, entities)]
        words[1] = str(1 + len(chosen))
        words[2] = " ".join(["5 mesh1"] * (1 + len(chosen)))
        words[3] = str(1 + len(chosen))
        words[4] = " ".join(["3 obj"] * (1 + len(chosen)))
        path.write_text("\n".join(words) + "\n")


def _selection(
    name: str, kind: Any, dimension: Any, phases: tuple[str, ...], face: str | None, size: tuple[int, float]
) -> Selection:
    return Selection(
        name=name, kind=kind, dimension=dimension, phases=phases, face=face, entities=1, elements=size[0],
        measure=size[1],
    )  # fmt: skip


def _phase(s: Selection) -> PhaseMesh:
    same = dict.fromkeys(("volume_um3", "voxel_volume_um3", "cleaned_volume_um3"), s.measure)
    return PhaseMesh(
        name=s.name, label=0, tetrahedra=s.elements, components=1, components_before=1, percolating=(1, 1, 1),
        percolating_before=(1, 1, 1), area_um2=1, crofton_area_um2=1, **same,
    )  # fmt: skip
