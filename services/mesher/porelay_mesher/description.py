"""`mesh.json`: the meshes in numbers, for the stages and people that read the files."""

import numpy as np

from porelay_mesher.groups import Group, opposite
from porelay_mesher.meshes import Cleaning, Meshes, Surface
from porelay_mesher.surfaces import closed
from porelay_mesher.survey import Survey
from porelay_schemas.meshes import MeshDescription, MeshQuality, PhaseMesh, Selection, SurfaceMesh
from porelay_schemas.section import Check


def describe(
    meshes: Meshes, found: Survey | None, checks: tuple[Check, ...], files: tuple[str, ...]
) -> MeshDescription:
    """Return the description of all meshes."""
    fine = [size / meshes.coarsen for size in meshes.voxel_um]
    z, y, x = (at * size for at, size in zip(meshes.origin_voxels, fine, strict=True))
    cleaning = meshes.cleaning
    return MeshDescription(
        shape=meshes.labels.shape,
        voxel_um=meshes.voxel_um,
        origin_um=(z, y, x),
        coarsen=meshes.coarsen,
        collector=meshes.collector,
        separator=opposite(meshes.collector),
        nodes=len(found.mesh.nodes_um) if found else 0,
        tetrahedra=len(found.mesh.tetrahedra) if found else 0,
        triangles=len(found.mesh.triangles) if found else 0,
        phases=tuple(_phase(found, found.cleaning, k) for k in found.present) if found else (),
        absent=absent(meshes, cleaning),
        selections=_selections(found) if found else (),
        quality=_quality(found) if found else None,
        island_voxels=cleaning.island_voxels if cleaning else 0,
        flipped_voxels=cleaning.flipped_voxels if cleaning else 0,
        surfaces=tuple(map(_surface, meshes.surfaces)),
        gate={check.name: check.verdict for check in checks},
        files=files,
    )


def absent(meshes: Meshes, cleaning: Cleaning | None) -> tuple[str, ...]:
    """Return the phases of the plan that the meshed volume does not have."""
    voxels = cleaning.after.voxels if cleaning else ()
    return tuple(phase.name for phase, count in zip(meshes.phases, voxels, strict=False) if count == 0)


def _phase(found: Survey, cleaning: Cleaning, k: int) -> PhaseMesh:
    after, before = cleaning.after, cleaning.before
    return PhaseMesh(
        name=found.meshes.phases[k].name,
        label=k,
        tetrahedra=int(np.count_nonzero(found.mesh.phases == k)),
        volume_um3=float(found.quality.volumes_um3[k]),
        voxel_volume_um3=float(found.wanted_um3[k]),
        cleaned_volume_um3=after.voxels[k] * found.voxel_um3,
        components=after.components[k],
        components_before=before.components[k],
        percolating=after.percolating[k],
        percolating_before=before.percolating[k],
        area_um2=float(found.areas_um2[k].sum()),
        crofton_area_um2=float(found.crofton_um2[1, k].sum()),
    )


def _selections(found: Survey) -> tuple[Selection, ...]:
    mesh, groups = found.mesh, found.groups
    boundaries = len(groups.sides)
    areas = np.bincount(groups.boundary, mesh.areas_um2, minlength=boundaries)
    triangles = np.bincount(groups.boundary, minlength=boundaries)
    tetrahedra = np.bincount(mesh.regions, minlength=len(mesh.region_phase))
    volumes = found.quality.volumes_um3

    def one(group: Group) -> Selection:
        solid = group.dimension == 3
        return Selection(
            name=group.name,
            kind=group.kind,
            dimension=3 if solid else 2,
            phases=tuple(groups.phases[k].name for k in group.phases),
            face=group.face,
            tag=group.tag,
            entities=len(group.members),
            elements=int((tetrahedra if solid else triangles)[group.members].sum()),
            measure=float(volumes[group.phases[0]] if solid else areas[group.members].sum()),
        )

    return tuple(one(group) for group in groups.all)


def _quality(found: Survey) -> MeshQuality:
    q = found.quality
    return MeshQuality(
        min_dihedral_deg=q.min_angle,
        max_dihedral_deg=q.max_angle,
        min_radius_ratio=q.min_radius_ratio,
        min_scaled_jacobian=q.min_jacobian,
        sliver_share=q.slivers / len(found.mesh.tetrahedra),
        inverted=q.inverted,
    )


def _surface(surface: Surface) -> SurfaceMesh:
    return SurfaceMesh(
        name=surface.phase.name,
        triangles=len(surface.triangles),
        vertices=len(surface.vertices_um),
        area_um2=surface.area_um2,
        volume_um3=surface.volume_um3,
        watertight=closed(surface.triangles),
    )
