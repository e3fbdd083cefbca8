"""One word for one thing: a stage is called the same in route, folders, chart, images and compose."""

import tomllib
from collections.abc import Iterator

import yaml
from deploy.chart import CHART, REPOSITORY, container_of, render

from porelay_schemas.route import STAGES


def test_the_folders_of_the_services_are_the_stages() -> None:
    folders = {path.parent.name for path in (REPOSITORY / "services").glob("*/pyproject.toml")}
    assert {name for name in folders if not name.startswith("_")} == set(STAGES)


def test_the_charts_services_are_the_stages() -> None:
    assert set(yaml.safe_load((CHART / "values.yaml").read_text())["services"]) == set(STAGES)


def test_the_charts_version_is_porelays() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == version


def served() -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the services of compose whose command is `porelay serve`."""
    composed = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    for name, service in composed["services"].items():
        command = service.get("command") or ""
        if "serve" in (command.split() if isinstance(command, str) else command):
            yield name, service


def test_the_services_of_compose_are_the_stages_and_each_serves_its_own() -> None:
    assert {name for name, _ in served()} == set(STAGES)
    for name, service in served():
        command = service["command"]
        words = command.split() if isinstance(command, str) else command
        assert isinstance(words, list) and words[words.index("serve") + 1] == name


def test_compose_and_chart_run_the_same_images() -> None:
    found = render(values={"services": {name: {"gpu": 0} for name in STAGES}})
    for name, service in served():
        assert f"/{name}:" in str(service["image"]), f"{name}: {service['image']}"
        assert container_of(found.worker(name))["image"] == f"ghcr.io/porelay/{name}:0.1.0"
