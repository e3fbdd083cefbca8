"""What the two physics put into a model, and what they refuse."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from comsol_blocks import PHASES
from pydantic import ValidationError

from porelay_comsol_bridge.methods.conduction import ConductionParams, conduction
from porelay_comsol_bridge.methods.half_cell import CURVE, HalfCellParams, half_cell
from porelay_comsol_bridge.recipe import Call, Imported, Recipe
from porelay_comsol_bridge.site import Site
from porelay_schemas.errors import BadInput


def calls(recipe: Recipe, *words: str) -> list[Call]:
    return [call for call in recipe.calls() if all(word in str(call) for word in words)]


def value(recipe: Recipe, name: str) -> str:
    return next(p.expression for p in recipe.parameters if p.name == name)


def last(call: Call) -> tuple:
    return call.chain[-1][1]


def without(site: Site, *phases: str, faces: bool = False) -> Site:
    """The site without these phases, or without their parts of the box faces."""
    kept = {key: label for key, label in site.faces.items() if key[1] not in phases}
    if faces:
        return replace(site, faces=kept)
    domains = {name: domain for name, domain in site.domains.items() if name not in phases}
    pairs = {pair: label for pair, label in site.interfaces.items() if not pair & set(phases)}
    return replace(site, domains=domains, faces=kept, interfaces=pairs)


def test_ions_go_through_the_pore_and_electrons_through_binder_and_particles(site):
    recipe = conduction(site, ConductionParams())
    inputs = {call.chain[1][1][0]: last(call)[1] for call in calls(recipe, "'input'")}
    assert inputs["ions"] == (Imported("pore"),)
    assert inputs["electrons"] == (Imported("cbd"), Imported("active_material"))
    assert inputs["collector_electrons"] == (Imported("z_min_cbd"), Imported("z_min_active_material"))
    assert inputs["separator_ions"] == (Imported("z_max_pore"),)


def test_each_study_solves_one_carrier(site):
    solved = [last(call) for call in calls(conduction(site, ConductionParams()), "setSolveFor")]
    assert solved == [("/physics/ec1", True), ("/physics/ec2", False), ("/physics/ec1", False), ("/physics/ec2", True)]


def test_conductivities_come_with_unit_and_source(site):
    recipe = conduction(site, ConductionParams(ions_s_m={"pore": 1.1}))
    assert value(recipe, "sigma_ions_pore") == "1.1[S/m]"
    assert value(recipe, "sigma_electrons_active_material") == "0.18[S/m]"
    sources = {p.name: p.source for p in recipe.parameters}
    assert sources["sigma_ions_pore"] == "plan"
    assert sources["sigma_electrons_active_material"] == "NMC811, Chen 2020"
    assert all(p.source for p in recipe.parameters)


def test_fields_hold_what_each_phase_conducts_in_the_order_of_the_plan(site):
    fields = {f.name: f.by_phase for f in conduction(site, ConductionParams()).fields}
    assert fields["phase_index"] == (0, 1, 2)
    assert fields["conductivity_ions"] == (0.9487, 0, 0)
    assert fields["conductivity_electrons"] == (0, 10, 0.18)


def test_a_carrier_that_cannot_cross_is_left_out_and_the_report_says_so(site):
    recipe = conduction(without(site, "pore", faces=True), ConductionParams())
    assert not calls(recipe, "V_ions")
    assert recipe.notes == ("No phase that conducts ions lies on both faces: its current is left out.",)


def test_nothing_that_conducts_from_face_to_face_is_refused(site):
    with pytest.raises(BadInput, match=r"reaches both z_min and z_max.*Say in the plan"):
        conduction(without(site, "pore", "cbd", "active_material", faces=True), ConductionParams())


def test_a_phase_that_is_not_listed_gets_a_relative_conductivity_and_a_note(site):
    strange = replace(site, phases=(PHASES[0], PHASES[1].model_copy(update={"name": "ysz"}), PHASES[2]))
    renamed = {"ysz": "cbd"}
    domains = {phase.name: site.domains[renamed.get(phase.name, phase.name)] for phase in strange.phases}
    recipe = conduction(replace(strange, domains=domains), ConductionParams())
    assert value(recipe, "sigma_electrons_ysz") == "1.0[S/m]"
    assert "'ysz': 1 S/m is taken" in recipe.notes[0]


def test_a_misspelt_phase_is_refused_with_the_nearest_one(site):
    with pytest.raises(BadInput, match=r"conduction.ions_s_m: the plan has no phase 'pores'. Did you mean 'pore'"):
        conduction(site, ConductionParams(ions_s_m={"pores": 1.0}))


@pytest.mark.parametrize(
    "wrong", [{"ions_s_m": {"pore": -1}}, {"voltage_v": 0}, {"element_order": 3}, {"run": "maybe"}]
)
def test_impossible_values_are_refused_before_anything_runs(wrong):
    with pytest.raises(ValidationError):
        ConductionParams(**wrong)


def test_the_half_cell_has_electrons_in_solids_ions_in_liquids_and_a_reaction_between(site):
    recipe = half_cell(site, HalfCellParams())
    inputs = {call.chain[1][1][0]: last(call)[1] for call in calls(recipe, "'input'")}
    assert inputs["surface"] == (Imported("pore_active_material"), Imported("cbd_active_material"))
    assert inputs["collector"] == (Imported("z_min_active_material"), Imported("z_min_cbd"))
    assert inputs["foil"] == (Imported("z_max_pore"),)
    created = {last(call)[0]: last(call)[1] for call in calls(recipe, "'liion'", "'create'") if len(call.chain) == 3}
    assert created["el1"] == "Electrode"
    assert created["pcb1"] == "PorousConductiveBinder"
    assert created["bei1"] == "InternalElectrodeSurface"


@pytest.mark.parametrize(("load", "ends", "sign"), [("lithiate", 0.9, "-C_rate"), ("delithiate", 0.1, "C_rate")])
def test_the_current_has_the_sign_of_the_load(site, load, ends, sign):
    recipe = half_cell(site, HalfCellParams(load=load, soc_end=ends, c_rate=0.5))
    assert value(recipe, "I_load") == f"{sign}*I_1C"
    assert value(recipe, "C_rate") == "0.5"


def test_one_c_moves_the_lithium_between_start_and_end_in_an_hour(site):
    recipe = half_cell(site, HalfCellParams())
    names = {p.name: float(p.expression.split("[")[0]) for p in recipe.parameters if p.expression[0].isdigit()}
    expression = value(recipe, "I_1C").replace("[h]", "").replace("F_const", "96485.33212")
    current = eval(expression, {"abs": abs}, {**names, "volume_active": names["volume_active"] * 1e-18}) / 3600
    moles = 63104.0 * (0.9 - 0.27) * 10 * 0.008e-18
    assert current == pytest.approx(96485.33212 * moles / 3600, rel=1e-9)


def test_the_default_equilibrium_potential_is_that_of_nmc811():
    assert dict(CURVE)[0.9] == pytest.approx(3.52, abs=0.05)
    assert 4.1 < dict(CURVE)[0.26] < 4.4
    assert all(later < earlier for (_, earlier), (_, later) in pairwise(CURVE))


def test_without_binder_the_model_has_none_and_says_so(site):
    recipe = half_cell(without(site, "cbd"), HalfCellParams())
    assert not calls(recipe, "pcb1")
    assert "has no binder" in recipe.notes[0]


@pytest.mark.parametrize(
    ("absent", "faces", "text"),
    [
        ("pore", True, "'pore' does not touch the separator face z_max"),
        ("pore", False, "half_cell.electrolyte: phase 'pore' is not in the mesh, which holds active_material, cbd"),
    ],
)
def test_a_cell_that_lacks_a_part_is_refused(site, absent, faces, text):
    with pytest.raises(BadInput, match=text):
        half_cell(without(site, absent, faces=faces), HalfCellParams())


def test_particles_that_touch_no_electrolyte_cannot_react(site):
    with pytest.raises(BadInput, match="touches no electrolyte"):
        half_cell(replace(site, interfaces={}), HalfCellParams())


def test_an_unknown_role_names_the_nearest_phase(site):
    with pytest.raises(BadInput, match=r"half_cell.active: the plan has no phase 'activ_material'. Did you mean"):
        half_cell(site, HalfCellParams(active="activ_material"))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"soc_end": 0.2}, "soc_end 0.2 must lie above soc_start 0.27"),
        ({"equilibrium_v": ((0.5, 4.0), (0.4, 4.1))}, "must rise"),
        ({"cs_max_mol_m3": math.inf}, "finite"),
    ],
)
def test_half_cell_parameters_that_contradict_each_other_are_refused(wrong, text):
    with pytest.raises(ValidationError, match=text):
        HalfCellParams(**wrong)
