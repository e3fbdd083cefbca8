"""Effective conductivity of the ion- and the electron-conducting phases, with core COMSOL."""

from collections.abc import Iterator

from pydantic import Field

from porelay_comsol_bridge import parts
from porelay_comsol_bridge.options import Conductivity, ModelParams
from porelay_comsol_bridge.parts import COMPONENT
from porelay_comsol_bridge.recipe import (
    MODEL,
    Call,
    Imported,
    Outcome,
    Parameter,
    Part,
    Recipe,
    VoxelField,
    isotropic,
    number,
)
from porelay_comsol_bridge.site import Site
from porelay_schemas.errors import BadInput, nearest

CARRIERS = ("ions", "electrons")
# A phase's islands would leave the equations without a unique solution; a loss this small next to conduction fixes it.
LEAK = "1e-9"

IONS = {"pore": 0.9487, "electrolyte": 0.9487, "separator": 0.9487, "cbd": 0.31}
ELECTRONS = {"active_material": 0.18, "cbd": 10.0}
SOURCES = {
    ("ions", "pore"): "LiPF6 in EC:EMC 3:7 at 1 mol/l and 25 degC, Nyman 2008",
    ("ions", "cbd"): "electrolyte times 0.47^1.5, microporosity 0.47",
    ("electrons", "active_material"): "NMC811, Chen 2020",
    ("electrons", "cbd"): "COMSOL application model heterogeneous_lib",
}


class ConductionParams(ModelParams):
    """Conductivities by phase; a phase conducts what the plan says it conducts."""

    ions_s_m: dict[str, Conductivity] = Field(IONS, description="ionic conductivity of each phase, in S/m")
    electrons_s_m: dict[str, Conductivity] = Field(
        ELECTRONS, description="electronic conductivity of each phase, in S/m"
    )
    other_s_m: Conductivity = Field(
        1.0, description="conductivity of a phase that is not listed, in S/m: results are then relative to it"
    )
    voltage_v: float = Field(1.0, gt=0, le=1e3, allow_inf_nan=False, description="between the two faces, in V")


def conduction(site: Site, params: ConductionParams) -> Recipe:
    """Effective ionic and electronic conductivity from collector to separator (core COMSOL, no module).

    A stationary current is driven through all phases that conduct ions, and through all that conduct electrons.
    The effective conductivity is had twice: from the power that is dissipated and from the current through a face.
    They differ by the error of the discretisation. Raises BadInput for a listed phase that the plan does not have.
    """
    _check_names(site, params)
    carriers = [c for c in CARRIERS if _spans(site, c)]
    if not carriers:
        raise BadInput(
            f"conduction: no phase that conducts ions or electrons reaches both {site.collector} and {site.separator}. "
            "Say in the plan what the phases conduct, or mesh a larger part of the volume."
        )
    given = (*parts.box_parameters(site), *_parameters(site, params))
    grids = (parts.phase_field(site), *(_field(site, params, c) for c in carriers))
    return Recipe(
        parts=(
            *parts.mesh(site),
            parts.parameters(given),
            Part("Selections", tuple(step for c in carriers for step in _selections(site, c))),
            Part("Materials", tuple(_materials(site))),
            parts.fields(grids),
            Part("Physics", tuple(step for n, c in enumerate(carriers, 1) for step in _physics(site, params, n, c))),
            Part("Studies", tuple(step for n, _ in enumerate(carriers, 1) for step in _study(n, len(carriers)))),
            Part("Solution", tuple(MODEL.study(f"std{n}").run() for n, _ in enumerate(carriers, 1)), solves=True),
            *(_results(site, params, n, c) for n, c in enumerate(carriers, 1)),
            parts.field_agreement(site, "dset1"),
        ),
        parameters=given,
        fields=grids,
        outcomes=(*(o for c in carriers for o in _outcomes(c)), parts.AGREEMENT),
        notes=tuple(_notes(site, params)),
    )


def _check_names(site: Site, params: ConductionParams) -> None:
    known = {phase.name for phase in site.phases}
    for name, usual in (("ions_s_m", IONS), ("electrons_s_m", ELECTRONS)):
        for phase in getattr(params, name):
            if phase not in known and phase not in usual:
                raise BadInput(f"conduction.{name}: the plan has no phase {phase!r}. {nearest(phase, known)}")


def _spans(site: Site, carrier: str) -> bool:
    """Say whether phases that conduct the carrier lie on both faces."""
    members = site.carriers(carrier)
    return all(any((face, phase) in site.faces for phase in members) for face in (site.collector, site.separator))


def conductivity(params: ConductionParams, carrier: str, phase: str) -> float:
    """Return the conductivity of a phase that conducts the carrier, in S/m."""
    given = params.ions_s_m if carrier == "ions" else params.electrons_s_m
    return given.get(phase, params.other_s_m)


def _source(params: ConductionParams, carrier: str, phase: str) -> str:
    if f"{carrier}_s_m" in params.model_fields_set:
        return "plan"
    return SOURCES.get((carrier, phase), "not listed: other_s_m of the plan")


def _parameters(site: Site, params: ConductionParams) -> Iterator[Parameter]:
    source = "plan" if "voltage_v" in params.model_fields_set else "default"
    yield Parameter("V0", number(params.voltage_v, "V"), "voltage between the faces", source)
    for carrier in CARRIERS:
        for phase in site.carriers(carrier):
            value = number(conductivity(params, carrier, phase), "S/m")
            about = f"conductivity for {carrier}, {phase}"
            yield Parameter(f"sigma_{carrier}_{phase}", value, about, _source(params, carrier, phase))


