"""Measure label volumes: the real one, and the generated ones beside it."""

from itertools import chain

from porelay_kit.bench import Bench
from porelay_kit.volumes import Volume
from porelay_metrics import page, record
from porelay_metrics.comparison import compare
from porelay_metrics.labels import Labels, Room
from porelay_metrics.measuring import Found, Metric, fitting, measure
from porelay_schemas.descriptors import Curves, Descriptors, Measured
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import MetricsRequest, MetricsResult

WHOLE = 8
"""A volume is read once and kept when it takes no more than this part of the memory; else every metric reads it."""


def run(request: MetricsRequest, bench: Bench) -> MetricsResult:
    """Answer with descriptors, curves, and the comparison of generated with real."""
    metrics: list[Metric] = [bench.bind("metric", call) for call in request.use]
    volumes = [bench.volume(ref) for ref in (*((request.real,) if request.real else ()), *request.generated)]
    _check(request, volumes)
    plans = [fitting(metrics, volume.shape, len(request.phases), bench.max_memory_bytes) for volume in volumes]
    meter = _Meter(
        bench, sum(volume.ref.voxels * len(chosen) for volume, (chosen, _) in zip(volumes, plans, strict=True))
    )
    found = [
        _measure(request, volume, chosen, meter, bench) for volume, (chosen, _) in zip(volumes, plans, strict=True)
    ]
    skipped = tuple(dict.fromkeys(note for _, notes in plans for note in notes))
    document, curves = _documents(request, volumes, found, skipped)
    descriptors = bench.write_json("descriptors.json", document.model_dump(mode="json"))
    bench.write_json("curves.json", curves.model_dump(mode="json"))
    record.write_csv(bench.path("descriptors.csv"), document)
    real, others = (volumes[0], volumes[1:]) if request.real else (None, volumes)
    bench.section(page.section(document, curves, real, others, bench))
    return MetricsResult(run_id=request.run_id, artifact=bench.artifact, seconds=bench.seconds, descriptors=descriptors)


def _check(request: MetricsRequest, volumes: list[Volume]) -> None:
    if not request.use:
        raise BadInput("metrics: no metric is named. Name some, e.g. 'metrics: [volume_fraction, transport]'.")
    if not volumes:
        raise BadInput("metrics: there is no volume to measure. Let segment or sampler feed it.")
    for volume in volumes:
        if volume.kind != "labels":
            raise BadInput(
                f"metrics: volume {volume.ref.name} holds {volume.kind} levels, wanted labels. Segment it first."
            )


class _Meter:
    """Tells the bench how many voxels have been measured, each once for every metric."""

    def __init__(self, bench: Bench, total: int) -> None:
        self._bench, self._total = bench, total
        self._done, self._begun, self._voxels = 0.0, 0.0, 0

    def begin(self, voxels: int) -> None:
        """Go on to a metric of a volume of that many voxels."""
        self._begun, self._voxels = self._done, voxels

    def add(self, share: float) -> None:
        """Add a share of the metric's work; a metric that passes over the volume twice ends no further."""
        self._done = min(self._done + share * self._voxels, self._begun + self._voxels)
        self._bench.progress(self._done, self._total)

    def end(self) -> None:
        """Be done with the metric, also where it has told nothing."""
        self.add(1)


def _measure(request: MetricsRequest, volume: Volume, metrics: list[Metric], meter: _Meter, bench: Bench) -> Found:
    room = Room(bench.max_memory_bytes, bench.workers, meter.add)
    source = volume[:, :, :] if volume.nbytes * WHOLE <= bench.max_memory_bytes else volume
    labels = Labels(source, request.phases, room)
    found = []
    for metric in metrics:
        meter.begin(volume.ref.voxels)
        found.append(measure(labels, metric, volume.voxel_um))
        meter.end()
    numbers, curves = zip(*found, strict=True) if found else ((), ())
    return tuple(chain.from_iterable(numbers)), tuple(chain.from_iterable(curves))


def _documents(
    request: MetricsRequest, volumes: list[Volume], found: list[Found], skipped: tuple[str, ...]
) -> tuple[Descriptors, Curves]:
    measured = [
        Measured(volume=volume.ref, descriptors=numbers) for volume, (numbers, _) in zip(volumes, found, strict=True)
    ]
    curves = [lines for _, lines in found]
    split = 1 if request.real else 0
    real, generated = (measured[0] if split else None), tuple(measured[split:])
    comparison = compare(real, curves[0], generated, curves[split:]) if real and generated else None
    document = Descriptors(
        phases=request.phases, real=real, generated=generated, comparison=comparison, skipped=skipped
    )
    return document, Curves(real=curves[0] if split else (), generated=tuple(curves[split:]))
