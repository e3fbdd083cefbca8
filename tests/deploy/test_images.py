"""The images: what the Dockerfile installs is enough for the service, and no more than it asks for."""

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import distribution, distributions
from pathlib import Path
from types import ModuleType

import pytest
from deploy.chart import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from porelay_schemas.route import STAGES

IMAGES = REPOSITORY / "deploy" / "images"
DOCKERFILE = (IMAGES / "Dockerfile").read_text()
SERVICES = [*STAGES, "operator"]

IMPORTER = """\
import importlib, json, sys
absent, names = json.loads(sys.argv[1])

class Closed:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in absent:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

sys.meta_path.insert(0, Closed())
for name in names:
    importlib.import_module(name)
"""


def _recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe", IMAGES / "recipe.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECIPE = _recipe()


def names_of(folders: list[str]) -> set[str]:
    """Return the distributions of folders of ours."""
    return {name for name, folder in RECIPE.folders().items() if folder in folders}


def closure(names: set[str]) -> set[str]:
    """Return distributions with all that they depend on, as they are installed here."""
    found: set[str] = set()
    todo = {(canonicalize_name(name), frozenset[str]()) for name in names}
    while todo:
        name, extras = todo.pop()
        found.add(name)
        for text in distribution(name).requires or []:
            wanted = Requirement(text)
            wanted_name = canonicalize_name(wanted.name)
            environments = [{"extra": extra} for extra in extras or {""}]
            if wanted_name in found or (wanted.marker and not any(map(wanted.marker.evaluate, environments))):
                continue
            todo.add((wanted_name, frozenset(wanted.extras)))
    return found


@cache
def tops() -> dict[str, set[str]]:
    """Return the top-level modules of each installed distribution."""
    found: dict[str, set[str]] = {}
    for one in distributions():
        names = {path.parts[0].partition(".")[0] for path in one.files or [] if path.suffix in (".py", ".so", ".pyi")}
        found.setdefault(canonicalize_name(one.name), set()).update(names)
    return found


def modules_in(service: str) -> set[str]:
    """Return the top-level modules that the image of a service has."""
    ours = {name.replace("-", "_") for name in names_of([*RECIPE.own(service), *RECIPE.guests(service)])}
    return ours.union(*(tops().get(name, set()) for name in closure(names_of(RECIPE.own(service)))))


def modules_missing(service: str) -> set[str]:
    """Return the top-level modules that are installed here and not in the image of a service."""
    ours = {name.replace("-", "_") for name in RECIPE.folders()}
    return ours.union(*tops().values()) - modules_in(service)


def modules_used(service: str) -> list[str]:
    """Return what a service loads at work: its stage and all its methods, or the operator's commands."""
    if service == "operator":
        commands = REPOSITORY / "services/_kit/porelay_kit/cli"
        return [f"porelay_kit.cli.{path.stem}" for path in commands.glob("*.py") if path.stem != "__init__"]
    entries = distribution(f"porelay-{service}").entry_points
    return sorted({"porelay_kit.runner.serve", *(entry.module for entry in entries)})


def run_in_image(service: str, code: str, *words: str) -> str:
    """Run code that sees the modules of an image only; return what it said where it failed."""
    command = [
        sys.executable,
        "-c",
        code,
        json.dumps([sorted(modules_missing(service)), modules_used(service)]),
        *words,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr + done.stdout


def imports_of(folder: Path) -> set[str]:
    """Return the top-level modules that sources import, also inside functions."""
    found: set[str] = set()
    for path in folder.glob("porelay_*/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def test_hadolint_finds_nothing() -> None:
    command = [str(Path(sys.executable).parent / "hadolint"), str(IMAGES / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_there_is_an_image_of_each_stage_and_of_the_operator() -> None:
    assert sorted(RECIPE.services()) == sorted(SERVICES)
    known = re.search(r'suffix= known="(.*)"', (IMAGES / "build").read_text())
    assert known and known[1].split() == SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_all_that_its_service_loads(service: str) -> None:
    assert run_in_image(service, IMPORTER) == ""


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_all_that_its_sources_import_when_they_are_called(service: str) -> None:
    for folder in RECIPE.own(service):
        lacking = imports_of(REPOSITORY / folder) - modules_in(service) - set(sys.stdlib_module_names)
        assert not lacking, f"{service}: {folder} imports {lacking}"


def test_an_image_lacks_what_its_service_does_not_ask_for() -> None:
    for service in SERVICES:
        assert (
            ("torch" in modules_in(service))
            == (service in ("slicegan-trainer", "sampler"))
            == RECIPE.needs_torch(service)
        )
    assert "numba" not in modules_in("segment")
    assert "numba is not in the image" in run_in_image("segment", IMPORTER + "import numba\n")


@pytest.mark.parametrize("service", ["ingest", "operator"])
def test_who_makes_plans_knows_all_methods_and_loads_no_torch(service: str) -> None:
    plan = "sys.argv[1:] = ['plan', 'check', 'electrode-quick']\nfrom porelay_kit.cli import main\nmain()\n"
    assert run_in_image(service, IMPORTER + plan) == ""


def test_the_version_of_torch_is_that_of_the_laptop() -> None:
    (laptop,) = re.findall(r'"torch==(.*)"', (REPOSITORY / "Makefile").read_text())
    assert re.findall(r"TORCH=torch==([\d.]+)", DOCKERFILE) == [laptop, laptop]


def test_an_image_runs_as_the_user_and_with_the_folders_that_chart_and_compose_give() -> None:
    for line in ("USER 10001:10001", "VOLUME /cache", "HOME=/tmp", "PORELAY_CACHE=/cache", "PORELAY_HEALTH_PORT=8000"):
        assert line in DOCKERFILE, line


def test_nothing_but_sources_travels_to_the_engine() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!constraints.txt", "!deploy/images", "!shared_schemas", "!services"
    }  # fmt: skip


def image(service: str) -> str:
    """Return the image of a service that was built here; skip where there is none."""
    version = re.search(r'^version = "(.*)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    name = f"ghcr.io/porelay/{service}:{version[1]}"
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode
    ):
        pytest.skip(f"{name} is not on this machine; `deploy/images/build {service}` makes it where a Docker engine is")
    return name


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_that_was_built_loads_its_service_read_only_as_nobody_in_particular(service: str) -> None:
    code = f"import importlib\nfor name in {modules_used(service)}: importlib.import_module(name)"
    confined = ["--read-only", "--tmpfs", "/tmp", "--user", "10001", "--cap-drop", "ALL", "--network", "none"]
    command = ["docker", "run", "--rm", *confined, image(service), "python", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
