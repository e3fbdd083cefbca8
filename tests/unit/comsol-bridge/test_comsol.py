"""MPh itself, unchanged, builds and solves the model on a stand-in for COMSOL; and what happens when it cannot."""

import os
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest
from comsol_transcript import expected, seen

from porelay_comsol_bridge import simulate as simulation
from porelay_comsol_bridge.simulate import find_comsol, simulate
from porelay_schemas.errors import BadInput, LicenceBusy, Stopped


@pytest.fixture
def without_comsol(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("HOME", str(tmp_path))


def script(folder: Path, text: str) -> Path:
    (folder / simulation.SCRIPT).write_text(text)
    return folder


def run(folder: Path, timeout_s: float = 100.0) -> None:
    simulate(folder, cores=1, timeout_s=timeout_s, tick=lambda seconds: None)


def test_no_comsol_is_no_error(without_comsol):
    found = find_comsol()
    assert found.versions == ()
    assert found.why == "no COMSOL installation was found on this machine"


def test_a_search_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(simulation, "_FIND", "import time; time.sleep(60)")
    assert "did not end within 0.5 s" in find_comsol(timeout_s=0.5).why


def test_mph_that_is_not_installed_is_no_error(monkeypatch):
    monkeypatch.setattr(simulation, "_FIND", "import no_such_module_as_mph")
    assert find_comsol().why == "MPh is not installed (pip install mph)"


def test_mph_runs_the_python_script_and_comsol_sees_exactly_the_calls_of_the_recipe(stub_comsol, packed, recipe, block):
    assert find_comsol().versions == ("6.3",)
    run(packed)
    calls = [line for line in seen(stub_comsol, packed) if not line.startswith("label(")]
    assert calls == expected(recipe, block)
    log = (packed / "comsol.log").read_text()
    assert "porelay: COMSOL 6.3" in log
    assert "porelay: active_material: 60 tetrahedra" in log
    assert (packed / "electrode.mph").exists()
    for outcome in recipe.outcomes:
        assert (packed / outcome.file).exists()


def test_the_python_script_stops_when_the_mesh_came_in_otherwise(stub_comsol, conducting):
    mesh = conducting / "electrode.mphtxt"
    mesh.write_text(mesh.read_text().replace("\n0.4 ", "\n0.5 "))
    with pytest.raises(RuntimeError, match="not imported as it was written: selection 'active_material'"):
        run(conducting)
    assert not (conducting / "electrode.mph").exists()


def test_a_server_without_a_free_licence_is_tried_again_later(stub_comsol, conducting, monkeypatch):
    monkeypatch.setenv("STUB_COMPLAINT", "License error: -4. Licensed number of users already reached.")
    with pytest.raises(LicenceBusy, match="all COMSOL licences are in use"):
        run(conducting)


@pytest.mark.parametrize(
    "complaint",
    [
        "License error: -4. Licensed number of users already reached.",
        "Could not check out COMSOL: all licenses are in use.",
        "The licence for COMSOL is in use by somebody else",
    ],
)
def test_all_ways_to_say_that_licences_are_in_use_mean_later(tmp_path, complaint):
    with pytest.raises(LicenceBusy, match="tried again"):
        run(script(tmp_path, f"import sys; sys.exit({complaint!r})"))


def test_a_product_that_is_not_licensed_is_said_with_what_to_do(tmp_path):
    with pytest.raises(BadInput, match=r"no licence for what this physics needs.*BATTERYDESIGN.*'conduction'"):
        run(script(tmp_path, "import sys; sys.exit('License error: -5. No such feature exists: BATTERYDESIGN')"))


def test_any_other_failure_shows_the_end_of_the_log(tmp_path):
    with pytest.raises(RuntimeError, match=r"(?s)end of its log:.*unknown tag"):
        run(script(tmp_path, "print('building'); raise SystemExit('unknown tag')"))


def test_a_run_that_takes_too_long_is_ended_with_all_its_processes(tmp_path):
    started = tmp_path / "pid"
    child = f"""
        import pathlib, subprocess, time
        server = subprocess.Popen(["sleep", "60"])
        pathlib.Path({str(started)!r}).write_text(str(server.pid))
        time.sleep(60)
    """
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"timeout_s is 2.*run: never"):
        run(script(tmp_path, dedent(child)), timeout_s=2.0)
    assert time.monotonic() - began < 20
    assert gone(int(started.read_text()))


def test_a_cancelled_run_ends_comsol(tmp_path):
    def stop(seconds: float) -> None:
        raise Stopped("cancelled")

    with pytest.raises(Stopped):
        simulate(script(tmp_path, "import time; time.sleep(60)"), cores=0, timeout_s=60, tick=stop)


def gone(pid: int) -> bool:
    """Whether a process has ended, or waits only to be collected."""
    for _ in range(100):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
