"""Which reader opens a stack: each looks at it, the first that knows it wins."""

from pathlib import Path

from porelay_ingest.files import head
from porelay_kit.bench import Bench
from porelay_kit.plugins import methods
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import Stack
from porelay_schemas.volumes import StackRef

FAMILY = "reader"


def open_stack(ref: StackRef, bench: Bench) -> Stack:
    """Open a dropped stack with the installed readers; raise BadInput where none knows it."""
    path = bench.stack(ref)
    if path.is_file() and path.stat().st_size == 0:
        raise BadInput(f"{ref.name}: the file is empty (0 bytes). Copy it again.")
    for method in methods(FAMILY).values():
        stack: Stack | None = method.load()(path, workers=bench.workers, params=method.params())
        if stack is not None:
            return stack
    raise _unknown(path, ref.name)


def _unknown(path: Path, name: str) -> BadInput:
    known = "\n".join(f"  {reader}: {method.about}" for reader, method in methods(FAMILY).items())
    return BadInput(
        f"{name}: unknown format (the file begins with {head(path, 8)!r}), known are\n{known}\n"
        "Export the stack in one of these, or install a reader for it."
    )
