"""`porelay plan`: show, check and list plans."""

import click

from porelay_kit import planning
from porelay_kit.cli import json_option, print_json
from porelay_kit.cli.recipe import plan_names

plan_argument = click.argument("name", metavar="NAME|FILE", shell_complete=plan_names)


@click.group()
def plan() -> None:
    """Show, check and list plans."""


@plan.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the shipped plans."""
    abouts = {name: planning.load(name).about for name in planning.shipped()}
    if as_json:
        print_json(abouts)
        return
    for name, about in abouts.items():
        click.echo(f"{name:<18} {about}")


@plan.command()
@plan_argument
@click.option("--full", is_flag=True, help="Every parameter, defaults filled in, without the comments.")
@json_option
def show(name: str, full: bool, as_json: bool) -> None:
    """Print a plan, with its comments, to be copied and changed."""
    if as_json:
        print_json(planning.load(name).model_dump(mode="json"))
    else:
        click.echo(planning.dump(planning.load(name)) if full else planning.text(name), nl=False)


@plan.command()
@plan_argument
@click.option("--set", "changes", multiple=True, metavar="STAGE.PARAM=VALUE", help="Change a parameter first.")
@json_option
def check(name: str, changes: tuple[str, ...], as_json: bool) -> None:
    """Check a plan: methods, parameters, and which stage feeds which."""
    checked = planning.load(name, changes)
    feeds = {stage: list(checked.feeders(stage)) if stage != "ingest" else [] for stage in checked.stages}
    if as_json:
        print_json({"name": checked.name, "digest": checked.digest(), "feeders": feeds})
        return
    for stage, feeders in feeds.items():
        used = ", ".join(call.method for call in checked.stages[stage].use)
        click.echo(f"{stage:<17} after {', '.join(feeders) or 'the drop':<24} {used}")
    click.echo(f"{checked.name}: good")
