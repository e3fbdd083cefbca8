"""Which reader opens a stack: each looks at it, the first that knows it wins."""

from pathlib import Path

from porelay_ingest.files import head
from porelay_ingest.headers import check
from porelay_kit.bench import Bench
from porelay_kit.plugins import methods
from porelay_kit.runner.state import stack_ref
from porelay_schemas.errors import BadInput
from porelay_schemas.stacks import Stack
from porelay_schemas.volumes import StackRef

FAMILY = "reader"


def open_stack(ref: StackRef, bench: Bench) -> Stack:
    """Open a dropped stack with the installed readers.

    Raises BadInput where none knows it, where its header cannot be trusted, and where it is not what was dropped.
    """
    path = bench.stack(ref)
    if not ref.uri.startswith("file:"):
        _check_unchanged(path, ref)
    return open_path(path, ref.name, bench.workers)


def open_path(path: Path, name: str, workers: int) -> Stack:
    """Open a file or folder with the installed readers, its header checked; `name` is what errors call it."""
    check(path)
    for method in methods(FAMILY).values():
        stack: Stack | None = method.load()(path, workers=workers, params=method.params())
        if stack is not None:
            return stack
    raise _unknown(path, name)


def _check_unchanged(path: Path, ref: StackRef) -> None:
    found = stack_ref(path).sha256
    if found != ref.sha256:
        raise BadInput(
            f"{ref.name}: changed since it was dropped: its content has the digest {found[:12]}..., the run is about "
            f"{ref.sha256[:12]}... The changed stack becomes a run of its own; for this one put the old content back."
        )


def _unknown(path: Path, name: str) -> BadInput:
    known = "\n".join(f"  {reader}: {method.about}" for reader, method in methods(FAMILY).items())
    return BadInput(
        f"{name}: unknown format (the file begins with {head(path, 8)!r}), known are\n{known}\n"
        "Export the stack in one of these, or install a reader for it."
    )
