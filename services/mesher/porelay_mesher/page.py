"""The mesher's page of the report."""

from pathlib import Path

import numpy as np

from porelay_kit import figures
from porelay_kit.bench import Bench
from porelay_mesher import views
from porelay_mesher.description import absent
from porelay_mesher.meshes import Meshes
from porelay_mesher.quality import ANGLE_BINS, RATIO_BINS
from porelay_mesher.survey import Survey
from porelay_schemas.meshes import MeshDescription
from porelay_schemas.section import Block, Check, Checks, Figure, Gallery, Section, Table, Text

CLOSE_UP = 14
"""Voxels a side of the close-up, on which single tetrahedra can be seen."""


def page(
    bench: Bench, meshes: Meshes, found: Survey | None, checks: tuple[Check, ...], told: MeshDescription
) -> Section:
    """Draw the pictures and return the section."""
    blocks: list[Block] = [*_notes(meshes)]
    if found:
        blocks += [_cuts(bench, found), Checks(caption="Gate", checks=checks), _phase_table(told)]
        blocks += [_shapes(bench, found), _cleaning(found), _selections(told)]
    blocks.append(_phases(bench, meshes, found))
    if told.surfaces:
        blocks.append(_surface_table(told))
    return Section(title="Mesh", headline=_headline(told), blocks=tuple(blocks))


def _headline(told: MeshDescription) -> str:
    if told.quality is None:
        count = sum(surface.triangles for surface in told.surfaces)
        return f"{len(told.surfaces)} watertight surfaces of {count:,} triangles in all."
    error = max(abs(phase.volume_um3 / phase.voxel_volume_um3 - 1) for phase in told.phases if phase.voxel_volume_um3)
    return (
        f"One conformal mesh of {told.tetrahedra:,} tetrahedra in {len(told.phases)} phases; dihedral angles from "
        f"{told.quality.min_dihedral_deg:.1f}° to {told.quality.max_dihedral_deg:.1f}°, phase volumes within "
        f"{100 * error:.2g} % of the voxels."
    )


def _notes(meshes: Meshes) -> list[Text]:
    notes = []
    missing = absent(meshes, meshes.cleaning)
    if missing:
        names = ", ".join(missing)
        notes.append(Text(text=f"Not in this volume: {names}. The other phases are meshed without it.", tone="note"))
    if meshes.coarsen > 1:
        text = f"Meshed coarser than the volume: cubes of {meshes.coarsen} voxels an edge became one by majority."
        notes.append(Text(text=text, tone="note"))
    return notes


def _draw(path: Path, view: views.View, meshes: Meshes, *, title: str, edges: bool | None = None) -> None:
    shown = sorted(set(view.phases.tolist()))
    palette = [phase.colour for phase in meshes.phases]
    legend = {meshes.phases[k].name.replace("_", " "): palette[k] for k in shown}
    figures.mesh_png(
        path, view.vertices_um, view.triangles, view.phases, title=title, palette=palette, legend=legend, edges=edges
    )


def _cuts(bench: Bench, found: Survey) -> Gallery:
    meshes, shape = found.meshes, found.meshes.labels.shape
    half = views.block(meshes, found.mesh, views.half(shape))
    close = views.block(meshes, found.mesh, views.middle(shape, CLOSE_UP))
    _draw(bench.path("cut.png"), half, meshes, title="Tetrahedra behind a cut")
    _draw(bench.path("close.png"), close, meshes, title="Close-up", edges=True)
    return Gallery(
        figures=(
            Figure(file="cut.png", caption="The mesh behind a cut through its middle, in the phases' colours."),
            Figure(file="close.png", caption=f"{CLOSE_UP} voxels a side from the middle, with the tetrahedra's edges."),
        )
    )


