"""Run an ordered list of filters over volumes larger than memory, in as few passes as they allow."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from porelay_kit import tiles, volumes
from porelay_kit.bench import Bench
from porelay_kit.plugins import Bound
from porelay_kit.volumes import Volume
from porelay_preprocess.views import Filtered, reach
from porelay_schemas.base import Axis3, VoxelUm
from porelay_schemas.errors import BadInput
from porelay_schemas.filters import Filter, filter_of
from porelay_schemas.frames import Source
from porelay_schemas.volumes import Kind, VolumeRef


@dataclass(frozen=True)
class Step:
    """A filter that is done with: what it was, what it learned, and the volume before and after it."""

    name: str
    filter: Filter
    params: Any
    model: Any
    before: Source
    after: Source


@dataclass(frozen=True)
class Watched:
    """A volume whose slabs fit the memory budget, and whose reading shows in the progress."""

    source: Source
    bench: Bench

    @property
    def shape(self) -> Axis3:
        """Voxels along (z, y, x)."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel."""
        dtype: np.dtype[Any] = np.dtype(self.source.dtype)
        return dtype

    @property
    def voxel_um(self) -> VoxelUm:
        """Edge lengths of a voxel along (z, y, x), in micrometres."""
        return self.source.voxel_um

    def __getitem__(self, box: Any) -> NDArray[Any]:
        return self.source[box]

    def slabs(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield as many slices at once as an eighth of the budget holds."""
        depth, rows, columns = self.shape
        step = max(1, min(64, self.bench.max_memory_bytes // (8 * rows * columns * self.dtype.itemsize)))
        for z in range(0, depth, step):
            yield z, self.source[z : z + step]
            self.bench.progress(min(z + step, depth) * rows * columns, depth * rows * columns)


class Chain:
    """A grey volume and the labels of its voxels (if known) on their way through the filters.

    Where `source` is itself a label volume, only filters that move voxels may be used.
    """

    def __init__(self, bench: Bench, source: Volume, truth: Volume | None) -> None:
        self.bench, self.kind = bench, source.kind
        self.source: Source = source
        self.truth: Source | None = truth
        self.steps: list[Step] = []
        self._passes = 0

    def add(self, bound: Bound) -> None:
        """Append a filter: learn its model, then look at the volume through it."""
        declared = filter_of(bound.function)
        if self.kind == "labels" and declared.labels is None:
            raise BadInput(
                f"preprocess.{bound.name}: the volume holds labels, and this filter mixes grey levels. "
                "Take it out of the plan; crop, pad and resample work on labels."
            )
        if declared.fit and not declared.glance:
            self.source = self._stored(self.source)
        model = declared.fit(Watched(self.source, self.bench), bound.params) if declared.fit else None
        if self._wasteful(self._through(self.source, bound, model)):
            self.source = self._stored(self.source)
        after = self._through(self.source, bound, model)
        _ = after.frame  # parameters that do not fit the volume are found out before anything is computed
        self.steps.append(Step(bound.name, declared, bound.params, model, self.source, after))
        self.source = after
        if self.truth is not None and declared.labels is not None:
            self.truth = replace(after, source=self.truth, labels=True)

    def _through(self, source: Source, bound: Bound, model: Any) -> Filtered:
        limit = self.bench.max_memory_bytes // (4 * self.bench.workers)
        return Filtered(source, bound.function, bound.params, model, self.kind == "labels", limit)

    def _wasteful(self, view: Filtered) -> bool:
        """Return whether blocks with a halo would have whole slices computed again and again, here or below."""
        if not isinstance(view.source, Filtered):
            return False
        return {reach(view, deep=False), reach(view.source)} == {"block", "slice"}

    def _stored(self, view: Source) -> Source:
        """Write an intermediate volume to the scratch folder, unless it costs nothing to compute it again."""
        if not isinstance(view, Filtered) or _free(view):
            return view
        self._passes += 1
        folder = self.bench.scratch / f"pass-{self._passes}.zarr"
        shutil.rmtree(folder, ignore_errors=True)
        ref = VolumeRef(
            prefix="scratch", name=folder.name, kind=self.kind, shape=view.shape, dtype=view.dtype.name,
            voxel_um=view.voxel_um,
        )  # fmt: skip
        spec = {"driver": "file", "path": f"{folder}/"}
        target = volumes.create(ref, spec, slab_bytes=self.bench.max_memory_bytes // 8)
        compute(view, target, self.bench)
        return target

    def written(self, view: Source, name: str, kind: Kind) -> VolumeRef:
        """Write a view as a volume of the artifact; what no filter has touched stays where it is."""
        if isinstance(view, Volume) and view.ref.prefix != "scratch":
            return view.ref
        assert isinstance(view, Filtered)
        target = self.bench.new_volume(name, kind=kind, shape=view.shape, dtype=view.dtype, voxel_um=view.voxel_um)
        compute(view, target, self.bench)
        return target.ref


def _free(view: Source) -> bool:
    while isinstance(view, Filtered):
        if view.filter.work_bytes:
            return False
        view = view.source
    return True


def compute(view: Filtered, target: Volume, bench: Bench) -> None:
    """Compute a view into a volume within the memory budget; raise TooLarge where it cannot be.

    Block by block; where a corner of a slice takes the whole slice, slab by slab.
    """
    slices = reach(view) == "slice"
    tiles.require(bench, view.least_cost, "one slice" if slices else "one voxel with its surroundings")
    if not slices:
        tiles.map_blocks(_same, cast(Volume, view), target, bench=bench)
        return
    depth, rows, columns = target.shape
    workers = max(1, min(bench.workers, bench.max_memory_bytes // (2 * view.least_cost)))
    with ThreadPoolExecutor(workers) as pool:
        for z in range(0, depth, target.shard[0]):
            end = min(z + target.shard[0], depth)
            step = -(-(end - z) // workers)
            parts = [slice(at, min(at + step, end)) for at in range(z, end, step)]
            target[z:end] = np.concatenate(list(pool.map(view.__getitem__, parts)))
            bench.progress(end * rows * columns, depth * rows * columns)


def _same(block: NDArray[Any]) -> NDArray[Any]:
    return block
