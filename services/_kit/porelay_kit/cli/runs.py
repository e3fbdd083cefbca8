"""`porelay status`, `report` and `cancel`: what the store knows of runs."""

from pathlib import Path

import click

from porelay_kit.cli import json_option, print_json
from porelay_kit.runner.embedded import write_report
from porelay_kit.runner.state import RunState, run_ids
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore

home_option = click.option("--home", type=click.Path(path_type=Path), help="Folder of the store.")


def _store(home: Path | None) -> FolderStore:
    return FolderStore(Settings.from_env(home=home).home)


def known_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a run."""
    return [name for name in run_ids(_store(context.params.get("home"))) if name.startswith(incomplete)]


run_argument = click.argument("run_id", metavar="RUN", shell_complete=known_runs)


def _states(state: RunState) -> dict[str, str]:
    results, failures = state.results(), state.failures()
    waiting = "cancelled" if state.cancelled() else "waiting"
    return {
        stage: "done" if stage in results else "failed" if stage in failures else waiting
        for stage in state.plan().stages
    }


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=known_runs)
@home_option
@json_option
def status(run_id: str | None, home: Path | None, as_json: bool) -> None:
    """Tell how far RUN is, or all runs."""
    store = _store(home)
    states = {name: _states(RunState(store, name)) for name in ([run_id] if run_id else run_ids(store))}
    if as_json:
        print_json(states)
        return
    for name, stages in states.items():
        click.echo(name)
        for stage, state in stages.items():
            failure = RunState(store, name).failures().get(stage)
            click.echo(f"  {stage:<17} {state}" + (f"  {failure.text}" if failure and state == "failed" else ""))
    if not states:
        click.echo(f"no runs in {store.url}")


@click.command()
@run_argument
@home_option
@json_option
def report(run_id: str, home: Path | None, as_json: bool) -> None:
    """Write the report of RUN anew and print its path."""
    store = _store(home)
    state = RunState(store, run_id)
    state.run()
    path = str(store.local(write_report(state)))
    print_json({"run_id": run_id, "report": path}) if as_json else click.echo(path)


@click.command()
@run_argument
@click.option("--only-training", is_flag=True, help="End training with what it has learned; the run goes on.")
@home_option
@json_option
def cancel(run_id: str, only_training: bool, home: Path | None, as_json: bool) -> None:
    """Stop RUN. Nothing is lost: started again, it continues."""
    RunState(_store(home), run_id).cancel(only_training=only_training)
    print_json({"run_id": run_id, "cancelled": True}) if as_json else click.echo(f"{run_id}: asked to stop")
