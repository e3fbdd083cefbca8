"""Nodes of a resolved lithium half cell in COMSOL's Battery Design Module.

After COMSOL's application model heterogeneous_lib, with the particles as electrode domains of their own, since here
not all of them lie in binder. Every domain gets a node of our own, whatever a version calls the default one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from porelay_comsol_bridge import parts
from porelay_comsol_bridge.parts import COMPONENT
from porelay_comsol_bridge.recipe import MODEL, Call, Imported, isotropic

LIION, SOLID = COMPONENT.physics("liion"), COMPONENT.physics("ts")


@dataclass(frozen=True)
class Roles:
    """Labels of the domains that play the parts; no binder where the mesh has none."""

    active: str
    electrolyte: str
    binder: str | None


def materials(roles: Roles, equilibrium: tuple[tuple[float, float], ...]) -> Iterator[Call]:
    """Make the materials; that of the particles carries the equilibrium potential for the reaction."""
    yield from parts.material("mat1", roles.active, roles.active, "sigma_active")
    yield from parts.material("mat2", roles.electrolyte, roles.electrolyte, "0[S/m]")
    if roles.binder:
        yield from parts.material("mat3", roles.binder, roles.binder, "sigma_binder")
    yield from _curve(equilibrium)
    active, kind = COMPONENT.material("mat1"), "ElectrodePotential"
    yield active.propertyGroup("def").set("diffusion", isotropic("D_active"))
    yield active.propertyGroup("def").set("csmax", "cs_max")
    yield active.propertyGroup().create(kind, kind, "Equilibrium potential")
    yield active.propertyGroup(kind).set("cEeqref", "cs_max")
    yield active.propertyGroup(kind).set("Eeq", "ocp(c/cEeqref)")
    yield active.propertyGroup(kind).set("dEeqdT", "0[V/K]")
    yield active.propertyGroup(kind).addInput("concentration")


def _curve(equilibrium: tuple[tuple[float, float], ...]) -> Iterator[Call]:
    ocp = MODEL.func("ocp")
    yield MODEL.func().create("ocp", "Interpolation")
    yield ocp.label("Equilibrium potential over lithium content")
    yield ocp.set("funcname", "ocp")
    yield ocp.set("table", tuple((repr(content), repr(volt)) for content, volt in equilibrium))
    yield ocp.set("interp", "piecewisecubic")
    yield ocp.setIndex("fununit", "V", 0)
    yield ocp.setIndex("argunit", "1", 0)


def charge(roles: Roles, order: int) -> Iterator[Call]:
    """Set up electrons and ions and the current that is drawn."""
    yield COMPONENT.physics().create("liion", "LithiumIonBatteryMPH", "geom1")
    yield LIION.selection().named("cell")
    for name in ("electricpotentialionicphase", "concentration", "electricpotential"):
        yield LIION.prop("ShapeProperty").set(f"order_{name}", order)
    yield from _node("el1", "Electrode", roles.active)
    yield from _conducting("el1", "sigma_active")
    yield from _node("pore1", "Separator", roles.electrolyte)
    yield from _electrolyte("pore1", "1")
    if roles.binder:
        yield from _node("pcb1", "PorousConductiveBinder", roles.binder)
        yield from _electrolyte("pcb1", "eps_binder")
        yield from _conducting("pcb1", "sigma_binder")
        yield LIION.feature("pcb1").set("epss", "1-eps_binder")
        yield LIION.feature("pcb1").set("ElectricCorrModel", "NoCorr")
    yield LIION.feature("init1").set("cl", "cl_start")
    yield LIION.feature("init1").set("phis", "E_start")
    yield from _reactions()
    yield from _current()


def _node(tag: str, kind: str, label: str) -> Iterator[Call]:
    yield LIION.create(tag, kind, 3)
    yield LIION.feature(tag).selection().named(Imported(label))


def _conducting(tag: str, conductivity: str) -> Iterator[Call]:
    yield LIION.feature(tag).set("sigma_mat", "userdef")
    yield LIION.feature(tag).set("sigma", isotropic(conductivity))


def _electrolyte(tag: str, fraction: str) -> Iterator[Call]:
    node = LIION.feature(tag)
    values = {"sigmal": isotropic("sigma_l"), "Dl": isotropic("D_l"), "transpNum": "t_plus", "fcl": "dlnf"}
    yield node.set("epsl", fraction)
    for name, value in values.items():
        yield node.set(f"{name}_mat", "userdef")
        yield node.set(name, value)


def _reactions() -> Iterator[Call]:
    insertion, foil = LIION.feature("bei1").feature("er1"), LIION.feature("es1").feature("er1")
    yield LIION.create("bei1", "InternalElectrodeSurface", 2)
    yield LIION.feature("bei1").selection().named("surface")
    yield insertion.set("minput_concentration", "c")
    yield insertion.set("MaterialOption", "mat1")
    yield insertion.set("ElectrodeKinetics", "LithiumInsertion")
    yield insertion.set("i0_ref", "i0_active")
    yield LIION.create("es1", "ElectrodeSurface", 2)
    yield LIION.feature("es1").selection().named("foil")
    yield foil.set("Eeq_mat", "userdef")
    yield foil.set("Eeq", "0[V]")
    yield foil.set("i0_ref", "i0_lithium")


def _current() -> Iterator[Call]:
    yield LIION.create("ec1", "ElectrodeCurrent", 2)
    yield LIION.feature("ec1").selection().named("collector")
    yield LIION.feature("ec1").set("Its", "I_load")
    yield LIION.feature("ec1").set("phis0init", "E_start")


def particles(roles: Roles, order: int) -> Iterator[Call]:
    """Let lithium diffuse in the particles, and come and go with the reaction."""
    yield COMPONENT.physics().create("ts", "TransportInSolids", "geom1")
    yield SOLID.selection().named(Imported(roles.active))
    yield SOLID.prop("ShapeProperty").set("order_concentration", order)
    yield SOLID.feature("solid1").set("DiffusionMaterialList", "mat1")
    yield SOLID.feature("solid1").set("D_c_mat", "def")
    yield SOLID.feature("init1").setIndex("initc", "soc_start*cs_max", 0)
    yield SOLID.create("esc1", "ElectrodeSurfaceCoupling", 2)
    yield SOLID.feature("esc1").selection().named("surface")
    yield SOLID.feature("esc1").set("iloc_src", "root.comp1.liion.bei1.er1.iloc")
    yield SOLID.feature("esc1").set("n", 1)
    yield SOLID.feature("esc1").setIndex("Vib", -1, 0)


def study(time_steps: int) -> Iterator[Call]:
    """Find a consistent current distribution, then go through time."""
    yield MODEL.study().create("std1")
    cdi, time = (MODEL.study("std1").feature(tag) for tag in ("cdi", "time"))
    yield MODEL.study("std1").create("cdi", "CurrentDistributionInitialization")
    yield cdi.set("initType", "secondary")
    yield cdi.setSolveFor("/physics/liion", True)
    yield cdi.setSolveFor("/physics/ts", False)
    yield MODEL.study("std1").create("time", "Transient")
    yield time.set("tunit", "s")
    yield time.set("tlist", f"range(0,t_end/{time_steps},t_end)")
    yield time.setSolveFor("/physics/liion", True)
    yield time.setSolveFor("/physics/ts", True)
    yield MODEL.study("std1").setGenPlots(False)
