"""The dashboards' JSON: up to date, of the SDK's types, and whole. No Grafana runs here."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.monitoring import BOARDS, ELSEWHERE, MONITORING, Asked, alerts, build, metrics, of_alerts, of_panels
from porelay_schemas.route import STAGES

BUILT_IN = {"__range", "__rate_interval"}
OURS = re.compile(r"porelay_\w+")
FORBIDDEN = ("run_id", "run=", "artifact")
"""No series may be told apart by what grows without end."""

TITLES = {board.name: board for board in BOARDS}


def loaded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "dashboards" / f"{name}.json").read_text())
    return found


def variables_in(thing: Any) -> Iterator[str]:
    """Yield the variables that any text of a dashboard uses."""
    if isinstance(thing, dict):
        for value in thing.values():
            yield from variables_in(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from variables_in(value)
    elif isinstance(thing, str) and not thing.startswith("$__"):
        yield from (found[1] for found in re.finditer(r"\$\{?(\w+)", thing))


def test_the_generated_files_are_up_to_date_and_no_others_are_there() -> None:
    documents = build().documents()
    stale = [str(path) for path, text in documents.items() if not path.exists() or path.read_text() != text]
    assert not stale, f"run `python deploy/monitoring/build.py`: {stale}"
    for folder in {path.parent for path in documents}:
        assert {path for path in folder.iterdir() if path.is_file()} <= set(documents)


@pytest.mark.parametrize("name", TITLES)
def test_a_dashboard_is_read_by_the_sdks_types_without_loss(name: str) -> None:
    found = loaded(name)
    assert json.loads(json.dumps(Dashboard.from_json(found), cls=JSONEncoder)) == found


@pytest.mark.parametrize("name", TITLES)
def test_ids_are_unique_and_no_panel_covers_another(name: str) -> None:
    panels = loaded(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    boxes = [(panel["title"], panel["gridPos"]) for panel in panels]
    for title, box in boxes:
        assert box["x"] + box["w"] <= 24, title
    for (one, a), (other, b) in combinations(boxes, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], f"{one} covers {other}"


def test_dashboards_have_names_of_their_own_and_link_to_each_other() -> None:
    found = [loaded(name) for name in TITLES]
    assert len({board["uid"] for board in found}) == len({board["title"] for board in found}) == len(BOARDS) == 4
    for board in found:
        (link,) = board["links"]
        assert link["type"] == "dashboards" and set(link["tags"]) <= set(board["tags"]) and link["includeVars"]


@pytest.mark.parametrize("name", TITLES)
def test_every_variable_exists_is_used_and_says_what_it_is(name: str) -> None:
    found = loaded(name)
    declared = {one["name"]: one for one in found["templating"]["list"]}
    used = set(variables_in(found)) - BUILT_IN
    assert used == set(declared)
    assert all(one.get("description") or one["type"] == "datasource" for one in declared.values())


@pytest.mark.parametrize("name", TITLES)
def test_every_panel_says_in_words_what_it_shows_and_what_to_do_when_its_colour_changes(name: str) -> None:
    panels = list(TITLES[name].panels())
    assert len({panel.title for panel in panels}) == len(panels)
    for panel in panels:
        assert len(panel.text) > 20 and panel.text.endswith("."), panel.title
        if panel.red or panel.orange:
            assert re.search("Red[: ]" if panel.red else "Orange:|Rising:", panel.text), panel.title
        assert len(panel.queries) <= 6, "there are six letters"


@pytest.mark.parametrize("asked", [*of_panels(), *of_alerts()], ids=lambda asked: asked.where)
def test_an_expression_is_promql_and_tells_nothing_apart_that_grows_without_end(asked: Asked) -> None:
    assert metrics(asked.expression)
    assert not [word for word in FORBIDDEN if word in asked.expression]


def test_no_metric_of_ours_is_left_unwatched() -> None:
    """What is exposed in vain is not worth its series."""
    from porelay_kit.broker.base import Pulse
    from porelay_kit.census import Census
    from porelay_kit.meter import Meter
    from porelay_kit.settings import Settings

    meter = Meter(tuple(STAGES), lambda: Pulse(0, 30, True, True))
    meter.show_limits(tuple(STAGES), Settings())
    Census(meter.registry, None)  # type: ignore[arg-type]
    exposed = {family.name for family in meter.registry.collect() if OURS.match(family.name)}
    named = {metric for one in (*of_panels(), *of_alerts()) for metric in metrics(one.expression)}
    asked = {re.sub("_(total|bucket|sum|count)$", "", metric) for metric in named if OURS.match(metric)}
    assert exposed == asked


def test_what_cannot_be_scraped_here_is_used_by_a_panel() -> None:
    assert set(ELSEWHERE) <= {metric for one in of_panels() for metric in metrics(one.expression)}


def test_prometheus_finds_every_service_at_its_port_and_the_broker_with_the_names_of_its_queues() -> None:
    jobs = {
        job["job_name"]: job for job in yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    }
    (workers,) = jobs["porelay"]["dns_sd_configs"]
    assert (workers["names"], workers["port"]) == (list(STAGES), 8000)
    assert jobs["rabbitmq-queues"]["params"]["family"] == ["queue_coarse_metrics", "queue_consumer_count"]


def test_the_same_metric_is_red_in_a_panel_where_its_alert_is_heard() -> None:
    texts = {rule["alert"]: rule["expr"] for rule in alerts()}
    limits = {panel.title: panel.red for board in BOARDS for panel in board.panels()}
    assert f"> {limits['Oldest incomplete drop']}" in texts["PorelayDropWaitsLong"]
    assert f"> {limits['Oldest unfinished run'] // 3600} * 3600" in texts["PorelayRunUnfinished"]
    assert f"> {limits['Counted'] // 60} * 60" in texts["PorelayCensusStale"]
    assert f"> {limits['Oldest kept checkpoint, of its budget']} *" in texts["PorelayCheckpointOld"]
