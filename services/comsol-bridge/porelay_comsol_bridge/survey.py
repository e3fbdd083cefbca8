"""Read what the mesher and metrics have left: the site of the model, and the effective properties."""

from collections.abc import Iterator
from typing import get_args

from porelay_comsol_bridge.recipe import IDENTIFIER
from porelay_comsol_bridge.site import Domain, Site
from porelay_schemas.descriptors import Descriptor, Descriptors, Measured
from porelay_schemas.errors import BadInput
from porelay_schemas.meshes import BoxFace, MeshDescription, Selection
from porelay_schemas.plan import Phase
from porelay_schemas.volumes import VolumeRef


def site_of(mesh: MeshDescription, phases: tuple[Phase, ...]) -> Site:
    """Return the mesh as a physics sees it; raise BadInput where there is no tetrahedral mesh."""
    if not mesh.tetrahedra:
        raise BadInput("comsol-bridge: the mesher made no tetrahedra. Use 'conformal' in the plan's mesher stage.")
    (dz, dy, dx), (z, y, x) = mesh.voxel_um, mesh.shape
    return Site(
        phases=phases,
        size_um=(x * dx, y * dy, z * dz),
        domains={s.phases[0]: Domain(s.name, s.elements, s.measure) for s in _of(mesh, "phase")},
        faces={
            (s.face, s.phases[0]): s.name for s in _of(mesh, "face_phase") if s.face and s.face in get_args(BoxFace)
        },
        interfaces={frozenset(s.phases): s.name for s in _of(mesh, "interface")},
        collector=mesh.collector,
    )


def _of(mesh: MeshDescription, kind: str) -> Iterator[Selection]:
    return (selection for selection in mesh.selections if selection.kind == kind)


def check_volume(mesh: MeshDescription, volume: VolumeRef) -> None:
    """Raise BadInput where the labels are not those that were meshed."""
    if volume.shape != mesh.shape or volume.voxel_um != mesh.voxel_um:
        raise BadInput(
            f"comsol-bridge: the mesh is of {mesh.shape} voxels of {mesh.voxel_um} um, got labels of {volume.shape} "
            f"voxels of {volume.voxel_um} um (z, y, x). Hand over the volume that the mesher's result names."
        )


def measured_of(descriptors: Descriptors, meshed: VolumeRef | None) -> tuple[Measured | None, str]:
    """Return the measurements of the volume that was meshed (None: unknown), and a sentence on what they are of."""
    found = [m for m in (descriptors.real, *descriptors.generated) if m]
    for measured in found:
        if measured.volume == meshed:
            kind = "real" if measured is descriptors.real else "generated"
            return measured, f"Effective properties are of the {kind} volume that was meshed, all of it."
    if not found:
        return None, "No effective properties were measured."
    kind = "real" if found[0] is descriptors.real else "first generated"
    return found[0], f"Effective properties are of the {kind} volume, which need not be the one that was meshed."


def effective_properties(mesh: MeshDescription, measured: Measured | None) -> str:
    """Return a COMSOL parameter file, `name expression "description"` a line: mesh fractions, then all descriptors."""
    box = sum(phase.volume_um3 for phase in mesh.phases)
    lines = [
        _line(f"mesh_fraction_{phase.name}", repr(phase.volume_um3 / box), f"volume fraction in the mesh, {phase.name}")
        for phase in mesh.phases
        if phase.volume_um3
    ]
    for descriptor in measured.descriptors if measured else ():
        name = parameter_name(descriptor)
        if descriptor.value is not None and IDENTIFIER.match(name):
            lines.append(_line(name, expression(descriptor), descriptor.definition.text))
    return "".join(lines)


def parameter_name(descriptor: Descriptor) -> str:
    """Return name, phases and axis as one word."""
    return "_".join([descriptor.name, *descriptor.phases, *([descriptor.axis] if descriptor.axis else [])])


def expression(descriptor: Descriptor) -> str:
    """Return value and unit as COMSOL writes them."""
    unit = "" if descriptor.unit == "1" else f"[{descriptor.unit}]"
    return f"{descriptor.value!r}{unit}"


def _line(name: str, value: str, about: str) -> str:
    text = " ".join(about.replace('"', "'").replace("\\", "/").split())
    return f'{name} {value} "{text}"\n'
