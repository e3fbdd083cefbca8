"""The training loop: WGAN-GP on random slices of generated volumes against random crops of the training images.

Only a random subset of the slices is shown to the critic (the slices of one volume are nearly alike, and the
gradient of a random subset is unbiased), the fakes of a critic step carry no graph, and the critic is frozen while the
generator learns.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from porelay_nets.card import Architecture
from porelay_nets.networks import Critic
from porelay_slicegan_trainer import averaging
from porelay_slicegan_trainer.chance import Stream, latent, rng
from porelay_slicegan_trainer.comparison import Judge
from porelay_slicegan_trainer.data import AXES, Axis, Images, turned
from porelay_slicegan_trainer.learner import Learner
from porelay_slicegan_trainer.methods.slicegan import SliceganParams


def train(
    images: Images, params: SliceganParams, *, resume: Mapping[str, Tensor] | None, device: str
) -> Iterator[Learner]:
    """Yield the learner before the first step and after each, until the budget is spent or samples have converged."""
    learner = Learner(architecture_of(images, params), Judge(images, params), device)
    if resume is not None:
        learner.restore(resume)
    yield learner
    while not learner.done:
        wasserstein, penalty = 0.0, 0.0
        for turn in range(params.critic_steps):
            source = rng(params.seed, Stream.CRITIC, learner.step, turn)
            wasserstein, penalty = critic_step(learner, images, source)
        loss = generator_step(learner, rng(params.seed, Stream.GENERATOR, learner.step))
        averaging.update(learner.average, learner.generator, learner.step, params)
        learner.step += 1
        learner.record(wasserstein=wasserstein, penalty=penalty, loss=loss)
        if learner.step % params.eval_every == 0 or learner.step == params.steps:
            learner.compare()
        yield learner


def critic_step(learner: Learner, images: Images, source: np.random.Generator) -> tuple[float, float]:
    """Improve every critic once on the slices of its axes; return the Wasserstein estimate and the penalty."""
    params = learner.params
    with torch.no_grad(), precision(learner):
        volumes = learner.generator(latents(learner, source))
    wasserstein, penalty = 0.0, 0.0
    for critic, adam, axes in zip(learner.critics, learner.adam_critics, axes_of(params), strict=True):
        fake = torch.cat([slices(volumes, axis, params.slices, source) for axis in axes])
        real = real_slices(learner, images, axes, source)
        with precision(learner):
            scores = critic(torch.cat([real, fake])).float()
        distance = scores[: len(real)].mean() - scores[len(real) :].mean()
        steepness = gradient_penalty(critic, real, fake, params.penalty_slices * len(axes), source)
        adam.zero_grad(set_to_none=True)
        torch.autograd.backward(params.penalty_weight * steepness - distance)
        adam.step()
        wasserstein += distance.item() / len(learner.critics)
        penalty += steepness.item() / len(learner.critics)
    return wasserstein, penalty


def generator_step(learner: Learner, source: np.random.Generator) -> float:
    """Improve the generator once against the frozen critics; return its loss."""
    params = learner.params
    for critic in learner.critics:
        critic.requires_grad_(False)
    with precision(learner):
        volumes = learner.generator(latents(learner, source))
        losses = [
            -critic(slices(volumes, axis, params.slices, source)).float().mean()
            for critic, axes in zip(learner.critics, axes_of(params), strict=True)
            for axis in axes
        ]
    loss = torch.stack(losses).mean()
    learner.adam_generator.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    learner.adam_generator.step()
    for critic in learner.critics:
        critic.requires_grad_(True)
    return float(loss.item())


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, count: int, source: np.random.Generator) -> Tensor:
    """Return the mean of (|gradient| - 1)^2 between random pairs of a real and a fake slice, in float32.

    Gulrajani et al., Improved training of Wasserstein GANs (2017), https://arxiv.org/abs/1704.00028
    """
    pick = torch.from_numpy(np.stack([source.permutation(len(real))[:count], source.permutation(len(fake))[:count]]))
    mix = torch.from_numpy(source.random((count, 1, 1, 1), dtype=np.float32)).to(real.device)
    pick = pick.to(real.device)
    between = torch.lerp(real[pick[0]], fake[pick[1]], mix).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    steepness: Tensor = slope.flatten(1).norm(dim=1)
    return ((steepness - 1) ** 2).mean()


def latents(learner: Learner, source: np.random.Generator) -> Tensor:
    """Return the latent nodes of a batch."""
    params, nodes = learner.params, learner.architecture.latent_nodes
    return torch.from_numpy(latent(source, params.batch, params.latent_channels, nodes)).to(learner.device)


def slices(volumes: Tensor, axis: Axis, count: int, source: np.random.Generator) -> Tensor:
    """Return `count` different slices (count, n, e, e) across `axis` of volumes (b, n, e, e, e)."""
    edge = volumes.shape[-1]
    picked = source.choice(len(volumes) * edge, size=count, replace=False)
    which, where = (torch.from_numpy(part).to(volumes.device) for part in np.divmod(picked, edge))
    moved = volumes.movedim(2 + AXES.index(axis), 1)
    return moved[which, where].contiguous(memory_format=torch.channels_last)


def real_slices(learner: Learner, images: Images, axes: tuple[Axis, ...], source: np.random.Generator) -> Tensor:
    """Return as many real slices as fakes: across the same axes, or across those there are where all are alike."""
    params = learner.params
    alike = params.mode == "isotropic"
    crops = []
    for index, axis in enumerate(axes):
        across = images.directions[index % len(images.directions)] if alike else axis
        drawn = images.draw(across, params.slices, params.patch_edge, source)
        crops.append(turned(drawn, source) if alike else drawn)
    encoded = torch.from_numpy(images.encode(np.concatenate(crops)))
    return encoded.to(learner.device, memory_format=torch.channels_last)


def axes_of(params: SliceganParams) -> tuple[tuple[Axis, ...], ...]:
    """Return the axes across which each critic sees slices."""
    return (AXES,) if params.mode == "isotropic" else tuple((axis,) for axis in AXES)


def precision(learner: Learner) -> torch.autocast:
    """Return the context in which the networks run."""
    return torch.autocast(
        learner.device.partition(":")[0], torch.bfloat16, enabled=learner.params.precision == "bfloat16"
    )


def architecture_of(images: Images, params: SliceganParams) -> Architecture:
    """Return the networks' shape for these data and parameters."""
    return Architecture(
        kind=images.kind,
        outputs=images.outputs,
        patch_edge=params.patch_edge,
        latent_channels=params.latent_channels,
        generator_widths=params.generator_widths,
        critic_widths=params.critic_widths,
    )
