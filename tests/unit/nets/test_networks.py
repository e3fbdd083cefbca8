"""The generator's geometry: sizes, the fused last stage against the plain one, shift invariance, exact period."""

import pytest
import torch
from torch.nn import functional

from porelay_nets import geometry
from porelay_nets.card import Architecture
from porelay_nets.fused import coarse_kernel, interleave
from porelay_nets.networks import Critic, Generator


def small(stages: int = 2, **given: object) -> Architecture:
    edge = geometry.edge(stages, 4)
    shape = {"kind": "labels", "outputs": 3, "patch_edge": edge, "latent_channels": 4, "critic_widths": (4, 8)}
    return Architecture.model_validate(shape | {"generator_widths": (8,) * stages} | given)


def built(architecture: Architecture) -> Generator:
    """A generator with random weights and random BatchNorm statistics, in double precision."""
    torch.manual_seed(1)
    generator = Generator(architecture).double().eval()
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return generator


def plain_logits(generator: Generator, latent: torch.Tensor) -> torch.Tensor:
    """The last stage as it is defined: resize by exactly 2, convolve without padding, crop one voxel."""
    features = functional.interpolate(generator.features(latent), scale_factor=2, mode="trilinear", align_corners=False)
    return generator.last(features)[..., 1:-1, 1:-1, 1:-1]


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("nodes", [3, 4, 5])
def test_edge_is_as_many_voxels_as_the_generator_gives(stages: int, nodes: int) -> None:
    torch.manual_seed(0)
    architecture = small(stages, critic_widths=(4,))
    output = Generator(architecture)(torch.randn(1, 4, nodes, nodes, nodes + 1))
    edge = 2 ** (stages + 1) * (nodes - 2)
    assert geometry.edge(stages, nodes) == edge
    assert output.shape == (1, 3, edge, edge, edge + 2 ** (stages + 1))
    assert geometry.nodes(stages, edge) == nodes
    assert geometry.nodes(stages, edge + 1) == nodes + 1


def test_the_paper_size_takes_four_nodes_to_64_voxels() -> None:
    assert geometry.edge(4, 4) == 64


def test_the_fused_last_stage_equals_resize_convolve_crop() -> None:
    generator = built(small())
    latent = torch.randn(2, 4, 4, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(generator.logits(latent), plain_logits(generator, latent), rtol=0, atol=1e-12)


def test_the_coarse_kernel_of_a_constant_keeps_its_sum() -> None:
    kernel = coarse_kernel(torch.ones(1, 1, 3, 3, 3, dtype=torch.float64))
    assert kernel.shape == (8, 1, 3, 3, 3)
    torch.testing.assert_close(kernel.sum(dim=(1, 2, 3, 4)), torch.full((8,), 27.0, dtype=torch.float64))


def test_interleave_puts_parities_where_they_belong() -> None:
    coarse = torch.arange(8.0).view(1, 8, 1, 1, 1)
    assert interleave(coarse, 1).flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_latent_node_later_the_volume_is_one_factor_later() -> None:
    generator = built(small())
    latent = torch.randn(1, 4, 6, 4, 4, dtype=torch.float64)
    whole, later = generator.logits(latent), generator.logits(latent[:, :, 1:])
    torch.testing.assert_close(whole[:, :, 8:], later, rtol=0, atol=1e-12)


def test_wrapped_latents_give_an_exactly_periodic_volume() -> None:
    generator = built(small())
    period = torch.randn(1, 4, 4, 4, 4, dtype=torch.float64)
    twice = torch.cat([period, period, period[:, :, :2]], dim=2)
    logits = generator.logits(twice)
    assert logits.shape[2] == 64
    assert (logits[:, :, :32] - logits[:, :, 32:]).abs().max() < 1e-12


def test_a_voxel_depends_on_three_nodes_and_no_more() -> None:
    generator = built(small())
    latent = torch.randn(1, 4, 9, 3, 3, dtype=torch.float64)
    changed = latent.clone()
    changed[:, :, 4] += 1
    differs = (generator.logits(latent) != generator.logits(changed)).flatten(3).any(-1).any(1)[0]
    touched = differs.nonzero()
    assert touched.min() >= 8 * 2
    assert touched.max() < 8 * 5
    assert geometry.reach(2) == 24


def test_labels_come_as_probabilities_and_grey_between_0_and_1() -> None:
    torch.manual_seed(0)
    latent = torch.randn(1, 4, 3, 3, 3)
    phases = Generator(small())(latent)
    grey = Generator(small(kind="grey", outputs=1))(latent)
    torch.testing.assert_close(phases.sum(dim=1), torch.ones(1, 8, 8, 8))
    assert grey.shape == (1, 1, 8, 8, 8)
    assert 0 < grey.min() < grey.max() < 1


def test_the_critic_gives_one_score_a_slice_whatever_the_other_slices_are() -> None:
    torch.manual_seed(0)
    critic = Critic(small())
    slices = torch.rand(5, 3, 16, 16)
    scores = critic(slices)
    assert scores.shape == (5,)
    torch.testing.assert_close(critic(slices[2:3]), scores[2:3])


def test_a_patch_that_the_stages_cannot_give_is_refused_with_those_that_fit() -> None:
    with pytest.raises(ValueError, match=r"multiples of 8 = 2\^\(2 \+ 1\) voxels. Use 16 or 24"):
        small(patch_edge=20)
    with pytest.raises(ValueError, match=r"4 halvings do not divide a patch of 16"):
        small(critic_widths=(4, 4, 4, 4))
