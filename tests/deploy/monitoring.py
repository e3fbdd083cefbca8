"""What the dashboards and alerts of deploy/monitoring ask of Prometheus."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import promql_parser as promql
import yaml

REPOSITORY = Path(__file__).parents[2]
MONITORING = REPOSITORY / "deploy" / "monitoring"
RULES = MONITORING / "rules" / "porelay.yaml"
sys.path.insert(0, str(MONITORING))

from boards import BOARDS  # noqa: E402

VARIABLES = {"__range": "10m", "__rate_interval": "20s"}
"""What Grafana sets itself."""

ELSEWHERE = {
    "DCGM_FI_DEV_GPU_UTIL": "NVIDIA's exporter needs its GPU; named as dcgm-exporter's default-counters.csv names it",
    "DCGM_FI_DEV_FB_USED": "the same",
}
"""Metrics that cannot be scraped here, and why."""


class Asked(NamedTuple):
    """An expression, and who asks it."""

    where: str
    expression: str


def build() -> ModuleType:
    """Return deploy/monitoring/build.py."""
    spec = importlib.util.spec_from_file_location("monitoring_build", MONITORING / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alerts() -> list[dict[str, Any]]:
    """Return all alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def of_panels() -> Iterator[Asked]:
    """Yield the expressions of all panels."""
    for board in BOARDS:
        for panel in board.panels():
            for legend, expression in panel.queries.items():
                yield Asked(f"{board.title} / {panel.title} / {legend}", expression)


def of_alerts() -> Iterator[Asked]:
    """Yield the expressions of all alerts."""
    yield from (Asked(rule["alert"], rule["expr"]) for rule in alerts())


def filled(expression: str, **chosen: str) -> str:
    """Return an expression with Grafana's variables replaced: all of everything, where nothing is chosen."""
    values = VARIABLES | chosen
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], ".+"), expression)


def metrics(expression: str) -> set[str]:
    """Return the metrics that an expression names; raise ValueError where it is none."""
    names: set[str] = set()

    def visit(node: object) -> bool:
        if isinstance(node, promql.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql.VectorSelector):
            names.add(node.name)
        return True

    promql.walk(promql.parse(filled(expression)), visit)
    return names
