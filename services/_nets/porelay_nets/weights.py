"""Weights in files: safetensors only, never a pickle; the same tensors give the same bytes."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from porelay_nets.card import Architecture
from porelay_nets.networks import Generator, placed
from porelay_schemas.errors import BadInput


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors to a new file."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(0o644)


def read(path: Path) -> dict[str, Tensor]:
    """Read named tensors; raise BadInput where the file is damaged."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadInput(f"weights {path.name}: cannot be read ({error}). Train the generator again.") from error
    return tensors


def generator(path: Path, architecture: Architecture, *, device: str = "cpu") -> Generator:
    """Build the generator of a card with the weights of a file, ready to sample from (BatchNorm frozen).

    Raise BadInput where the weights are not those of this architecture.
    """
    built = Generator(architecture)
    try:
        built.load_state_dict(read(path))
    except RuntimeError as error:
        raise BadInput(
            f"weights {path.name}: they do not fit the card's architecture ({error}). "
            "Take the weights and the card of one training."
        ) from error
    return placed(built, device).eval()
