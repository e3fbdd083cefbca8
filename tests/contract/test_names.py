"""One word for one thing: folder = stage = command argument; import = porelay_<stage_with_underscores>."""

import tomllib
from pathlib import Path

import pytest

from porelay_schemas.route import FAMILIES, ROUTE, STAGES, group

SERVICES = Path(__file__).parents[2] / "services"


def test_the_folders_are_the_stages():
    folders = {path.name for path in SERVICES.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}
    assert folders == set(STAGES)


@pytest.mark.parametrize("stage", ROUTE, ids=lambda stage: stage.name)
def test_a_service_is_one_folder_with_the_same_few_names(stage):
    folder = SERVICES / stage.name
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"porelay-{stage.name}"
    assert (folder / "README.md").exists()
    for name in ("__init__.py", "py.typed", "stage.py", "methods/__init__.py"):
        assert (folder / stage.package / name).exists(), name
    points = project["entry-points"]
    assert points["porelay.stage"] == {stage.name: f"{stage.package}.stage:run"}
    owned = {group(family) for family, owner in FAMILIES.items() if owner == stage.name}
    assert set(points) - {"porelay.stage", "porelay.companion"} == owned
    for family in owned:
        for target in points[family].values():
            assert target.startswith(f"{stage.package}.methods.")
