"""Weights in files: the same bytes for the same tensors, clear words for files that do not fit."""

from pathlib import Path

import pytest
import torch

from porelay_nets import weights
from porelay_nets.card import Architecture
from porelay_nets.networks import Generator
from porelay_schemas.errors import BadInput

SMALL = Architecture(
    kind="labels", outputs=2, patch_edge=16, latent_channels=2, generator_widths=(4, 4), critic_widths=(4, 4)
)


def test_a_generator_comes_back_from_its_file_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = Generator(SMALL).eval()
    weights.write(tmp_path / "a.safetensors", generator.state_dict())
    weights.write(tmp_path / "b.safetensors", generator.state_dict())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = weights.generator(tmp_path / "a.safetensors", SMALL)
    assert not again.training
    for name, value in generator.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    weights.write(path, Generator(SMALL).state_dict())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"weights generator.safetensors: cannot be read .* Train the generator again"):
        weights.read(path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    weights.write(path, Generator(SMALL).state_dict())
    other = SMALL.model_copy(update={"outputs": 3})
    with pytest.raises(BadInput, match=r"do not fit the card's architecture"):
        weights.generator(path, other)
