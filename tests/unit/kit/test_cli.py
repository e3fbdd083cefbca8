import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from porelay_kit.cli import COMMANDS, porelay
from porelay_kit.runner.state import RunState


def answer(*words):
    return CliRunner().invoke(porelay, [str(word) for word in words])


def completed(*words):
    """Return what a shell would offer after `words`, the last of which is unfinished."""
    environment = os.environ | {
        "_PORELAY_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("porelay", *words)),
        "COMP_CWORD": str(len(words)),
    }
    program = "from porelay_kit.cli import main; import sys; sys.argv = ['porelay']; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_help_and_version_answer():
    assert answer("--version").output.startswith("porelay, version ")
    for command in COMMANDS:
        assert answer(command, "--help").exit_code == 0


def test_a_misspelt_command_suggests_the_nearest():
    done = answer("statsu")
    assert done.exit_code == 2 and "Did you mean 'status'?" in done.output


def test_a_shell_completes_commands_plans_and_families():
    assert completed("pl") == ["plugins", "plan"]
    assert completed("run", "--plan", "electrode-") == ["electrode-quick"]
    assert completed("plugins", "me") == ["metric", "mesher"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell_names_the_program(shell):
    assert "porelay" in answer("completion", shell).output


def test_a_plan_is_shown_with_its_comments_or_in_full():
    shown = answer("plan", "show", "electrode").output
    assert shown.startswith("# The facility's plan") and "stripes of ion milling" in shown
    assert "patch_edge: 64" in answer("plan", "show", "electrode", "--full").output


def test_plan_list_and_check_answer_in_json_too():
    assert "electrode-quick" in json.loads(answer("plan", "list", "--json").output)
    assert json.loads(answer("plan", "check", "measure", "--json").output)["feeders"]["metrics"] == ["segment"]


def test_plugins_tell_parameters_with_default_unit_and_bounds():
    text = answer("plugins", "filter", "median").output
    assert "size = 3" in text and "voxels" in text and "at most" in text


def test_config_prints_the_environment_and_refuses_an_unknown_stage():
    assert "PORELAY_MAX_MEMORY_BYTES=" in answer("config").output
    assert "no stage is called 'polish'" in str(answer("config", "polish").exception)


def test_status_of_no_runs_and_cancel_of_an_unknown_one(tmp_path):
    assert "no runs in" in answer("status", "--home", tmp_path).output
    assert "not in" in str(answer("cancel", "nothing", "--home", tmp_path).exception)


def test_cancel_is_seen_by_the_run_and_forgotten_when_it_is_started_again(store):
    store.write("runs/r/run.json", b"{}")
    state = RunState(store, "r")
    state.run = lambda: None
    state.cancel(only_training=True)
    assert state.finish_training() and not state.cancelled()
    state.cancel()
    assert state.cancelled()
    state.resume()
    assert not state.cancelled()
