"""Block by block, on any number of threads: the same numbers as at once."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_metrics import labels as module
from porelay_metrics.labels import Labels, Room
from porelay_metrics.measuring import fitting, needed
from porelay_metrics.methods.chord_length import ChordLengthParams, chord_length
from porelay_metrics.methods.euler import EulerParams, euler
from porelay_metrics.methods.surface_area import SurfaceAreaParams, surface_area
from porelay_metrics.methods.transport import TransportParams
from porelay_metrics.methods.triple_phase_boundary import TriplePhaseBoundaryParams, triple_phase_boundary
from porelay_metrics.methods.two_point import TwoPointParams
from porelay_metrics.methods.volume_fraction import VolumeFractionParams, volume_fraction
from porelay_metrics.params import MetricParams
from porelay_schemas.base import Params
from porelay_schemas.errors import Stopped, TooLarge
from porelay_schemas.plan import Phase

Phases = Callable[[int], tuple[Phase, ...]]
STREAMING = (
    (volume_fraction, VolumeFractionParams()),
    (surface_area, SurfaceAreaParams()),
    (triple_phase_boundary, TriplePhaseBoundaryParams()),
    (chord_length, ChordLengthParams()),
    (euler, EulerParams()),
)


class Watched:
    """An array that remembers how much of it was read at once."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array, self.shape, self.most = array, array.shape, 0

    def __getitem__(self, box: Any) -> NDArray[np.uint8]:
        part = self.array[box]
        self.most = max(self.most, part.size)
        return part


class Bound:
    """What a plan makes of a method."""

    def __init__(self, name: str, params: Params) -> None:
        self.name, self.params, self.function = name, params, print


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("method", "params"), STREAMING)
def test_blocks_give_what_the_whole_volume_gives(
    phases: Phases, monkeypatch: pytest.MonkeyPatch, method: Callable[..., Any], params: Params, workers: int
) -> None:
    drawn = np.random.default_rng(0).integers(0, 4, (13, 17, 22)).repeat(2, 1).astype(np.uint8)
    whole = method(drawn, phases(4), (0.3, 0.2, 0.1), params)
    monkeypatch.setattr(module, "BLOCK", (4, 8, 16))
    source = Watched(drawn)
    told: list[float] = []
    blocks = Labels(source, phases(4), Room(workers=workers, tell=told.append))
    assert method(blocks, phases(4), (0.3, 0.2, 0.1), params) == whole
    assert source.most <= 8 * 12 * 20
    assert sum(told) == pytest.approx(1 if method is not surface_area else 2)


@pytest.mark.parametrize(("method", "params"), STREAMING)
def test_what_streams_stays_within_its_memory(phases: Phases, method: Callable[..., Any], params: Params) -> None:
    drawn = (
        np.random.default_rng(0).integers(0, 3, (32, 32, 32)).repeat(5, 0).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    )
    limit = 2**20
    assert drawn.size > 2 * limit
    method(drawn[:8, :8, :8], phases(3), (1, 1, 1), params)
    tracemalloc.start()
    method(Labels(Watched(drawn), phases(3), Room(limit)), phases(3), (1, 1, 1), params)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < limit


def test_blocks_shrink_with_the_memory(phases: Phases) -> None:
    cube = np.zeros((4, 4, 4), np.uint8)
    assert Labels(cube, phases(1), Room(2**33, 2)).block == (128, 512, 512)
    block = Labels(cube, phases(1), Room(2**25, 2)).block
    assert np.prod(block) * 8 <= 2**24


def test_a_cancelled_run_stops_between_blocks(phases: Phases, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel(share: float) -> None:
        raise Stopped("cancelled")

    monkeypatch.setattr(module, "BLOCK", (2, 2, 2))
    with pytest.raises(Stopped):
        volume_fraction(
            Labels(np.zeros((8, 8, 8), np.uint8), phases(1), Room(workers=2, tell=cancel)),
            phases(1),
            (1, 1, 1),
            VolumeFractionParams(),
        )


def test_what_streams_needs_no_memory_of_its_own() -> None:
    assert all(needed(Bound("m", params), (9999, 9999, 9999), 3) == 0 for _, params in STREAMING)
    assert needed(Bound("m", MetricParams()), (10, 10, 10), 3) == needed(Bound("m", Params()), (10, 10, 10), 3) == 16000


def test_a_metric_that_does_not_fit_refuses_with_what_it_needs() -> None:
    with pytest.raises(
        TooLarge, match=r"metrics\.transport: a volume of 256 x 256 x 256 voxels needs 0\.61 GiB .*skip_if"
    ):
        fitting([Bound("transport", TransportParams())], (256, 256, 256), 3, 2**28)


def test_a_metric_that_may_be_skipped_is_and_the_others_stay() -> None:
    skippable = Bound("two_point", TwoPointParams(skip_if_too_large=True))
    stays = Bound("volume_fraction", VolumeFractionParams())
    chosen, notes = fitting([skippable, stays], (512, 512, 512), 3, 2**28)
    assert chosen == [stays]
    assert notes[0].startswith("two_point: not measured: a volume of 512 x 512 x 512 voxels needs ")
