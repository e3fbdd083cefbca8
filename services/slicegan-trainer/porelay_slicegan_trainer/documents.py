"""What lies beside the weights: the card, and the history of the training. Nothing in it depends on the clock."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from porelay_nets.card import Card, Training, TrainingData
from porelay_schemas.base import VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase
from porelay_slicegan_trainer.data import AXES, PLANE, Axis
from porelay_slicegan_trainer.methods.slicegan import SliceganParams

if TYPE_CHECKING:
    from porelay_slicegan_trainer.learner import Learner, Trained


@dataclass(frozen=True)
class Source:
    """Where a training comes from and how it ended."""

    method: str
    phases: tuple[Phase, ...]
    voxel_um: VoxelUm
    data: NDArray[Any] | Mapping[Axis, NDArray[Any]]
    stopped_by: Literal["budget", "converged", "command"]
    threads: int


def generated_voxel_um(voxel_um: VoxelUm, params: SliceganParams) -> VoxelUm:
    """Return the voxel of the volumes to be generated; raise BadInput where isotropic slices differ in their pixels.

    Isotropic training takes a slice's pixel for every edge of the voxel, so all slices must have the same square pixel;
    slices across z alone may lie any distance apart.
    """
    if params.mode == "anisotropic":
        return voxel_um
    edges = dict(zip("zyx", voxel_um, strict=True))
    pixels = {axis: [edges[along] for along in PLANE[axis]] for axis in params.directions}
    first = pixels[params.directions[0]][0]
    if all(np.isclose(edge, first, rtol=1e-3) for pixel in pixels.values() for edge in pixel):
        return first, first, first
    square = [axis for axis, (down, across) in PLANE.items() if np.isclose(edges[down], edges[across], rtol=1e-3)]
    alone = f"set directions to [{square[0]}], whose slices have square pixels, or " if square else ""
    raise BadInput(
        f"slicegan-trainer: voxels are {voxel_um} um along (z, y, x), isotropic training across "
        f"{', '.join(params.directions)} wants cubes. Resample to cubic voxels in preprocess, {alone}"
        "set mode to anisotropic."
    )


def card(learner: "Learner", trained: "Trained", source: Source, weights_sha256: str) -> Card:
    """Return the card of a generator."""
    reference = learner.judge.reference.fractions
    return Card(
        architecture=learner.architecture,
        phases=source.phases,
        voxel_um=source.voxel_um,
        weights_sha256=weights_sha256,
        data=TrainingData(
            shape=None if isinstance(source.data, Mapping) else source.data.shape,
            dtype=str(_arrays(source)[0].dtype),
            sha256=_digest(_arrays(source)),
            fractions=dict(zip(class_names(source.phases, len(reference)), map(float, reference), strict=True)),
            window=learner.judge.images.window,
            warnings=tuple(f"{check.name}: {check.meaning}" for check in learner.judge.survey if check.verdict != "ok"),
        ),
        training=Training(
            method=source.method,
            params=learner.params.model_dump(mode="json"),
            seed=learner.params.seed,
            steps=learner.step,
            exported_step=trained.step,
            stopped_by=source.stopped_by,
            threads=source.threads,
            device=learner.device,
            quality=quality(learner, trained),
        ),
        versions=versions(),
    )


def _arrays(source: Source) -> list[NDArray[Any]]:
    """Return the volume, or the images in the order of the axes they lie across."""
    if isinstance(source.data, Mapping):
        return [source.data[axis] for axis in AXES if axis in source.data]
    return [source.data]


def _digest(arrays: list[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def class_names(phases: tuple[Phase, ...], count: int) -> list[str]:
    """Return the names of what fractions are of: phases, or ranges of grey."""
    return [phase.name for phase in phases] or [f"grey quarter {index + 1}" for index in range(count)]


def quality(learner: "Learner", trained: "Trained") -> dict[str, float]:
    """Return the errors of samples that had no say in the training, and what to hold them against."""
    judge = learner.judge
    return trained.verdict.errors | {
        "fraction_tolerance": judge.tolerance.fraction,
        "s2_tolerance": judge.tolerance.s2,
        "s2_of_noise": judge.noise_s2,
    }


def history(learner: "Learner", trained: "Trained") -> dict[str, object]:
    """Return the curves of the training, the comparisons, and the descriptors of data and samples."""
    reference, found = learner.judge.reference, trained.verdict.found
    return {
        "curves": learner.curves,
        "comparisons": learner.comparisons,
        "quality": quality(learner, trained),
        "fractions": {"data": reference.fractions.tolist(), "samples": found.fractions.tolist()},
        "s2_mean_of_axes": {
            "data": np.nanmean(reference.s2, axis=0).tolist(),
            "samples": np.nanmean(found.s2, axis=0).tolist(),
        },
    }


def versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on."""
    import torch

    import porelay_nets

    return {"porelay-nets": porelay_nets.__version__, "torch": str(torch.__version__), "numpy": np.__version__}