def _field(site: Site, params: ConductionParams, carrier: str) -> VoxelField:
    conducting = site.carriers(carrier)
    values = (conductivity(params, carrier, p.name) if p.name in conducting else 0.0 for p in site.phases)
    return VoxelField(f"conductivity_{carrier}", "S/m", tuple(values), f"conductivity for {carrier}")


def _selections(site: Site, carrier: str) -> Iterator[Call]:
    members = site.carriers(carrier)
    yield from parts.union(carrier, f"all that conducts {carrier}", 3, [site.domains[p].label for p in members])
    for end, face in (("collector", site.collector), ("separator", site.separator)):
        labels = [site.faces[face, p] for p in members if (face, p) in site.faces]
        yield from parts.union(f"{end}_{carrier}", f"{end} face of what conducts {carrier}", 2, labels)


def _materials(site: Site) -> Iterator[Call]:
    for index, (phase, domain) in enumerate(site.domains.items(), 1):
        conducts = [carrier for carrier in reversed(CARRIERS) if phase in site.carriers(carrier)]
        value = f"sigma_{conducts[0]}_{phase}" if conducts else "0[S/m]"
        yield from parts.material(f"mat{index}", phase, domain.label, value)


def _physics(site: Site, params: ConductionParams, n: int, carrier: str) -> Iterator[Call]:
    """Drive a current through one carrier's phases; the conductivity is a variable with a value in each phase."""
    for phase in site.carriers(carrier):
        variable = COMPONENT.variable(f"{carrier}_{phase}")
        yield COMPONENT.variable().create(f"{carrier}_{phase}")
        yield variable.selection().geom("geom1", 3)
        yield variable.selection().named(Imported(site.domains[phase].label))
        yield variable.set(f"sigma_{carrier}", f"sigma_{carrier}_{phase}")
    ec = COMPONENT.physics(f"ec{n}")
    yield COMPONENT.physics().create(f"ec{n}", "ConductiveMedia", "geom1")
    yield ec.label(f"Current of {carrier}")
    yield ec.field("electricpotential").field(f"V_{carrier}")
    yield ec.selection().named(carrier)
    yield ec.prop("ShapeProperty").set("order_electricpotential", str(params.element_order))
    yield ec.feature("cucn1").set("sigma_mat", "userdef")
    yield ec.feature("cucn1").set("sigma", isotropic(f"sigma_{carrier}"))
    yield ec.feature("cucn1").set("epsilonr_mat", "userdef")
    yield ec.feature("cucn1").set("epsilonr", isotropic("1"))
    yield ec.create("pot1", "ElectricPotential", 2)
    yield ec.feature("pot1").selection().named(f"collector_{carrier}")
    yield ec.feature("pot1").set("V0", "V0")
    yield ec.create("gnd1", "Ground", 2)
    yield ec.feature("gnd1").selection().named(f"separator_{carrier}")
    yield ec.create("weak1", "WeakContribution", 3)
    yield ec.feature("weak1").label("A loss for islands, which nothing else ties to a potential")
    yield ec.feature("weak1").selection().named(carrier)
    yield ec.feature("weak1").set(
        "weakExpression", f"-{LEAK}*sigma_{carrier}/thickness^2*V_{carrier}*test(V_{carrier})"
    )


def _study(n: int, studies: int) -> Iterator[Call]:
    yield MODEL.study().create(f"std{n}")
    yield MODEL.study(f"std{n}").create("stat", "Stationary")
    for other in range(1, studies + 1):
        yield MODEL.study(f"std{n}").feature("stat").setSolveFor(f"/physics/ec{other}", other == n)
    yield MODEL.study(f"std{n}").setGenPlots(False)


def _results(site: Site, params: ConductionParams, n: int, carrier: str) -> Part:
    power = f"sigma_{carrier}*ec{n}.normE^2*thickness/(section*V0^2)"
    current = f"ec{n}.nJ*thickness/(section*V0)"
    about = f"effective conductivity for {carrier} along {site.axis}"
    effective, potential = _outcomes(carrier)
    steps = (
        *parts.evaluation(f"power{n}", "IntVolume", f"dset{n}", power, "S/m", f"{about}, from dissipated power"),
        MODEL.result().numerical(f"power{n}").selection().named(carrier),
        *parts.evaluation(f"current{n}", "IntSurface", f"dset{n}", current, "S/m", f"{about}, from current"),
        MODEL.result().numerical(f"current{n}").selection().named(f"separator_{carrier}"),
        *parts.table(f"tbl{n}", [f"power{n}", f"current{n}"], effective.file),
        *parts.grid_export(f"data{n}", f"dset{n}", f"V_{carrier}", potential.file, params.export_points),
    )
    return Part(f"Results for {carrier}", steps, solves=True)


def _outcomes(carrier: str) -> tuple[Outcome, Outcome]:
    return (
        Outcome(f"result_conductivity_{carrier}.txt", f"effective conductivity for {carrier}, in S/m, had twice"),
        Outcome(f"result_potential_{carrier}.txt", f"potential of the current of {carrier} on a regular grid, in V"),
    )


def _notes(site: Site, params: ConductionParams) -> Iterator[str]:
    for carrier in CARRIERS:
        members = site.carriers(carrier)
        if not _spans(site, carrier):
            yield f"No phase that conducts {carrier} lies on both faces: its current is left out."
        for phase in members:
            if phase not in (params.ions_s_m if carrier == "ions" else params.electrons_s_m):
                yield (
                    f"No conductivity for {carrier} is known for phase {phase!r}: {params.other_s_m:g} S/m is taken, "
                    "and results are relative to it. Set it in the plan."
                )
