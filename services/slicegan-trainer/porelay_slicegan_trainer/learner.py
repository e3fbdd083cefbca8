"""Everything that changes while training, and how it is kept for a resume: tensors and JSON, no pickle."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from porelay_nets.card import Architecture
from porelay_nets.networks import Critic, Generator, placed
from porelay_slicegan_trainer.averaging import recalibrated
from porelay_slicegan_trainer.beginning import decided
from porelay_slicegan_trainer.chance import Stream, rng
from porelay_slicegan_trainer.comparison import Judge, Verdict
from porelay_slicegan_trainer.methods.slicegan import SliceganParams

CURVES = ("wasserstein", "penalty", "loss")


VERDICT_VOLUMES = 16


@dataclass(frozen=True)
class Trained:
    """The generator to export: its weights, the step they are of, and how samples that were never looked at compare."""

    weights: dict[str, Tensor]
    step: int
    verdict: Verdict


class Learner:
    """Networks, their optimisers, the averaged generator, and the record of the training so far.

    `curves` holds a value a step, `comparisons` the errors of samples each time they were measured, `pictures` a slice
    of a sample by step.
    """

    def __init__(self, architecture: Architecture, judge: Judge, device: str) -> None:
        params = judge.params
        self.architecture, self.params, self.judge, self.device = architecture, params, judge, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng(params.seed, Stream.WEIGHTS).integers(2**63)))
            self.generator = placed(decided(Generator(architecture), judge.levels, params.seed), device)
            self.critics = [
                placed(Critic(architecture), device) for _ in range(3 if params.mode == "anisotropic" else 1)
            ]
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.adam_generator = _adam(self.generator, params.generator_rate, params)
        self.adam_critics = [_adam(critic, params.critic_rate, params) for critic in self.critics]
        self.step = 0
        self.curves: dict[str, list[float]] = {name: [] for name in CURVES}
        self.comparisons: list[dict[str, float]] = []
        self.pictures: dict[int, NDArray[np.uint8]] = {}
        self.best: dict[str, Tensor] = {}
        self.best_step = 0
        self.converged = False

    @property
    def done(self) -> bool:
        """Whether the training has ended by itself."""
        return self.converged or self.step >= self.params.steps

    @property
    def figures(self) -> dict[str, float]:
        """The latest figures worth watching."""
        latest = {name: values[-1] for name, values in self.curves.items() if values}
        return latest | ({"s2_error": self.comparisons[-1]["s2_error"]} if self.comparisons else {})

    def record(self, **values: float) -> None:
        """Add a step to the curves."""
        for name, value in values.items():
            self.curves[name].append(value)

    def compare(self) -> None:
        """Measure fresh samples, keep the best weights, and decide on convergence."""
        averaged = recalibrated(self.average, self.params, self.device)
        verdict = self.judge.verdict(averaged, Stream.EVALUATION, self.params.eval_volumes)
        self.comparisons.append({"step": self.step, **verdict.errors})
        self.pictures[self.step] = verdict.picture
        if verdict.errors["score"] <= min(known["score"] for known in self.comparisons):
            self.best = {name: value.clone() for name, value in averaged.state_dict().items()}
            self.best_step = self.step
        within = [known["score"] < 1 for known in self.comparisons[-self.params.patience :]]
        self.converged = len(within) == self.params.patience and all(within)

    def finish(self) -> Trained:
        """Return the best generator so far, judged anew on samples that had no say in the choice."""
        if self.best:
            generator = Generator(self.architecture)
            generator.load_state_dict(self.best)
            generator = placed(generator, self.device).eval()
        else:
            generator = recalibrated(self.average, self.params, self.device)
        verdict = self.judge.verdict(generator, Stream.VERDICT, VERDICT_VOLUMES)
        return Trained(generator.state_dict(), self.best_step or self.step, verdict)

    def tensors(self) -> dict[str, Tensor]:
        """Return all there is to resume from, as named tensors; `record` is JSON in bytes."""
        found = {f"best.{name}": value for name, value in self.best.items()}
        found |= {f"picture.{step}": torch.from_numpy(picture) for step, picture in self.pictures.items()}
        for prefix, module in self._modules().items():
            found |= {f"{prefix}.{name}": value for name, value in module.state_dict().items()}
        for prefix, adam in self._optimisers().items():
            for index, state in adam.state_dict()["state"].items():
                found |= {f"{prefix}.{index}.{name}": value for name, value in state.items()}
        record = {
            "step": self.step,
            "best_step": self.best_step,
            "converged": self.converged,
            "curves": self.curves,
            "comparisons": self.comparisons,
            "params": self.params.model_dump(mode="json"),
        }
        return found | {"record": torch.frombuffer(bytearray(json.dumps(record).encode()), dtype=torch.uint8)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors()` returned; raise ValueError where it is of another training."""
        record = json.loads(bytes(tensors["record"].numpy()))
        if record["params"] != self.params.model_dump(mode="json"):
            raise ValueError("the checkpoint is of a training with other parameters")
        for prefix, module in self._modules().items():
            module.load_state_dict(_under(tensors, prefix))
        for prefix, adam in self._optimisers().items():
            _restore_adam(adam, _under(tensors, prefix))
        self.best = {name: value.to(self.device) for name, value in _under(tensors, "best").items()}
        self.pictures = {int(step): value.numpy() for step, value in _under(tensors, "picture").items()}
        self.step, self.best_step, self.converged = record["step"], record["best_step"], record["converged"]
        self.curves, self.comparisons = record["curves"], record["comparisons"]

    def _modules(self) -> dict[str, torch.nn.Module]:
        critics = {f"critic{index}": critic for index, critic in enumerate(self.critics)}
        return {"generator": self.generator, "average": self.average, **critics}

    def _optimisers(self) -> dict[str, torch.optim.Adam]:
        critics = {f"adam_critic{index}": adam for index, adam in enumerate(self.adam_critics)}
        return {"adam_generator": self.adam_generator, **critics}


def _adam(module: torch.nn.Module, rate: float, params: SliceganParams) -> torch.optim.Adam:
    return torch.optim.Adam(module.parameters(), lr=rate, betas=params.betas)


def _restore_adam(adam: torch.optim.Adam, flat: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in flat.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
