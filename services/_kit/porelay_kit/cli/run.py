"""`porelay run`: a stack goes in, a report comes out; one process, no server."""

import sys
from pathlib import Path

import click

from porelay_kit import planning
from porelay_kit.cli import BAD_INPUT, FAILED, UNREACHABLE, json_option, print_json
from porelay_kit.cli.console import print_table, watcher
from porelay_kit.runner import embedded
from porelay_kit.runner.embedded import Outcome
from porelay_kit.runner.state import RunState, stack_ref, start
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_schemas import planes as separate
from porelay_schemas.plan import voxel_um as parse_voxel


def _voxel(context: click.Context, parameter: click.Parameter, value: str | None) -> object:
    try:
        return None if value is None else parse_voxel(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def plan_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a shipped plan."""
    return [name for name in planning.shipped() if name.startswith(incomplete)]


@click.command()
@click.argument("stack", type=click.Path(path_type=Path))
@click.option("--plan", default="electrode", show_default=True, shell_complete=plan_names, help="A name or a file.")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the store.  [default: ./porelay-data]")
@click.option("--voxel-um", callback=_voxel, metavar="Z,Y,X", help="Voxel size in micrometres; one number for a cube.")
@click.option("--set", "changes", multiple=True, metavar="STAGE.PARAM=VALUE", help="Change a parameter of the plan.")
@click.option("--seed", type=int, help="Seed of everything that draws random numbers.")
@click.option("--truth", type=click.Path(path_type=Path), help="Known labels of the same voxels, to state Dice.")
@click.option(
    "--plane",
    "planes",
    multiple=True,
    metavar="AXIS=FILE",
    help="For anisotropic training from separate images, STACK being those across z: y=FILE, images across y with rows "
    "along z and columns along x; x=FILE, images across x with rows along z and columns along y.",
)
@click.option("--max-memory", metavar="SIZE", help="Peak memory of a stage, such as 4GiB.")
@click.option("--workers", type=int, help="Threads of a stage.")
@json_option
def run(
    stack: Path,
    plan: str,
    home: Path | None,
    voxel_um: tuple[float, float, float] | None,
    changes: tuple[str, ...],
    seed: int | None,
    truth: Path | None,
    planes: tuple[str, ...],
    max_memory: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Run all stages of a plan on STACK, a file or a folder of slices.

    Started again with the same words it continues where it was; stages that are done are not computed again.
    """
    settings = Settings.from_env(home=home, max_memory_bytes=max_memory, workers=workers)
    chosen = planning.load(plan, changes, voxel_um=voxel_um, seed=seed)
    store = FolderStore(settings.home)
    across = {axis: stack_ref(Path(file)) for axis, file in separate.parse(planes).items()}
    state = start(store, chosen, stack_ref(stack), stack_ref(truth) if truth else None, across)
    state.resume()
    with watcher(quiet=as_json) as watch:
        outcome = embedded.run(state, settings, watch)
    _answer(state, outcome, store, as_json)
    sys.exit(_code(outcome))


def _answer(state: RunState, outcome: Outcome, store: FolderStore, as_json: bool) -> None:
    path = store.local(outcome.report)
    if as_json:
        failures = {stage: failure.model_dump(mode="json") for stage, failure in outcome.failures.items()}
        results = {stage: result.model_dump(mode="json") for stage, result in outcome.results.items()}
        print_json({"run_id": state.run_id, "results": results, "failures": failures, "report": str(path)})
        return
    print_table(state.plan(), outcome)
    for failure in outcome.failures.values():
        click.echo(f"{failure.stage} failed ({failure.error}): {failure.text}", err=True)
    click.echo(f"report: {path}")


def _code(outcome: Outcome) -> int:
    if not outcome.failures:
        return 0
    errors = [failure.error for failure in outcome.failures.values()]
    if "StoreUnavailable" in errors:
        return UNREACHABLE
    return BAD_INPUT if all(failure.permanent for failure in outcome.failures.values()) else FAILED
