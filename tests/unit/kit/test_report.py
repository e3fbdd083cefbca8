import hashlib
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from porelay_kit import report
from porelay_kit.report import values
from porelay_kit.report.blocks import LONG_TABLE, block, table
from porelay_kit.report.markup import Html, tag
from porelay_schemas.errors import BadInput
from porelay_schemas.manifest import Failure, Manifest, Run, UsedMethod
from porelay_schemas.messages import IngestRequest, IngestResult, Result, SegmentResult
from porelay_schemas.plan import Phase, Plan, StagePlan
from porelay_schemas.section import Cell, Check, Checks, Figure, Gallery, Section, Table, Text
from porelay_schemas.volumes import ArtifactRef, FileRef, StackRef, VolumeRef

RUN = "stack-test-01234567"
AT = datetime(2025, 11, 20, 14, 5, tzinfo=UTC)
HOSTILE = """<script>alert("1")</script> & '"><img src=x onerror=alert(2)> </style> </title>"""
PHASES = (Phase(name="pore", colour="#112233"), Phase(name="active_material", colour="#aabbcc"))
SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt">'
    b'<defs><path id="a"/></defs><script>alert(3)</script><image href="http://example.org/x.png"/></svg>'
)


def png(width: int = 30, height: int = 15) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes((width + 1) * height)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


class Shelf(dict[str, bytes]):
    """A store in memory, as far as the report reads one."""

    url = "memory:"

    def read(self, key: str) -> bytes:
        return self[key]

    def exists(self, key: str) -> bool:
        return key in self

    def list(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self if key.startswith(prefix))


def shelf(*stages: str, name: str = "stack.tif", about: str = "") -> Shelf:
    """Return a store with a run that has got nowhere yet."""
    plan = Plan(name="test", about=about, seed=7, phases=PHASES, stages={stage: StagePlan() for stage in stages})
    stack = StackRef(uri="file:///home/someone/stack.tif", name=name, sha256="5" * 64, size_bytes=1_234_567)
    run = Run(run_id=RUN, stack=stack, plan=plan.digest(), plan_name="test", created=AT)
    return Shelf(
        {
            f"runs/{RUN}/run.json": run.model_dump_json().encode(),
            f"plans/{plan.digest()}.json": plan.model_dump_json().encode(),
        }
    )


def artifact(stage: str) -> ArtifactRef:
    return ArtifactRef(stage=stage, key=hashlib.sha256(stage.encode()).hexdigest())


def result(stage: str) -> IngestResult | SegmentResult:
    where = artifact(stage)
    volume = VolumeRef(
        prefix=where.prefix,
        name="v.zarr",
        kind="grey" if stage == "ingest" else "labels",
        shape=(10, 20, 30),
        dtype="uint8",
        voxel_um=(0.5, 0.1, 0.1),
    )
    if stage == "ingest":
        return IngestResult(run_id=RUN, artifact=where, seconds=1.5, volume=volume)
    return SegmentResult(run_id=RUN, artifact=where, seconds=61.2, labels=volume, fractions={"pore": 0.4})


def done(store: Shelf, stage: str, section: Section | None, **files: bytes) -> None:
    """Put a stage's committed artifact in the store."""
    found, where = result(stage), artifact(stage)
    run = Run.model_validate_json(store[f"runs/{RUN}/run.json"])
    manifest = Manifest(
        stage=stage,
        key=where.key,
        request=IngestRequest(run_id=RUN, plan=run.plan, phases=PHASES, stack=run.stack),
        result=found,
        use=(UsedMethod(family="check", method="grey_levels", params={"bins": 256, "seed": 7}, code="kit 0.1 abc123"),),
        started=AT,
        seconds=found.seconds,
        peak_memory_bytes=2**28,
        host={"name": "pc7", "workers": 2},
        versions={"numpy": "9.9.9"},
        files=(FileRef(prefix=where.prefix, name="a.png", sha256="c" * 64, size_bytes=12),),
    )
    store[f"runs/{RUN}/results/{stage}.json"] = found.model_dump_json().encode()
    store[f"{where.prefix}/manifest.json"] = manifest.model_dump_json().encode()
    store |= {f"{where.prefix}/{name.replace('_', '.')}": data for name, data in files.items()}
    if section:
        store[f"{where.prefix}/section.json"] = section.model_dump_json().encode()


