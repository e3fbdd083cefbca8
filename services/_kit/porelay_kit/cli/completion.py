"""`porelay completion`: the line that makes a shell complete commands, plans, families and runs."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL: eval "$(porelay completion bash)"."""
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "porelay", "_PORELAY_COMPLETE").source())
