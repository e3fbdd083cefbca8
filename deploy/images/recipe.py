"""Install one service into a virtual environment: `recipe.py common|service SERVICE`, run by the Dockerfile.

A service gets the packages of its own `pyproject.toml` and nothing else. Who makes plans must know the parameters of
all methods: those images hold all packages of ours, the others without what these depend on.
"""

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OPERATOR = "operator"
PLANNERS = ("ingest", OPERATOR)
COMMON = ("shared_schemas", "services/_kit")


def folders() -> dict[str, str]:
    """Return the folder of each package of ours."""
    found = [*sorted(ROOT.glob("services/*/pyproject.toml")), ROOT / "shared_schemas/pyproject.toml"]
    return {_project(path.parent)["name"]: str(path.parent.relative_to(ROOT)) for path in found}


def services() -> list[str]:
    """Return what images are made of: the services, and the operator's commands."""
    return [path.name for path in sorted(ROOT.glob("services/[!_]*"))] + [OPERATOR]


def own(service: str) -> list[str]:
    """Return the folders of our packages that a service is made of, what others need first."""
    found = list(COMMON)
    if service != OPERATOR:
        _add(f"services/{service}", found)
    return found


def guests(service: str) -> list[str]:
    """Return the folders that come without what they depend on."""
    return sorted(set(folders().values()) - set(own(service))) if service in PLANNERS else []


def needs_torch(service: str) -> bool:
    """Return whether a package of a service asks for PyTorch."""
    return any(one.startswith("torch") for folder in own(service) for one in _project(ROOT / folder)["dependencies"])


def _add(folder: str, found: list[str]) -> None:
    for name in _project(ROOT / folder)["dependencies"]:
        needed = folders().get(name)
        if needed and needed not in found:
            _add(needed, found)
    found.append(folder)


def _project(folder: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", os.environ["VENV"] + "/bin/python", "install", *words]
    print("+", *command, flush=True)  # noqa: T201
    subprocess.run(command, check=True, cwd=ROOT)


def _wheels(names: list[str]) -> list[str]:
    """Return the wheels that were built of folders: given by path, no index can slip in another of that name."""
    projects = [_project(ROOT / name)["name"].replace("-", "_") for name in names]
    return [str(path) for project in projects for path in Path(os.environ["WHEELS"]).glob(f"{project}-*.whl")]


def main(what: str, service: str = OPERATOR) -> None:
    """Install what all images share, or what one service adds."""
    if what == "common":
        _pip("-c", "constraints.txt", *_wheels(list(COMMON)))
        return
    if service not in services():
        raise SystemExit(f"SERVICE={service!r} is none of {', '.join(services())}. Name one of them.")
    began = time.time()
    if needs_torch(service):
        _pip("-c", "constraints.txt", os.environ["TORCH"], *_torch_index())
    _pip("-c", "constraints.txt", *_wheels(own(service)))
    if guests(service):
        _pip("--no-deps", *_wheels(guests(service)))
    _keep_what_is_new(began)


def _keep_what_is_new(since: float) -> None:
    """Link what was installed since then: the layer that an image adds to the one that all share."""
    venv, added = Path(os.environ["VENV"]), Path(os.environ["ADDED"])
    for path in venv.rglob("*"):
        if path.is_file() and path.stat().st_ctime >= since:
            target = added / path.relative_to(venv)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)  # a copy would double what a build with CUDA takes


def _torch_index() -> list[str]:
    index = os.environ.get("TORCH_INDEX_URL")
    return ["--extra-index-url", index] if index else []


if __name__ == "__main__":
    main(*sys.argv[1:])
