"""The Java and the Python script make the calls of the recipe, and neither can be broken by a text."""

import ast
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from comsol_transcript import expected, seen

from porelay_comsol_bridge.javacode import java_chain, java_script, literal
from porelay_comsol_bridge.methods.conduction import ConductionParams, conduction
from porelay_comsol_bridge.pythoncode import python_chain, python_script
from porelay_comsol_bridge.recipe import MODEL, Beside, Imported, Part, Recipe
from porelay_schemas.errors import BadInput

AWKWARD = "a\"b\\c\n\u00b5m \U0001f50b */ \\u0022 ${x} ''' {y}"


def test_a_call_reads_the_same_in_both_languages():
    call = MODEL.component("comp1").mesh("mesh1").create("imp1", "Import")
    assert java_chain(call) == 'component("comp1").mesh("mesh1").create("imp1", "Import")'
    assert python_chain(call) == "component('comp1').mesh('mesh1').create('imp1', 'Import')"


def test_values_are_written_in_the_types_of_comsols_overloads():
    call = MODEL.f(True, 3, 0.5, ("a", Imported("pore")), (1, 2), (("0", "1"),), Beside("x.txt"))
    assert java_chain(call) == (
        'f(true, 3, 0.5, new String[]{"a", imported(model, "pore")}, new int[]{1, 2}, '
        'new String[][]{{"0", "1"}}, beside("x.txt"))'
    )
    assert python_chain(call) == (
        "f(True, JInt(3), JDouble(0.5), JArray(JString)(['a', imported(model, 'pore')]), JArray(JInt)([1, 2]), "
        "JArray(JString, 2)([['0', '1']]), beside('x.txt'))"
    )


def test_java_literals_are_ascii_and_cannot_end_early():
    assert literal('"; System.exit(1); //') == '"\\"; System.exit(1); //"'
    assert literal("\u00b5m\n") == '"\\u00b5m\\n"'
    assert literal("\U0001f50b") == '"\\ud83d\\udd0b"'


def test_an_awkward_text_stays_one_value_in_python():
    tree = ast.parse(python_chain(MODEL.param().set(AWKWARD)))
    (argument,) = tree.body[0].value.args  # type: ignore[attr-defined]
    assert argument.value == AWKWARD


def test_a_recipe_that_builds_after_solving_is_refused():
    solved, built = Part("s", (MODEL.study("std1").run(),), solves=True), Part("b", (MODEL.label("x"),))
    with pytest.raises(BadInput, match="Put the solving parts last"):
        java_script(Recipe(parts=(solved, built), parameters=()))


def test_the_scripts_hold_all_calls_of_the_recipe(recipe):
    java, python = java_script(recipe), python_script(recipe)
    for call in recipe.calls():
        assert f"    model.{java_chain(call)};\n" in java
        assert f"    model.{python_chain(call)}\n" in python
    assert "PARTS\n" not in java
    assert "PARTS = ()" not in python
    compile(python, "build_electrode.py", "exec")


class Spy:
    """Stands for any COMSOL object in plain Python; the last call of a statement is the longest one logged."""

    def __init__(self, log: list[Any], chain: tuple[Any, ...] = ()) -> None:
        self._log, self._chain = log, chain

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Spy:
            chain = (*self._chain, (name, args))
            if self._log and self._log[-1] == self._chain:
                self._log.pop()
            self._log.append(chain)
            return Spy(self._log, chain)

        return call


def test_the_python_script_makes_exactly_the_calls_of_the_recipe(recipe, monkeypatch):
    fakes = types.ModuleType("jpype")
    fakes.JInt, fakes.JDouble, fakes.JString = int, float, str  # type: ignore[attr-defined]
    fakes.JArray = lambda kind, depth=1: lambda rows: _tuples(rows)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jpype", fakes)
    monkeypatch.setitem(sys.modules, "mph", types.ModuleType("mph"))
    scope: dict[str, Any] = {"__name__": "script", "__file__": "build_electrode.py"}
    exec(python_script(recipe), scope)
    scope |= {"beside": Beside, "imported": lambda model, label: Imported(label), "check_mesh": lambda *args: None}
    log: list[Any] = []
    for _, part, _ in scope["PARTS"]:
        part(Spy(log))
    assert log == [call.chain for call in recipe.calls()]


def _tuples(rows: Any) -> Any:
    return tuple(_tuples(row) for row in rows) if isinstance(rows, list) else rows


def compiled(recipe: Recipe, classes: Path, stub_classes: Path) -> str:
    """Compile the Java program as `comsol compile` would, with all warnings as errors; return its class path."""
    (classes / "BuildElectrode.java").write_text(java_script(recipe), encoding="ascii")
    command = ["javac", "-Xlint:all", "-Werror", "-cp", str(stub_classes), "BuildElectrode.java"]
    done = subprocess.run(command, cwd=classes, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return f"{stub_classes}{os.pathsep}{classes}"


def ran(program: str, folder: Path, log: Path) -> subprocess.CompletedProcess[str]:
    """Run it in the package's folder, as `comsol batch` would."""
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", program, "BuildElectrode"]
    env = {**os.environ, "STUB_LOG": str(log)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, env=env)


@pytest.fixture(scope="module")
def program(stub_classes, site, tmp_path_factory):
    return compiled(conduction(site, ConductionParams()), tmp_path_factory.mktemp("program"), stub_classes)


def test_the_java_program_compiles_and_makes_exactly_the_calls_of_the_recipe(
    packed, recipe, block, stub_classes, tmp_path
):
    done = ran(compiled(recipe, tmp_path, stub_classes), packed, tmp_path / "log")
    assert done.returncode == 0, done.stderr
    assert seen(tmp_path / "log", packed) == expected(recipe, block)
    assert "porelay: pore: 60 tetrahedra" in done.stdout
    for outcome in recipe.outcomes:
        assert (packed / outcome.file).exists()


def test_the_java_program_stops_when_the_mesh_came_in_otherwise_than_it_was_written(conducting, program, tmp_path):
    mesh = conducting / "electrode.mphtxt"
    text = mesh.read_text()
    mesh.write_text(text.replace("\n0.4 ", "\n0.5 "))  # the nodes of one side of the box move along x
    assert text != mesh.read_text()
    done = ran(program, conducting, tmp_path / "log")
    assert done.returncode != 0
    assert "the mesh was not imported as it was written: selection 'active_material'" in done.stderr
    assert "Do not trust this model" in done.stderr


def test_the_java_program_names_the_selections_there_are_when_one_is_missing(conducting, program, tmp_path):
    mesh = conducting / "electrode.mphtxt"
    mesh.write_text(mesh.read_text().replace("10 z_max_pore", "10 z_max_hole"))
    done = ran(program, conducting, tmp_path / "log")
    assert done.returncode != 0
    assert "no selection 'z_max_pore'" in done.stderr
    assert "'z_max_hole'" in done.stderr
