"""Checkpoints in a folder: complete or absent, the last two kept, the newest one that can be read is used."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from porelay_slicegan_trainer.learner import Learner

KEPT = 2
PATTERN = "step-*.safetensors"


def keep(folder: Path, learner: "Learner") -> None:
    """Write all there is to resume from, so that a kill at any moment leaves the last checkpoint whole."""
    from porelay_nets import weights

    path = folder / f"step-{learner.step:09d}.safetensors"
    temporary = path.with_suffix(".tmp")
    weights.write(temporary, learner.tensors())
    _sync(temporary)
    os.replace(temporary, path)
    _sync(folder)
    for old in sorted(folder.glob(PATTERN))[:-KEPT]:
        old.unlink()


def newest(folder: Path) -> "dict[str, object] | None":
    """Return the tensors of the newest checkpoint that is whole, or None where there is none."""
    from porelay_nets import weights
    from porelay_schemas.errors import BadInput

    for path in sorted(folder.glob(PATTERN), reverse=True):
        try:
            return dict(weights.read(path))
        except BadInput:
            path.unlink()
    return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
