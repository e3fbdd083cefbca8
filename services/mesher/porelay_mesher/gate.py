"""The gate: what a mesh must hold before anything is solved on it.

A mesh that is folded or not conformal is a defect of the mesher and raises. The rest is for a reader to weigh.
"""

import numpy as np

from porelay_mesher.guard import kuhn_jacobian
from porelay_mesher.survey import Survey
from porelay_schemas.section import Check, Verdict

MIN_JACOBIAN = 0.05
"""For cubic voxels; flat ones begin with less, and the limit is as much lower."""
MAX_SLIVERS = 0.001
MAX_VOLUME_ERROR, MAX_THIN_VOLUME_ERROR, THIN = 0.01, 0.03, 0.15
"""Volume errors, and the fraction below which a phase counts as thin."""
MAX_AREA_ERROR = 0.10
MAX_PERCOLATION_CHANGE = 0.02
BOX_TOLERANCE = 1e-9


def gate(survey: Survey) -> tuple[Check, ...]:
    """Return the verdicts; raise RuntimeError where the mesh is no mesh."""
    _must_hold(survey)
    shape = (_conformal(survey), _jacobian(survey), _slivers(survey))
    return (*shape, *_volumes(survey), *_areas(survey), *_topology(survey))


def _must_hold(survey: Survey) -> None:
    box = float(np.prod(survey.mesh.size_um))
    error = abs(survey.quality.volumes_um3.sum() / box - 1)
    broken = {
        "inverted tetrahedra": survey.quality.inverted,
        "regions that are not enclosed": survey.open_regions,
        "triangles off the box": survey.off_the_box,
        "relative error of the box's volume": error if error > BOX_TOLERANCE else 0,
    }
    found = {name: value for name, value in broken.items() if value}
    if found:
        raise RuntimeError(f"mesher: the mesh is broken: {found}. This is a defect: please report it with the volume.")


def _conformal(survey: Survey) -> Check:
    count = len(survey.mesh.tetrahedra)
    return Check(
        name="conformal",
        value=f"{count:,} tetrahedra",
        threshold="no inverted one, every face shared, box flat",
        verdict="ok",
        meaning="Neighbouring phases share the nodes and triangles of their interface; the volumes add up to the box.",
    )


def _jacobian(survey: Survey) -> Check:
    limit = MIN_JACOBIAN * kuhn_jacobian(survey.meshes.voxel_um) / kuhn_jacobian((1.0, 1.0, 1.0))
    value = survey.quality.min_jacobian
    return Check(
        name="smallest scaled Jacobian",
        value=value,
        threshold=f">= {limit:.3g}",
        verdict="ok" if value >= limit else "warn",
        meaning="1 is a regular tetrahedron, 0 a flat one. Flat ones spoil convergence: raise 'quality'.",
    )


def _slivers(survey: Survey) -> Check:
    share = survey.quality.slivers / len(survey.mesh.tetrahedra)
    return Check(
        name="slivers (radius ratio below 0.1)",
        value=share,
        threshold=f"<= {MAX_SLIVERS:g}",
        verdict="ok" if share <= MAX_SLIVERS else "warn",
        meaning="Share of badly shaped tetrahedra. Raise 'quality'; flat voxels make flat tetrahedra: resample them to "
        "cubic ones in 'preprocess'.",
    )


def _volumes(survey: Survey) -> list[Check]:
    total = survey.wanted_um3.sum()
    checks = []
    for k in survey.present:
        wanted = survey.wanted_um3[k]
        limit = MAX_VOLUME_ERROR if wanted / total >= THIN else MAX_THIN_VOLUME_ERROR
        error = survey.quality.volumes_um3[k] / wanted - 1 if wanted else np.inf
        checks.append(
            Check(
                name=f"volume of {survey.meshes.phases[k].name}",
                value=f"{100 * error:+.2f} %",
                threshold=f"within {100 * limit:g} % of its voxels",
                verdict=_within(error, limit),
                meaning="Capacity and porosity follow the volumes. Where it is off, the phase is dust or too thin: "
                "use a finer volume, or a lower 'min_island_voxels'.",
            )
        )
    return checks


def _areas(survey: Survey) -> list[Check]:
    checks = []
    for k in survey.present:
        estimates = survey.crofton_um2[:, k].sum(axis=1)
        low, high = estimates.min() * (1 - MAX_AREA_ERROR), estimates.max() * (1 + MAX_AREA_ERROR)
        area = survey.areas_um2[k].sum()
        if high > 0:
            checks.append(
                Check(
                    name=f"interface area of {survey.meshes.phases[k].name}",
                    value=f"{area:.4g} µm²",
                    threshold=f"{low:.4g} to {high:.4g} µm² (Crofton's estimates ± {100 * MAX_AREA_ERROR:g} %)",
                    verdict="ok" if low <= area <= high else "warn",
                    meaning="Reaction currents follow the area. The estimates part where features are one or two "
                    "voxels thin: mesh a finer volume before trusting the area of those.",
                )
            )
    return checks


def _topology(survey: Survey) -> list[Check]:
    after, before = survey.cleaning.after, survey.cleaning.before
    contacts = after.edge_contacts + after.corner_contacts
    same = survey.by_nodes.components == after.components and survey.by_nodes.percolating == after.percolating
    voxels = np.maximum(before.voxels, 1)[:, None]
    kept = np.array(after.percolating) * np.array(after.voxels)[:, None] / voxels
    changes = np.abs(kept - np.array(before.percolating)).max(axis=1)
    worst = int(changes.argmax())
    return [
        Check(
            name="contacts at edges and corners",
            value=contacts,
            threshold="0",
            verdict="ok" if contacts == 0 else "warn",
            meaning=f"There were {before.edge_contacts + before.corner_contacts:,}. Elements conduct through a shared "
            "edge where voxels do not.",
        ),
        Check(
            name="connected as the meshed voxels are",
            value=f"{sum(survey.by_nodes.components):,} components",
            threshold=f"{sum(after.components):,}, percolating alike",
            verdict="ok" if same else "fail",
            meaning="Components and percolating share of each phase, over nodes in the mesh and over faces of voxels.",
        ),
        Check(
            name="percolation kept by cleaning",
            value=f"{100 * changes[worst]:.2f} % ({survey.meshes.phases[worst].name})",
            threshold=f"at most {100 * MAX_PERCOLATION_CHANGE:g} % of a phase more or less",
            verdict="ok" if changes[worst] <= MAX_PERCOLATION_CHANGE else "warn",
            meaning="Removing dust and contacts may join or part what hung by a thread.",
        ),
    ]


def _within(error: float, limit: float) -> Verdict:
    return "ok" if abs(error) <= limit else "warn"
