"""`porelay run`: a stack goes in, a report comes out; one process, no server."""

import sys
from pathlib import Path

import click

from porelay_kit.cli import BAD_INPUT, FAILED, UNREACHABLE, json_option, print_json
from porelay_kit.cli.console import print_table, watcher
from porelay_kit.cli.recipe import Recipe, recipe_options
from porelay_kit.cli.servers import home_option, place, store_at
from porelay_kit.runner import embedded
from porelay_kit.runner.embedded import Outcome
from porelay_kit.runner.state import RunState, stack_ref, start
from porelay_kit.settings import Settings


@click.command()
@recipe_options
@home_option
@click.option("--max-memory", metavar="SIZE", help="Peak memory of a stage, such as 4GiB.")
@click.option("--workers", type=int, help="Threads of a stage.")
@json_option
def run(
    recipe: Recipe,
    home: Path | None,
    max_memory: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Run all stages of a plan on STACK, here.

    STACK is a file or a folder of slices; all runs in this process, without any server. Started again with the same
    words it continues where it was; stages that are done are not computed again. The store is ./porelay-data, or
    the folder of --home or PORELAY_HOME, or the bucket of PORELAY_S3_URL, where `status` and `report` find the run,
    too. Use `porelay submit` to have workers run it.
    """
    settings = Settings.from_env(home=home, max_memory_bytes=max_memory, workers=workers)
    chosen, store = recipe.load(), store_at(home)
    across = {axis: stack_ref(file) for axis, file in recipe.across.items()}
    truth = stack_ref(recipe.truth) if recipe.truth else None
    state = start(store, chosen, stack_ref(recipe.stack), truth, across)
    state.resume()
    with watcher(quiet=as_json) as watch:
        outcome = embedded.run(state, settings, watch)
    answer(state, outcome, as_json=as_json)
    sys.exit(code(outcome))


def answer(state: RunState, outcome: Outcome, *, as_json: bool) -> None:
    """Print how a run has ended: the table, failures, and where the report is."""
    where = place(state.store, outcome.report)
    if as_json:
        failures = {stage: failure.model_dump(mode="json") for stage, failure in outcome.failures.items()}
        results = {stage: result.model_dump(mode="json") for stage, result in outcome.results.items()}
        print_json({"run_id": state.run_id, "results": results, "failures": failures, "report": where})
        return
    print_table(state.plan(), outcome)
    for failure in outcome.failures.values():
        click.echo(f"{failure.stage} failed ({failure.error}): {failure.text}", err=True)
    click.echo(f"report: {where}")


def code(outcome: Outcome) -> int:
    """Return the exit code of a run that has ended so."""
    if not outcome.failures:
        return 0
    errors = [failure.error for failure in outcome.failures.values()]
    if "StoreUnavailable" in errors:
        return UNREACHABLE
    return BAD_INPUT if all(failure.permanent for failure in outcome.failures.values()) else FAILED
