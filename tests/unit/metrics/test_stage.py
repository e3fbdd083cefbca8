"""The stage on a bench: documents, tables, page."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_kit.bench import Bench
from porelay_metrics.stage import run
from porelay_schemas.descriptors import Curves, Descriptors
from porelay_schemas.errors import BadInput, TooLarge
from porelay_schemas.messages import MetricsRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_schemas.section import Section
from porelay_schemas.volumes import VolumeRef

PHASES = (
    Phase(name="pore", colour="#2b3a4a", conducts=("ions",)),
    Phase(name="cbd", colour="#e0a030"),
    Phase(name="active_material", colour="#9fb4c7"),
)
ALL = (
    "volume_fraction",
    "surface_area",
    "triple_phase_boundary",
    "percolation",
    "transport",
    "two_point",
    "chord_length",
    "euler",
)
Blobs = Callable[..., NDArray[np.bool_]]


@pytest.fixture
def medium(blobs: Blobs) -> Callable[..., NDArray[np.uint8]]:
    def make(shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
        labels = np.where(blobs(shape, 0.45, seed), 0, 2).astype(np.uint8)
        labels[blobs(shape, 0.15, seed + 1) & (labels == 2)] = 1
        return labels

    return make


def request(
    real: VolumeRef | None, generated: tuple[VolumeRef, ...] = (), use: tuple[MethodCall, ...] = ()
) -> MetricsRequest:
    return MetricsRequest(
        run_id="r",
        plan="p",
        phases=PHASES,
        real=real,
        generated=generated,
        use=use or tuple(MethodCall(method=m) for m in ALL),
    )


def read(bench: Bench) -> tuple[Descriptors, Curves, Section]:
    texts = [bench.path(name).read_text() for name in ("descriptors.json", "curves.json", "section.json")]
    return (
        Descriptors.model_validate_json(texts[0]),
        Curves.model_validate_json(texts[1]),
        Section.model_validate_json(texts[2]),
    )


def test_real_and_generated_are_measured_and_compared(
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], medium: Callable[..., NDArray[np.uint8]]
) -> None:
    real = put_volume(medium((20, 28, 30)), "labels", (0.1, 0.1, 0.1), key="b")
    generated = tuple(
        put_volume(medium((24, 24, 24), seed), "labels", (0.1, 0.1, 0.1), key=key, stage="sampler")
        for seed, key in ((5, "c"), (9, "d"))
    )
    bench = make_bench("metrics")
    result = run(request(real, generated), bench)
    document, curves, section = read(bench)
    assert result.descriptors.name == "descriptors.json"
    assert document.real
    assert document.comparison
    assert len(document.generated) == len(curves.generated) == 2
    assert {d.axis for d in document.real.descriptors if d.name == "tortuosity_factor"} == {"z", "y", "x"}
    assert len(document.comparison.differences) == len(document.real.descriptors)
    assert all(None not in distance.values for distance in document.comparison.distances if distance.phases != ("cbd",))
    rows = list(csv.DictReader(bench.path("descriptors.csv").open()))
    assert [row["volume"] for row in rows].count("generated_2") == len(document.generated[1].descriptors)
    assert section.headline.startswith(
        "The mean of 2 generated volumes differs from the real one in volume fraction by"
    )
    for name in _files(section):
        assert bench.path(name).stat().st_size > 1000


def test_a_single_real_image_is_measured_and_the_headline_compares_what_can_be_compared(
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], medium: Callable[..., NDArray[np.uint8]]
) -> None:
    cube = (0.1, 0.1, 0.1)
    real = put_volume(medium((20, 28, 30))[10:11], "labels", cube, key="b")
    generated = put_volume(medium((20, 20, 20), 5), "labels", cube, key="c", stage="sampler")
    bench = make_bench("metrics")
    run(request(real, (generated,)), bench)
    headline = read(bench)[2].headline
    assert "volume fraction by" in headline and "diffusivity" not in headline


def _files(section: Section) -> list[str]:
    figures = [block for block in section.blocks if block.kind == "figure"]
    return [figure.file for figure in figures] + [
        figure.file for block in section.blocks if block.kind == "gallery" for figure in block.figures
    ]


def test_the_same_volumes_give_the_same_bytes(
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], medium: Callable[..., NDArray[np.uint8]]
) -> None:
    real = put_volume(medium((16, 16, 16)), "labels", key="b")
    written = []
    for key, workers in (("a", 1), ("e", 3)):
        bench = make_bench("metrics", key, workers=workers)
        run(request(real), bench)
        names = [file.name for file in bench.files()]
        written.append({name: bench.path(name).read_bytes().replace(key.encode() * 64, b"") for name in names})
    assert written[0] == written[1]


def test_a_slice_is_measured_as_far_as_it_goes(
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], medium: Callable[..., NDArray[np.uint8]]
) -> None:
    bench = make_bench("metrics")
    run(request(put_volume(medium((1, 40, 40)), "labels")), bench)
    document, _, _ = read(bench)
    assert document.real
    across = [d for d in document.real.descriptors if d.axis == "z"]
    assert all(d.value is None and d.note for d in across)
    inside = document.real.find("effective_diffusivity", ("active_material",), "x")
    assert inside
    assert inside.value is not None


def test_a_volume_of_one_phase_is_measured(
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef]
) -> None:
    bench = make_bench("metrics")
    run(request(None, (put_volume(np.zeros((8, 8, 8), np.uint8), "labels"),)), bench)
    document, _, section = read(bench)
    known = document.generated[0].find("tortuosity_factor", ("pore",), "z")
    assert known
    assert known.value == pytest.approx(1)
    assert section.headline.startswith("Volume fractions: pore 1.000")
    json.loads(bench.path("descriptors.json").read_text())


def test_nothing_is_computed_when_one_metric_does_not_fit(
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], tmp_path: Path
) -> None:
    volume = put_volume(np.zeros((64, 64, 64), np.uint8), "labels")
    bench = make_bench("metrics", max_memory_bytes=2**22)
    with pytest.raises(
        TooLarge, match=r"metrics\.percolation: .* needs 3\.0 MiB|metrics\.transport: .* needs 9\.8 MiB"
    ):
        run(request(volume), bench)
    assert not bench.files()


def test_what_may_be_skipped_is_named_on_the_page_and_the_rest_measured(
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], medium: Callable[..., NDArray[np.uint8]]
) -> None:
    labels = medium((64, 64, 64))
    volume = put_volume(labels, "labels")
    use = (MethodCall(method="volume_fraction"), MethodCall(method="transport", params={"skip_if_too_large": True}))
    bench = make_bench("metrics", max_memory_bytes=2**20)
    run(request(volume, use=use), bench)
    document, _, section = read(bench)
    assert document.real
    assert {d.name for d in document.real.descriptors} == {"volume_fraction"}
    assert document.real.descriptors[0].value == (labels == 0).mean()
    assert document.skipped[0].startswith("transport: not measured: a volume of 64 x 64 x 64 voxels needs 9.8 MiB")
    assert section.blocks[0].kind == "text"


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (("volume_fraction",), "holds grey levels, wanted labels"),
        ((), "no metric is named"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    make_bench: Callable[..., Bench], put_volume: Callable[..., VolumeRef], use: tuple[str, ...], text: str
) -> None:
    grey = put_volume(np.zeros((4, 4, 4), np.uint8), "grey")
    asked = request(grey).model_copy(update={"use": tuple(MethodCall(method=name) for name in use)})
    with pytest.raises(BadInput, match=text):
        run(asked, make_bench("metrics"))


def test_a_request_without_volumes_is_refused(make_bench: Callable[..., Bench]) -> None:
    with pytest.raises(BadInput, match="there is no volume to measure"):
        run(request(None), make_bench("metrics"))
