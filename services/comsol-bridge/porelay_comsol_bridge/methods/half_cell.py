"""Half cell against lithium metal, with pores, binder and particles resolved (Battery Design Module)."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from porelay_comsol_bridge import battery, parts
from porelay_comsol_bridge.battery import Roles
from porelay_comsol_bridge.options import Conductivity, ModelParams
from porelay_comsol_bridge.recipe import MODEL, Call, Outcome, Parameter, Part, Recipe, VoxelField, number
from porelay_comsol_bridge.site import Site
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import PhaseName

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Diffusivity = Annotated[float, Field(gt=0, le=1e-3, allow_inf_nan=False)]
Concentration = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Volt = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
CHEN, NYMAN, LIBRARY = "NMC811, Chen 2020", "LiPF6 in EC:EMC 3:7 at 1 mol/l, Nyman 2008", "COMSOL heterogeneous_lib"


def _chen(x: float) -> float:
    """Return the equilibrium potential of NMC811 in V (Chen 2020, J. Electrochem. Soc. 167, 080534, eq. 8)."""
    return (
        -0.8090 * x + 4.4875
        - 0.0428 * math.tanh(18.5138 * (x - 0.5542))
        - 17.7326 * math.tanh(15.7890 * (x - 0.3117))
        + 17.5842 * math.tanh(15.9308 * (x - 0.3120))
    )  # fmt: skip


CURVE = tuple((round(0.2 + 0.02 * k, 2), round(_chen(0.2 + 0.02 * k), 4)) for k in range(40))


class HalfCellParams(ModelParams):
    """Materials and load of the half cell; defaults are NMC811 in a standard electrolyte at 25 degC."""

    active: PhaseName = Field("active_material", description="phase that stores lithium")
    electrolyte: PhaseName = Field("pore", description="phase that is filled with electrolyte")
    binder: PhaseName = Field("cbd", description="porous conductive binder; left out where the mesh has none")
    c_rate: float = Field(1.0, gt=0, le=1e3, allow_inf_nan=False, description="current, in capacities an hour")
    load: Literal["lithiate", "delithiate"] = Field(
        "lithiate", description="fill the particles with lithium (discharge of a cathode) or empty them"
    )
    soc_start: Share = Field(0.27, description="lithium content at the start, as a fraction of the maximum")
    soc_end: Share = Field(0.9, description="mean lithium content at the end, as a fraction of the maximum")
    time_steps: int = Field(60, ge=2, le=100_000, description="stored times of the load")
    cs_max_mol_m3: Concentration = Field(63104.0, description="maximum lithium concentration of the particles, mol/m^3")
    active_s_m: Conductivity = Field(0.18, description="electronic conductivity of the particles, in S/m")
    active_m2_s: Diffusivity = Field(4e-15, description="diffusivity of lithium in the particles, in m^2/s")
    exchange_a_m2: float = Field(
        3.41, gt=0, le=1e6, allow_inf_nan=False, description="exchange current density at half filling, in A/m^2"
    )
    equilibrium_v: tuple[tuple[Share, Volt], ...] = Field(
        CURVE, min_length=2, description="equilibrium potential in V over lithium content: pairs, content rising"
    )
    electrolyte_s_m: Conductivity = Field(0.9487, description="conductivity of the electrolyte, in S/m")
    electrolyte_m2_s: Diffusivity = Field(1.769e-10, description="diffusivity of the salt, in m^2/s")
    transference: Share = Field(0.2594, description="transference number of lithium, as a fraction")
    activity: float = Field(
        0.0, ge=-10, le=10, allow_inf_nan=False, description="d ln f / d ln c of the salt, 0 for an ideal one"
    )
    salt_mol_m3: Concentration = Field(1000.0, description="salt concentration at the start, in mol/m^3")
    binder_s_m: Conductivity = Field(10.0, description="electronic conductivity of the binder, in S/m")
    binder_porosity: Share = Field(0.47, description="electrolyte-filled fraction of the binder")
    lithium_a_m2: float = Field(
        100.0, gt=0, le=1e6, allow_inf_nan=False, description="exchange current density of the lithium metal, in A/m^2"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        contents = [content for content, _ in self.equilibrium_v]
        if contents != sorted(set(contents)):
            raise ValueError("equilibrium_v: lithium contents must rise from pair to pair")
        if (self.soc_end > self.soc_start) != (self.load == "lithiate"):
            side = "above" if self.load == "lithiate" else "below"
            raise ValueError(f"soc_end {self.soc_end} must lie {side} soc_start {self.soc_start} to {self.load}")
        return self


def half_cell(site: Site, params: HalfCellParams) -> Recipe:
    """Charge or discharge against lithium metal with particles, binder and pores resolved (Battery Design Module).

    Collector on one face, lithium metal on the electrolyte of the opposite face. Electrons move in particles and
    binder, ions in pores and binder, lithium diffuses in the particles; the surface between them inserts it. The
    nodes follow COMSOL's application model heterogeneous_lib. Raises BadInput for a phase or contact that is missing.
    """
    _check(site, params)
    given = (*parts.box_parameters(site), *_parameters(site, params))
    grids = (parts.phase_field(site), *_fields(site, params))
    roles = _roles(site, params)
    return Recipe(
        parts=(
            *parts.mesh(site),
            parts.parameters(given),
            Part("Selections", tuple(_selections(site, params))),
            Part("Materials", tuple(battery.materials(roles, params.equilibrium_v))),
            parts.fields(grids),
            Part("Charge transport and reaction", tuple(battery.charge(roles, params.element_order))),
            Part("Lithium in the particles", tuple(battery.particles(roles, params.element_order))),
            Part("Study", tuple(battery.study(params.time_steps))),
            Part("Solution", (MODEL.study("std1").run(),), solves=True),
            Part("Results", tuple(_results(params)), solves=True),
            parts.field_agreement(site, "dset1"),
        ),
        parameters=given,
        fields=grids,
        outcomes=(VOLTAGE, LITHIUM, parts.AGREEMENT),
        products=("COMSOL Multiphysics", "Battery Design Module"),
        notes=tuple(_notes(site, params)),
    )


VOLTAGE = Outcome("result_voltage.txt", "voltage of the electrode against lithium over time, in V")
LITHIUM = Outcome("result_lithium.txt", "lithium content on a regular grid at all stored times, as a fraction")


def _check(site: Site, params: HalfCellParams) -> None:
    site.need(params.active, "half_cell.active")
    site.need(params.electrolyte, "half_cell.electrolyte")
    if not _faces(site, site.collector, _solids(site, params)):
        raise BadInput(
            f"half_cell: neither particles nor binder touch the collector face {site.collector}. "
            "Choose another face in the mesher, or mesh another part."
        )
    if (site.separator, params.electrolyte) not in site.faces:
        raise BadInput(
            f"half_cell: {params.electrolyte!r} does not touch the separator face {site.separator}. "
            "Choose another collector in the mesher, or mesh another part."
        )
    if not _surface(site, params):
        raise BadInput(f"half_cell: {params.active!r} touches no electrolyte, so nothing can react. Check the phases.")


def _roles(site: Site, params: HalfCellParams) -> Roles:
    binder = site.domains.get(params.binder)
    active, electrolyte = site.domains[params.active], site.domains[params.electrolyte]
    return Roles(active.label, electrolyte.label, binder.label if binder else None)


def _solids(site: Site, params: HalfCellParams) -> list[str]:
    return [phase for phase in (params.active, params.binder) if phase in site.domains]


def _faces(site: Site, face: str, phases: list[str]) -> list[str]:
    return [site.faces[face, phase] for phase in phases if (face, phase) in site.faces]


def _surface(site: Site, params: HalfCellParams) -> list[str]:
    pairs = (frozenset({params.active, other}) for other in (params.electrolyte, params.binder))
    return [site.interfaces[pair] for pair in pairs if pair in site.interfaces]


def _parameters(site: Site, p: HalfCellParams) -> Iterator[Parameter]:
    of_plan = p.model_fields_set

    def one(name: str, field: str, unit: str, about: str, source: str) -> Parameter:
        return Parameter(name, number(getattr(p, field), unit), about, "plan" if field in of_plan else source)

    yield one("cs_max", "cs_max_mol_m3", "mol/m^3", "maximum lithium concentration", CHEN)
    yield one("soc_start", "soc_start", "", "lithium content at the start", CHEN)
    yield one("soc_end", "soc_end", "", "mean lithium content at the end", CHEN)
    yield one("sigma_active", "active_s_m", "S/m", "electronic conductivity, particles", CHEN)
    yield one("D_active", "active_m2_s", "m^2/s", "diffusivity of lithium, particles", CHEN)
    yield one("i0_active", "exchange_a_m2", "A/m^2", "exchange current density at half filling", CHEN)
    yield one("sigma_l", "electrolyte_s_m", "S/m", "conductivity, electrolyte", NYMAN)
    yield one("D_l", "electrolyte_m2_s", "m^2/s", "diffusivity of the salt", NYMAN)
    yield one("t_plus", "transference", "", "transference number of lithium", CHEN)
    yield one("dlnf", "activity", "", "activity of the salt, d ln f / d ln c", CHEN)
    yield one("cl_start", "salt_mol_m3", "mol/m^3", "salt concentration at the start", CHEN)
    yield one("sigma_binder", "binder_s_m", "S/m", "electronic conductivity, binder", LIBRARY)
    yield one(
        "eps_binder", "binder_porosity", "", "electrolyte-filled fraction of the binder", "typical of carbon-PVDF"
    )
    yield one("i0_lithium", "lithium_a_m2", "A/m^2", "exchange current density, lithium metal", "large: no limit")
    yield one("C_rate", "c_rate", "", "current in capacities an hour", "default")
    volume = site.domains[p.active].volume_um3
    yield Parameter("volume_active", number(volume, "um^3"), "volume of the particles", "the mesh")
    yield Parameter(
        "I_1C", "F_const*cs_max*abs(soc_end-soc_start)*volume_active/1[h]", "current of 1C", "charge balance"
    )
    sign = "-" if p.load == "lithiate" else ""
    yield Parameter("I_load", f"{sign}C_rate*I_1C", "current into the collector", "negative fills the particles")
    start = np.interp(p.soc_start, *np.array(p.equilibrium_v).T)
    yield Parameter("E_start", number(float(start), "V"), "equilibrium potential at the start", "equilibrium_v")
    yield Parameter("t_end", "1[h]/C_rate", "duration of the load", "charge balance")


def _fields(site: Site, p: HalfCellParams) -> Iterator[VoxelField]:
    names = [phase.name for phase in site.phases]
    electrons = {p.active: p.active_s_m, p.binder: p.binder_s_m}
    ions = {p.electrolyte: p.electrolyte_s_m, p.binder: p.electrolyte_s_m * p.binder_porosity**1.5}
    lithium = {p.active: p.active_m2_s}
    yield VoxelField("conductivity_electrons", "S/m", _by_phase(names, electrons), "electronic conductivity")
    yield VoxelField("conductivity_ions", "S/m", _by_phase(names, ions), "ionic conductivity")
    yield VoxelField("diffusivity_lithium", "m^2/s", _by_phase(names, lithium), "diffusivity of lithium")


def _by_phase(names: list[str], values: dict[str, float]) -> tuple[float, ...]:
    return tuple(values.get(name, 0.0) for name in names)


def _selections(site: Site, p: HalfCellParams) -> Iterator[Call]:
    everything = [*_solids(site, p), p.electrolyte]
    yield from parts.union("cell", "electrode and electrolyte", 3, [site.domains[name].label for name in everything])
    yield from parts.union("surface", "surface that inserts lithium", 2, _surface(site, p))
    yield from parts.union("collector", "current collector", 2, _faces(site, site.collector, _solids(site, p)))
    yield from parts.union("foil", "lithium metal", 2, _faces(site, site.separator, [p.electrolyte]))


def _results(p: HalfCellParams) -> Iterator[Call]:
    yield from parts.evaluation("volt1", "EvalGlobal", "dset1", "liion.phis0_ec1", "V", "voltage against lithium")
    yield from parts.table("tbl1", ["volt1"], VOLTAGE.file)
    yield from parts.grid_export("data1", "dset1", "c/cs_max", LITHIUM.file, p.export_points)


def _notes(site: Site, p: HalfCellParams) -> Iterator[str]:
    if p.binder not in site.domains:
        yield f"The mesh holds no phase {p.binder!r}: the model has no binder, and particles alone carry electrons."
    else:
        yield (
            "Binder that touches neither particles nor collector has no electric potential of its own: where COMSOL "
            "reports a singular matrix, have the mesher remove larger islands."
        )
