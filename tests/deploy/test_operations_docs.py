"""deploy/README.md names what there is: alerts, commands, options, tests, sections."""

import re
from pathlib import Path

import click
import pytest
import yaml

from porelay_kit.cli import porelay

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "deploy" / "README.md"
TEXT = README.read_text()
RULES = REPOSITORY / "deploy" / "monitoring" / "rules" / "porelay.yaml"
COMMAND = re.compile(
    r"(?<!-n )(?<!-p )(?<!install )(?<!upgrade )(?<![\w/:-])porelay ([a-z]+)(?: ([a-z]+))?"
    r"((?: --[a-z-]+(?: [^-`|)\s]+)?)*)"
)
"""A command, what follows it if it is a word, and its options."""


def anchors() -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_alert_leads_to_its_section_and_every_section_has_its_alert():
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    alerts = {f"alert-{rule['alert'].lower()}" for rule in rules if "alert" in rule}
    assert alerts == {anchor for anchor in anchors() if anchor.startswith("alert-")}


def test_links_within_the_page_and_to_files_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        if target.startswith("https:"):
            continue
        assert (README.parent / path).exists(), target
        if not path:
            assert anchor in anchors(), target


def test_commands_and_options_exist():
    context = click.Context(porelay)
    found = COMMAND.findall(TEXT)
    assert len(found) > 40
    for first, second, rest in found:
        command = porelay.get_command(context, first)
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), second)
        assert command is not None, f"porelay {first} {second}"
        options = {name for parameter in command.params for name in parameter.opts}
        assert set(re.findall(r" (--[a-z-]+)", rest)) <= options, f"porelay {first} {second}{rest}"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"PORELAY_[A-Z0-9_]+", TEXT))))
def test_settings_exist(name: str):
    from porelay_kit.settings import PREFIX, Settings

    field = name.removeprefix(PREFIX).lower()
    assert field in Settings.model_fields or field.removesuffix("_file") in Settings.secrets()
