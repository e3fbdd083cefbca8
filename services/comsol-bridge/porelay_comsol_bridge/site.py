"""What a physics knows of the mesh: phases, their domains, box faces and interfaces, by the labels in the mesh file."""

from collections.abc import Mapping
from dataclasses import dataclass

from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.plan import Phase

OPPOSITE = {"min": "max", "max": "min"}


@dataclass(frozen=True)
class Domain:
    """A phase as it was meshed."""

    label: str
    tetrahedra: int
    volume_um3: float


@dataclass(frozen=True)
class Site:
    """The mesh as a physics sees it.

    `domains` by phase; `faces` by (box face such as "z_min", phase); `interfaces` by a pair of phases. What the mesh
    does not have is not there. `size_um` is the box along (x, y, z); its lowest corner is the origin.
    """

    phases: tuple[Phase, ...]
    size_um: tuple[float, float, float]
    domains: Mapping[str, Domain]
    faces: Mapping[tuple[str, str], str]
    interfaces: Mapping[frozenset[str], str]
    collector: str = "z_min"

    @property
    def separator(self) -> str:
        """The box face opposite to the current collector."""
        axis, end = self.collector.split("_")
        return f"{axis}_{OPPOSITE[end]}"

    @property
    def axis(self) -> str:
        """The direction from the current collector to the separator."""
        return self.collector[0]

    @property
    def thickness_um(self) -> float:
        """Edge of the box along that direction."""
        return self.size_um["xyz".index(self.axis)]

    @property
    def section_um2(self) -> float:
        """Area of the box across it."""
        x, y, z = self.size_um
        return x * y * z / self.thickness_um

    def carriers(self, carrier: str) -> tuple[str, ...]:
        """Return the meshed phases that conduct `carrier`."""
        return tuple(p.name for p in self.phases if carrier in p.conducts and p.name in self.domains)

    def need(self, phase: str, who: str) -> Domain:
        """Return the domain of a phase that a model cannot do without; raise BadInput otherwise."""
        known = {known.name for known in self.phases}
        if phase not in known:
            raise BadInput(f"{who}: the plan has no phase {phase!r}. {nearest(phase, known)}")
        if phase not in self.domains:
            raise BadInput(
                f"{who}: phase {phase!r} is not in the mesh, which holds {', '.join(sorted(self.domains))}. "
                "Mesh another part of the volume, or choose another phase or physics."
            )
        return self.domains[phase]
