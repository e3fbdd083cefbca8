"""Samples of the averaged generator against the training data: the only judge of convergence."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from porelay_nets.networks import Generator
from porelay_schemas.section import Check
from porelay_slicegan_trainer import descriptors
from porelay_slicegan_trainer.chance import Stream, latent, rng
from porelay_slicegan_trainer.data import Images
from porelay_slicegan_trainer.descriptors import Descriptors
from porelay_slicegan_trainer.methods.slicegan import SliceganParams
from porelay_slicegan_trainer.survey import survey


@dataclass(frozen=True)
class Verdict:
    """What samples are like: descriptors, errors against the training data, and one picture (rows, columns) uint8."""

    found: Descriptors
    errors: dict[str, float]
    picture: NDArray[np.uint8]


class Judge:
    """Measures the training data once, then a generator whenever asked.

    Grey volumes are judged by the four classes between the quartiles of the training data.
    """

    def __init__(self, images: Images, params: SliceganParams) -> None:
        self.params = params
        self.images = images
        self.classes = images.classes()
        self.isotropic = params.mode == "isotropic"
        self.lags = params.patch_edge // 2
        self.reference = self._comparable(descriptors.describe(self.classes, self.lags))
        self.tolerance = descriptors.tolerance(self.classes, self.lags, isotropic=self.isotropic)
        self.noise_s2 = descriptors.noise_floor(self.reference)

    @cached_property
    def survey(self) -> tuple[Check, ...]:
        """How well the training data suit this way of learning."""
        return survey(self.classes, self.params)

    @cached_property
    def levels(self) -> NDArray[np.float64]:
        """The logits of the data's own means: of each phase, or of the grey."""
        if self.images.window is None:
            return np.log(self.reference.fractions)
        low, high = self.images.window
        mean = float(
            np.mean([(stack.mean(dtype=np.float64) - low) / (high - low) for stack in self.images.stacks.values()])
        )
        return np.array([np.log(mean / (1 - mean))])

    def verdict(self, generator: Generator, stream: Stream, count: int) -> Verdict:
        """Judge `count` volumes of twice the patch's edge; one stream draws the same latents every time."""
        device = str(next(generator.parameters()).device)
        volumes, picture = [], np.zeros((0, 0), dtype=np.uint8)
        for index in range(count):
            output = self._output(generator, rng(self.params.seed, stream, index), device)
            volumes.append(self._classes_of(output))
            if index == 0:
                picture = self._shown(output)
        found = descriptors.of_volumes(np.stack(volumes), self.classes.outputs, self.lags)
        return Verdict(found, self._errors(found), picture)

    def _errors(self, found: Descriptors) -> dict[str, float]:
        fraction = descriptors.fraction_error(self.reference, found)
        s2 = descriptors.s2_error(self.reference, self._comparable(found))
        score = max(fraction / self.tolerance.fraction, s2 / self.tolerance.s2)
        return {"fraction_error": fraction, "s2_error": s2, "score": score}

    def _comparable(self, found: Descriptors) -> Descriptors:
        return found.isotropic() if self.isotropic else found

    def _output(self, generator: Generator, source: np.random.Generator, device: str) -> NDArray[np.float32]:
        stages = len(self.params.generator_widths)
        nodes = 2 * (self.params.patch_edge >> (stages + 1)) + 2
        drawn = latent(source, 1, self.params.latent_channels, nodes)
        with torch.no_grad():
            output: NDArray[np.float32] = generator(torch.from_numpy(drawn).to(device))[0].cpu().numpy()
        return output

    def _classes_of(self, output: NDArray[np.float32]) -> NDArray[np.uint8]:
        if self.images.window is None:
            return np.asarray(output.argmax(axis=0), np.uint8)
        low, high = self.images.window
        return np.asarray(np.digitize(low + output[0] * (high - low), self.images.quartiles), np.uint8)

    def _shown(self, output: NDArray[np.float32]) -> NDArray[np.uint8]:
        middle = output[:, output.shape[1] // 2]
        if self.images.window is None:
            return np.asarray(middle.argmax(axis=0), np.uint8)
        return np.asarray(np.rint(255 * middle[0]), np.uint8)