def failed(store: Shelf, stage: str, text: str) -> None:
    failure = Failure(
        run_id=RUN, stage=stage, error="BadInput", permanent=True, text=text, traceback="Traceback: here", at=AT
    )
    store[f"runs/{RUN}/failures/{stage}.json"] = failure.model_dump_json().encode()


def check(verdict: str, **options: str | float | None) -> Check:
    return Check.model_validate(
        {"name": "Drift", "value": 6.0, "threshold": "at most 5", "verdict": verdict, "meaning": "It drifts."} | options
    )


EVERYTHING = Section(
    title="Quality",
    headline="All is well.",
    blocks=(
        Text(text="First part.\n\nSecond part with `code`."),
        Text(text="Mind this.", tone="warning"),
        Figure(file="a.png", caption="A picture.", wide=True),
        Gallery(figures=(Figure(file="b.svg", caption="Left."), Figure(file="a.png", caption="Right."))),
        Table(
            caption="Descriptors",
            header=("name", "S / µm⁻¹", "says"),
            rows=(("pore", 0.123456, "x"), ("cbd", None, True), ("all", 1234567, None)),
        ),
        Checks(caption="Control", checks=(check("ok"), check("warn", file="a.png"))),
    ),
)


class Page(HTMLParser):
    """Reads a page, and complains where its elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({key for key, _ in attrs}) == len(attrs), f"{name} has an attribute twice"
        self.tags.append((name, dict(attrs)))
        if name not in ("meta", "img", "br", "link"):
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"[ \n]+", " ", " ".join(self.words))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag == name]


def built(store: Shelf) -> Page:
    return Page(report.build(store, RUN))  # type: ignore[arg-type]


@pytest.fixture
def full() -> Shelf:
    store = shelf("ingest", "segment")
    done(store, "ingest", EVERYTHING, a_png=png(), b_svg=SVG)
    done(store, "segment", EVERYTHING.model_copy(update={"title": "Phases"}), a_png=png(), b_svg=SVG)
    return store


def test_importing_the_report_imports_nothing_heavy() -> None:
    code = "import sys; from porelay_kit import report; sys.exit('matplotlib' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_shows_each_block_of_each_section_in_the_order_of_the_route(full: Shelf) -> None:
    text = built(full).text
    places = [text.index(word) for word in ("Overview", "First part.", "Mind this.", "A picture.", "Descriptors")]
    places += [text.index("Control"), text.rindex("Phases "), text.rindex("Provenance")]
    assert places == sorted(places)
    for words in ("Left.", "Right.", "It drifts.", "at most 5", "0.1235", "1\u202f234\u202f567", "–", "yes"):
        assert words in text


def test_the_head_tells_stack_voxel_volume_plan_and_phases(full: Shelf) -> None:
    text = built(full).text
    for words in (
        RUN,
        "1.18 MiB",
        "500 nm × 100 nm × 100 nm (z, y, x)",
        "10 × 20 × 30 voxels, 5 × 2 × 3 µm",
        "20 November 2025, 14:05 UTC",
        "active material",
        "62.7 s",
    ):
        assert words in text


def test_provenance_has_every_parameter_seed_version_host_and_digest(full: Shelf) -> None:
    text = built(full).text
    for words in ("bins 256", "seed 7", "kit 0.1 abc123", "pc7", "numpy, version 9.9.9", "5" * 64, "c" * 64, "256.0"):
        assert words in text
    assert artifact("segment").key in text
    assert "name: test" in text


def test_nothing_is_loaded_from_outside_and_nothing_is_run(full: Shelf) -> None:
    text, page = report.build(full, RUN), built(full)  # type: ignore[arg-type]
    assert not {name for name, _ in page.tags} & {"script", "iframe", "object", "embed", "link", "base", "form", "svg"}
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        assert (attrs.get("src") or "data:").startswith("data:")
        assert (attrs.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|https?:", re.sub(r'src="data:[^"]*"', "", text))
    assert "/home/someone" not in text


def test_ids_are_unique_and_every_link_leads_somewhere(full: Shelf) -> None:
    page = built(full)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {(attrs["href"] or "").removeprefix("#") for attrs in page.all("a")} <= set(ids)


def test_pictures_have_a_text_and_a_size(full: Shelf) -> None:
    pictures = built(full).all("img")
    assert len(pictures) == 8
    assert all(attrs["alt"] for attrs in pictures)
    assert (pictures[0]["width"], pictures[0]["height"]) == ("20", "10")
    assert (pictures[1]["src"] or "").startswith("data:image/svg+xml;base64,")
    assert (pictures[1]["width"], pictures[1]["height"]) == ("110", "55")


def test_hostile_texts_stay_texts() -> None:
    store = shelf("ingest", "segment", name=HOSTILE, about=HOSTILE)
    texts = ("name", "value", "threshold", "meaning")
    blocks = (
        Text(text=HOSTILE),
        Figure(file="a.png", caption=HOSTILE),
        Figure(file=f"{HOSTILE}.png", caption="missing"),
        Table(caption=HOSTILE, header=(HOSTILE,), rows=((HOSTILE,),)),
        Checks(caption=HOSTILE, checks=(check("fail", **dict.fromkeys(texts, HOSTILE)),)),
    )
    done(store, "ingest", Section(title=HOSTILE, headline=HOSTILE, blocks=blocks), a_png=png())
    failed(store, "segment", HOSTILE)
    page = built(store)
    assert "script" not in {name for name, _ in page.tags}
    assert [attrs for attrs in page.all("img") if "onerror" in attrs] == []
    assert page.text.count("<script>alert") >= 14
    assert len(page.all("img")) == 1


def test_control_characters_do_not_break_the_page() -> None:
    store = shelf("ingest")
    done(store, "ingest", Section(title="a\x00b\x1b[31m", headline="x\ny"))
    assert "a\ufffdb\ufffd[31m" in built(store).text


@pytest.mark.parametrize("file", ["../../runs/secret.png", "a.exe", "gone.png", "empty.png"])
def test_a_picture_that_is_not_there_is_said_to_be_missing(file: str) -> None:
    store = shelf("ingest")
    store["artifacts/ingest/runs/secret.png"] = store["artifacts/runs/secret.png"] = png()
    done(store, "ingest", Section(title="a", headline="b", blocks=(Figure(file=file, caption="c"),)), empty_png=b"")
    page = built(store)
    assert page.all("img") == []
    assert f"The picture '{file}' is missing" in page.text


def test_a_partial_run_gives_a_partial_report_that_says_so() -> None:
    store = shelf("ingest", "preprocess", "segment")
    done(store, "ingest", EVERYTHING, a_png=png())
    failed(store, "preprocess", "median: the radius is 0 voxels, wanted at least 1.\nSet it.")
    text = built(store).text
    assert "incomplete: preprocess failed" in text
    assert "This report is partial: 1 of 3 stages are done. Failed: preprocess. Without a result: segment." in text
    assert "wanted at least 1. Set it." in text
    assert "Traceback: here" in text
    assert "Not in this plan: slicegan-trainer, sampler, metrics, mesher, comsol-bridge." in text


def test_a_run_that_has_not_begun_has_a_report() -> None:
    store = shelf("ingest", "segment")
    store[f"runs/{RUN}/cancel"] = b""
    text = built(store).text
    assert "partial: 0 of 2 stages" in text
    assert "cancelled" in text
    assert "not known yet" in text


def test_a_result_makes_an_earlier_failure_of_that_stage_forgotten() -> None:
    store = shelf("ingest")
    failed(store, "ingest", "No room left.")
    done(store, "ingest", EVERYTHING, a_png=png(), b_svg=SVG)
    assert "No room left." not in built(store).text


@pytest.mark.parametrize("damage", [b"", b"{", b'{"title": 3}', b"\xff\xfe"])
def test_a_damaged_section_or_manifest_leaves_the_rest_of_the_report(full: Shelf, damage: bytes) -> None:
    full[f"{artifact('ingest').prefix}/section.json"] = damage
    full[f"{artifact('ingest').prefix}/manifest.json"] = damage
    text = built(full).text
    assert "its page is missing or cannot be read" in text
    assert "Mind this." in text


@pytest.mark.parametrize(
    ("verdicts", "words", "colour"),
    [
        ((), "complete", "ok"),
        (("ok", "info"), "complete", "ok"),
        (("ok", "warn"), "complete, 1 check to look at", "warn"),
        (("warn", "fail", "fail"), "complete, 2 checks failed, 1 check to look at", "warn"),
    ],
)
def test_the_verdict_is_the_worst_of_all_checks(verdicts: tuple[str, ...], words: str, colour: str) -> None:
    store = shelf("ingest")
    checks = Checks(caption="c", checks=tuple(check(verdict) for verdict in verdicts))
    done(store, "ingest", Section(title="a", headline="b", blocks=(checks,)))
    page = built(store)
    badge = next(attrs for name, attrs in page.tags if name == "span" and "badge" in (attrs.get("class") or ""))
    assert badge["class"] == f"badge {colour}"
    assert f" {words} Run " in page.text


def test_a_long_table_is_folded() -> None:
    store = shelf("ingest")
    rows = tuple((str(i), i) for i in range(LONG_TABLE + 1))
    long = Table(caption="Long", header=("a", "b"), rows=rows)
    done(store, "ingest", Section(title="a", headline="b", blocks=(long,)))
    assert f"Long · {LONG_TABLE + 1} rows" in built(store).text


def test_rows_that_are_shorter_or_longer_than_the_header_are_shown() -> None:
    store = shelf("ingest")
    ragged = Table(caption="", header=("a", "b"), rows=((1.5,), (1, 2, 3), ()))
    done(store, "ingest", Section(title="a", headline="b", blocks=(ragged,)))
    assert "1.500" in built(store).text


def test_an_unknown_run_is_refused() -> None:
    with pytest.raises(BadInput, match=r"run 'nowhere': not in memory:. Known: stack-test-01234567\."):
        report.build(shelf("ingest"), "nowhere")  # type: ignore[arg-type]


def test_the_same_run_gives_the_same_page(full: Shelf) -> None:
    assert report.build(full, RUN) == report.build(full, RUN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.0, "0"),
        (0.40051, "0.4005"),
        (0.1, "0.1000"),
        (-3.02, "−3.020"),
        (14.2, "14.20"),
        (999.96, "1000"),
        (1234.5, "1234"),
        (12350.0, "12\u202f350"),
        (123456.0, "123\u202f500"),
        (1.234e-5, "1.234 × 10⁻⁵"),
        (-6.02214e23, "−6.022 × 10²³"),
        (9.9999e-5, "0.0001000"),
        (float("nan"), "not a number"),
        (float("-inf"), "−∞"),
    ],
)
def test_numbers_have_four_significant_digits(number: float, shown: str) -> None:
    assert values.number(number) == shown


def test_values_standing_alone_have_no_zeros_at_the_end() -> None:
    assert [values.brief(v) for v in (6.02, 0.31, 100.0, 1e-7, 10, "a.0", None)] == [
        "6.02",
        "0.31",
        "100",
        "1.000 × 10⁻⁷",
        "10",
        "a.0",
        "–",
    ]


def test_durations_and_sizes_have_fitting_units() -> None:
    assert [values.seconds(s) for s in (0.844, 12.34, 121.2, 7500)] == ["0.84 s", "12.3 s", "2 min 01 s", "2 h 05 min"]
    assert [values.size(n) for n in (12, 2048, 5 * 2**20 + 7, 999 * 2**40)] == ["12 B", "2 KiB", "5 MiB", "999 TiB"]


def test_markup_escapes_what_is_not_markup() -> None:
    assert tag("p", "a<b", Html("<i></i>"), None, title='"', hidden=True, lang=None) == (
        '<p title="&quot;" hidden>a&lt;b<i></i></p>'
    )
    assert isinstance(result("ingest"), Result)


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        ((1, 2.5, None), True),
        ((2.5, "does not percolate"), True),
        ((1, "a", "b"), False),
        ((1, 2, "a" * 64), False),
        ((True, 1), True),
        ((None, None), False),
        ((True, False), False),
    ],
)
def test_a_column_is_aligned_as_numbers_where_most_of_it_is(cells: tuple[Cell, ...], numeric: bool) -> None:
    shown = table(Table(caption="", header=("name", "value"), rows=tuple(("a", cell) for cell in cells)))
    assert ('<td class="number">' in shown) == numeric


@pytest.mark.parametrize(
    ("width", "count", "columns"),
    [(300, 3, "three"), (300, 4, "two"), (800, 3, "two"), (1200, 2, "one"), (None, 3, "three")],
)
def test_a_gallery_has_as_many_columns_as_its_pictures_can_be_read_in(
    width: int | None, count: int, columns: str
) -> None:
    figures = tuple(Figure(file="a.png", caption="c") for _ in range(count))
    pictures = {"a.png": png(width, 400)} if width else {}
    assert f'class="gallery {columns}"' in block(Gallery(figures=figures), pictures)
