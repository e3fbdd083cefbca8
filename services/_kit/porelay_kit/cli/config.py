"""`porelay config`: the settings of a process, where they come from and what they are now."""

import click

from porelay_kit.cli import json_option, print_json
from porelay_kit.settings import PREFIX, Settings
from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.route import STAGES


@click.command()
@click.argument("stage", required=False)
@json_option
def config(stage: str | None, as_json: bool) -> None:
    """Print the settings that a process of STAGE (or any) reads from its environment."""
    if stage and stage not in STAGES:
        raise BadInput(f"config: no stage is called {stage!r}. {nearest(stage, STAGES)}")
    settings = Settings.from_env()
    if as_json:
        print_json(settings.model_dump(mode="json"))
        return
    for name, field in Settings.model_fields.items():
        click.echo(f"{PREFIX}{name.upper()}={getattr(settings, name)}")
        click.echo(f"    {field.description}")
