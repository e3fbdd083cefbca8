"""One word for one thing: a stage is called the same in route, folders, chart, images and compose."""

import re
import tomllib
from typing import Any

import pytest
import yaml
from deploy.chart import CHART, REPOSITORY, container_of, pod_of, render

from porelay_schemas.route import STAGES

GPU = {"slicegan-trainer", "sampler"}


def test_the_folders_of_the_services_are_the_stages() -> None:
    folders = {path.parent.name for path in (REPOSITORY / "services").glob("*/pyproject.toml")}
    assert {name for name in folders if not name.startswith("_")} == set(STAGES)


def test_the_charts_services_are_the_stages() -> None:
    assert set(yaml.safe_load((CHART / "values.yaml").read_text())["services"]) == set(STAGES)


def test_the_charts_version_is_porelays() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == version


def composed(profile: str) -> dict[str, dict[str, Any]]:
    """Return the services of compose that run workers in a profile, variables at their defaults."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (REPOSITORY / "docker-compose.yml").read_text())
    services = yaml.safe_load(text)["services"]
    return {
        name: service
        for name, service in services.items()
        if profile in service.get("profiles", [profile]) and service.get("command", [])[:2] == ["porelay", "serve"]
    }


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_the_workers_of_compose_are_the_stages_and_each_serves_its_own(profile: str) -> None:
    """A service of the profile `gpu` has it in its name, compose having one list of names; its stage is its alias."""
    stages = {name: name.removesuffix("-gpu") for name in composed(profile)}
    assert sorted(stages.values()) == sorted(STAGES)
    for name, service in composed(profile).items():
        assert service["command"][2] == stages[name]
        assert name == stages[name] or stages[name] in service["networks"]["default"]["aliases"]
    assert {stages[name] for name in stages if name != stages[name]} == (GPU if profile == "gpu" else set())


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_and_chart_run_the_same_images_with_the_same_users(profile: str) -> None:
    chart = render(values={"services": {name: {"gpu": int(profile == "gpu" and name in GPU)} for name in STAGES}})
    for service in composed(profile).values():
        worker = chart.worker(service["command"][2])
        assert service["image"] == container_of(worker)["image"]
        (user,) = [one["secret"]["secretName"] for one in pod_of(worker)["volumes"] if one["name"] == "secrets"]
        assert any(f"/{user}:/secrets" in volume for volume in service["volumes"])
        security = pod_of(worker)["securityContext"]
        assert service["user"] == f"{security['runAsUser']}:{security['runAsGroup']}"
