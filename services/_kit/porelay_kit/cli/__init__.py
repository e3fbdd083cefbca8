"""The command line: `porelay`.

Exit codes: 0 done, 1 a stage failed, 2 bad input or usage, 3 a server is unreachable or the disk is full.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from porelay_schemas.errors import Permanent, PorelayError, Retryable, Stopped

FAILED, BAD_INPUT, UNREACHABLE = 1, 2, 3

COMMANDS = {
    "run": "porelay_kit.cli.run:run",
    "serve": "porelay_kit.cli.serve:serve",
    "submit": "porelay_kit.cli.submit:submit",
    "status": "porelay_kit.cli.runs:status",
    "watch": "porelay_kit.cli.watch:watch",
    "report": "porelay_kit.cli.runs:report",
    "cancel": "porelay_kit.cli.runs:cancel",
    "dlq": "porelay_kit.cli.dlq:dlq",
    "reconcile": "porelay_kit.cli.reconcile:reconcile",
    "sweep": "porelay_kit.cli.sweep:sweep",
    "plugins": "porelay_kit.cli.plugins:plugins",
    "plan": "porelay_kit.cli.plan:plan",
    "topology": "porelay_kit.cli.topology:topology",
    "doctor": "porelay_kit.cli.doctor:doctor",
    "config": "porelay_kit.cli.config:config",
    "completion": "porelay_kit.cli.completion:completion",
}


class Lazy(click.Group):
    """Imports a command when it is used, so that help and completion answer at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Suggest the nearest command."""
        from porelay_schemas.errors import nearest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command is called {args[0]!r}. {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="porelay-kit", prog_name="porelay")
def porelay() -> None:
    """Turn image stacks of battery electrodes into simulation-ready 3D microstructures."""


def exit_code(error: PorelayError) -> int:
    """Return what a shell sees of an error."""
    if isinstance(error, Retryable):
        return UNREACHABLE
    return BAD_INPUT if isinstance(error, Permanent) else FAILED


def main() -> None:
    """Run the command line; every error of ours is one plain text, without a traceback."""
    # Threads of numeric libraries that wait by spinning make training several times slower on shared cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        porelay(standalone_mode=True)
    except Stopped as error:
        click.echo(str(error), err=True)
        sys.exit(FAILED)
    except PorelayError as error:
        click.echo(f"porelay: {error}", err=True)
        sys.exit(exit_code(error))


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")(function)


def print_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=1))