def _phases(bench: Bench, meshes: Meshes, found: Survey | None) -> Gallery:
    shown = []
    for k, phase in enumerate(meshes.phases):
        drawn = next((surface for surface in meshes.surfaces if surface.phase == phase), None)
        if drawn is not None:
            view = views.surface(drawn, k)
        elif found and k in found.present:
            view = views.phase(found.mesh, k)
        else:
            continue
        name = f"phase_{phase.name}.png"
        _draw(bench.path(name), view, meshes, title=phase.name.replace("_", " "))
        shown.append(Figure(file=name, caption=f"Surface of {phase.name}, {len(view.triangles):,} triangles."))
    return Gallery(figures=tuple(shown))


def _shapes(bench: Bench, found: Survey) -> Gallery:
    quality = found.quality
    figures.counts_svg(
        bench.path("dihedral.svg"), np.arange(ANGLE_BINS) + 0.5, quality.angles, xlabel="dihedral angle / °"
    )
    ratio = (np.arange(RATIO_BINS) + 0.5) / RATIO_BINS
    figures.counts_svg(bench.path("radius_ratio.svg"), ratio, quality.radius_ratios, xlabel="radius ratio 3 r / R")
    return Gallery(
        figures=(
            Figure(
                file="dihedral.svg",
                caption=f"Dihedral angles of the tetrahedra at interfaces: {quality.min_angle:.1f}° to "
                f"{quality.max_angle:.1f}°. Those inside a phase have 45°, 60° and 90° (cubic voxels).",
            ),
            Figure(
                file="radius_ratio.svg",
                caption=f"Their radius ratio, 1 for a regular tetrahedron: at least {quality.min_radius_ratio:.3f}.",
            ),
        )
    )


def _phase_table(told: MeshDescription) -> Table:
    axis = "zyx".index(told.collector[0])
    rows = tuple(
        (
            phase.name,
            phase.tetrahedra,
            phase.voxel_volume_um3,
            phase.volume_um3,
            100 * (phase.volume_um3 / phase.voxel_volume_um3 - 1) if phase.voxel_volume_um3 else None,
            phase.area_um2,
            f"{phase.components_before:,} → {phase.components:,}",
            f"{phase.percolating_before[axis]:.3f} → {phase.percolating[axis]:.3f}",
        )
        for phase in told.phases
    )
    header = (
        "phase",
        "tetrahedra",
        "voxels / µm³",
        "mesh / µm³",
        "difference / %",
        "interface / µm²",
        "components before → after cleaning",
        f"percolating along {told.collector[0]}",
    )
    return Table(caption="Phases in the mesh and in the voxels it was made of", header=header, rows=rows)


def _cleaning(found: Survey) -> Table:
    before, after = found.cleaning.before, found.cleaning.after
    voxels = zip(found.meshes.phases, before.voxels, after.voxels, strict=True)
    rows = (
        ("edge contacts", before.edge_contacts, after.edge_contacts),
        ("corner contacts", before.corner_contacts, after.corner_contacts),
        *((f"voxels of {phase.name}", was, now) for phase, was, now in voxels),
    )
    caption = (
        f"Cleaning before meshing: {found.cleaning.island_voxels:,} voxels in small islands relabelled, "
        f"{found.cleaning.flipped_voxels:,} flips at contacts (the mesh has the volumes of before)"
    )
    return Table(caption=caption, header=("", "before", "after"), rows=rows)


def _selections(told: MeshDescription) -> Table:
    rows = tuple((s.name, s.kind, s.tag, s.elements, s.measure) for s in told.selections if s.tag is not None)
    header = ("group", "kind", "tag", "elements", "µm³ or µm²")
    return Table(caption="Named groups in the mesh files", header=header, rows=rows)


def _surface_table(told: MeshDescription) -> Table:
    rows = tuple((s.name, s.triangles, s.area_um2, s.volume_um3, s.watertight) for s in told.surfaces)
    header = ("phase", "triangles", "area / µm²", "volume / µm³", "watertight")
    return Table(caption="Surfaces of the phases (box faces included)", header=header, rows=rows)
