"""The alert rules, by Prometheus' own promtool."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring import MONITORING, REPOSITORY, RULES, alerts

CASES = MONITORING / "rules" / "tests" / "porelay.yaml"
NAMES = [rule["alert"] for rule in alerts()]
OPERATIONS = REPOSITORY / "deploy" / "README.md"


def promtool(*words: object) -> "subprocess.CompletedProcess[str]":
    if not shutil.which("promtool"):
        pytest.skip("Debian's package prometheus is not installed; deploy/apt-for-tests installs it")
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)


def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    for what, path in (("rules", RULES), ("config", MONITORING / "prometheus.yml")):
        done = promtool("check", what, path)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_heard_and_silent_where_its_cases_say() -> None:
    done = promtool("test", "rules", CASES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("spoilt", [{"expr": "vector(1) > 2"}, {"expr": "vector(1)"}, {"for": "0s"}], ids=str)
def test_the_cases_notice_alerts_that_are_never_heard_always_or_at_once(spoilt: dict[str, str], tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        group["rules"] = [rule | spoilt for rule in group["rules"]]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    cases = yaml.safe_load(CASES.read_text()) | {"rule_files": ["rules.yaml"]}
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(cases))
    done = promtool("test", "rules", tmp_path / "cases.yaml")
    assert set(re.findall(r'expr: "ALERTS.alertname=\W+(\w+)', done.stdout + done.stderr)) == set(NAMES)


@pytest.mark.parametrize("rule", alerts(), ids=NAMES)
def test_an_alert_says_how_grave_it_is_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    assert list(rule["labels"]) == ["severity"] and rule["labels"]["severity"] in ("warning", "critical")
    assert 10 < len(re.sub("{{.*?}}", "", said["summary"])) < 70 and not said["summary"].endswith(".")
    assert len(said["description"]) > 60 and said["description"].endswith(".")
    assert said["runbook_url"] == f"deploy/README.md#alert-{rule['alert'].lower()}"


def test_every_alert_has_a_heading_in_the_operators_guide() -> None:
    if not OPERATIONS.exists():
        pytest.skip("deploy/README.md is not there")
    headings = re.findall(r"^#+ (.+)$", OPERATIONS.read_text(), flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}
    anchors |= set(re.findall(r'<a (?:id|name)="([^"]+)"', OPERATIONS.read_text()))
    assert {f"alert-{name.lower()}" for name in NAMES} - anchors == set()
