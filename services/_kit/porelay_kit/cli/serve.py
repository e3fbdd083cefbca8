"""`porelay serve`: workers on the broker."""

import os
import sys
import threading
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path

import click

from porelay_kit.broker import open_broker
from porelay_kit.settings import PREFIX, Settings
from porelay_schemas.errors import BadInput, nearest
from porelay_schemas.route import STAGES

SHARE = 4
"""Of the memory that one stage may use by default, each of eight that run side by side gets one part in so many."""


def _stage(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in STAGES:
            raise click.BadParameter(f"no stage is called {name!r}. {nearest(name, STAGES)}")
    return tuple(dict.fromkeys(names))


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in STAGES if name.startswith(incomplete)]


@click.command()
@click.argument("stages", nargs=-1, callback=_stage, shell_complete=_complete, metavar="STAGE...")
@click.option("--all", "every", is_flag=True, help="All stages, a process each, started again when they die.")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the store, where it is no bucket.")
@click.option("--max-memory", metavar="SIZE", help="Peak memory of a stage, such as 4GiB.")
@click.option("--workers", type=int, help="Threads of a stage.")
@click.option("--health-port", type=int, help="Port of /livez, /readyz and /metrics; with --all also the next ones.")
@click.option("--log-json", is_flag=True, help="Write the log as JSON, one document a line.")
@click.option("--supervised", is_flag=True, hidden=True, help="End when the standard input ends.")
def serve(
    stages: tuple[str, ...],
    every: bool,
    home: Path | None,
    max_memory: str | None,
    workers: int | None,
    health_port: int | None,
    log_json: bool,
    supervised: bool,
) -> None:
    """Work on what the broker brings for STAGE, or for several; broker and store are named by PORELAY_ variables.

    On SIGTERM it takes nothing more and finishes what it holds; a training saves and hands over.
    """
    if bool(stages) == every:
        raise click.UsageError(f"name stages, or give --all. Stages: {', '.join(STAGES)}.")
    settings = Settings.from_env(home=home, max_memory_bytes=max_memory, workers=workers, health_port=health_port)
    stages = stages or tuple(STAGES)
    _check_installed(stages)
    from porelay_kit.log import Log
    from porelay_kit.runner import serve as runner

    leaving, log = threading.Event(), Log(as_json=log_json)
    runner.leave_on_signals(leaving)
    if supervised:
        runner.leave_with_parent(leaving)
    if not every:
        runner.serve(stages, settings, log, leaving)
        return
    from porelay_kit.runner.supervisor import supervise

    with closing(open_broker(settings)):
        runner.checked(settings)
    commands = {stage: _command(stage, index, settings, log_json) for index, stage in enumerate(stages)}
    supervise(commands, log, leaving, grace_s=settings.grace_s)


def _check_installed(stages: tuple[str, ...]) -> None:
    installed = {entry.name for entry in entry_points(group="porelay.stage")}
    for stage in stages:
        if stage not in installed:
            raise BadInput(f"stage {stage!r} is not installed. Run: pip install porelay-{stage}")


def _command(stage: str, index: int, settings: Settings, log_json: bool) -> tuple[list[str], dict[str, str]]:
    """Return the command of one stage's process, and its variables; secrets stay in the environment, where they are."""
    words = [sys.executable, "-m", "porelay_kit", "serve", stage, "--supervised", *(["--log-json"] if log_json else [])]
    memory = settings.max_memory_bytes
    if "max_memory_bytes" not in settings.model_fields_set:
        memory = max(memory // SHARE, 2**26)
    values = {
        "HOME": os.fspath(settings.home),
        "MAX_MEMORY_BYTES": str(memory),
        "WORKERS": str(settings.workers),
        "HEALTH_PORT": str(settings.health_port + index if settings.health_port else 0),
    }
    return words, {PREFIX + name: value for name, value in values.items()}
