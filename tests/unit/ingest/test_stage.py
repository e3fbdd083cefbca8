import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from porelay_kit.bench import Control
from porelay_schemas.errors import BadInput, Stopped, TooLarge, UnknownMethod
from porelay_schemas.plan import Phase
from porelay_schemas.section import Section

CUBE = (0.05, 0.05, 0.05)


def grey(rng, shape=(20, 64, 72)):
    """Return a stack of two grey levels in blocks, and noise."""
    blocks = rng.integers(0, 2, tuple(-(-size // 8) for size in shape))
    field = np.kron(blocks, np.ones((8, 8, 8)))[tuple(slice(size) for size in shape)]
    return np.rint(60 + 120 * field + rng.normal(0, 10, shape)).clip(0, 255).astype(np.uint8)


def written(path: Path, stack, name="stack.tif", **how):
    tifffile.imwrite(path / name, stack, **how)
    return path / name


def section(bench):
    return Section.model_validate_json(bench.path("section.json").read_text())


def table(bench):
    (found,) = [block for block in section(bench).blocks if block.kind == "table"]
    return dict(found.rows)


def test_a_grey_stack_becomes_a_volume_with_quality_control_and_a_page(tmp_path, ingest, rng):
    stack = grey(rng)
    meta = {"axes": "ZYX", "spacing": 0.1, "unit": "um"}
    result, bench = ingest(written(tmp_path, stack, imagej=True, resolution=(20, 20), metadata=meta))
    volume = bench.volume(result.volume)
    assert (volume.kind, volume.dtype, result.volume.name) == ("grey", np.uint8, "grey.zarr")
    assert volume.voxel_um == pytest.approx((0.1, 0.05, 0.05))
    np.testing.assert_array_equal(volume[:], stack)
    record = json.loads(bench.path("qc.json").read_text())
    assert [check["check"] for check in record["checks"]] == [
        "grey_levels", "alignment", "curtaining", "intensity_drift", "slices", "saturation",
    ]  # fmt: skip
    assert record["verdict"] == result.verdict
    checks = next(block for block in section(bench).blocks if block.kind == "checks").checks
    for check in checks:
        assert check.file is None or bench.path(check.file).stat().st_size > 500
    assert bench.path("stack.png").stat().st_size > 1000
    rows = table(bench)
    assert rows["format"] == "ImageJ TIFF"
    assert rows["shape (z, y, x)"] == "20 x 64 x 72"
    assert rows["voxel size (z, y, x)"] == "0.1 x 0.05 x 0.05 µm"
    assert rows["voxel size from"] == "ImageJ spacing and unit"


def test_the_plan_chooses_the_checks(tmp_path, ingest, rng):
    path = written(tmp_path, grey(rng))
    result, bench = ingest(path, checks=(), voxel_um=CUBE)
    assert result.verdict == "ok"
    assert "no checks were asked for" in section(bench).headline
    _, bench = ingest(path, checks=("slices",), voxel_um=CUBE)
    assert [check["check"] for check in json.loads(bench.path("qc.json").read_text())["checks"]] == ["slices"]
    with pytest.raises(UnknownMethod, match=r"'sices'. Did you mean 'slices'\?"):
        ingest(path, checks=("sices",), voxel_um=CUBE)


def test_the_worst_verdict_is_the_stages(tmp_path, ingest, rng):
    made = tmp_path / "slices"
    made.mkdir()
    for number, plane in zip([*range(10), *range(14, 24)], grey(rng), strict=True):
        Image.fromarray(plane).save(made / f"s{number:03d}.png")
    result, bench = ingest(made, checks=("slices", "saturation"), voxel_um=CUBE)
    assert result.verdict == "fail"
    assert section(bench).headline.endswith("fails quality control (slices).")
    assert table(bench)["missing slice numbers"] == "10-13"


def test_a_label_stack_keeps_its_values(tmp_path, ingest, rng):
    labels = rng.choice(np.array([0, 127, 254], np.uint8), (9, 20, 30))
    result, bench = ingest(written(tmp_path, labels), stack_kind="labels", voxel_um=CUBE)
    volume = bench.volume(result.volume)
    assert (volume.kind, result.volume.name) == ("labels", "labels.zarr")
    np.testing.assert_array_equal(volume[:], labels)
    assert table(bench)["label values"] == "0, 127, 254"
    assert [check["check"] for check in json.loads(bench.path("qc.json").read_text())["checks"]] == ["slices"]


def test_one_bit_and_signed_labels_become_bytes(tmp_path, ingest, rng):
    for labels in (rng.random((5, 9, 9)) < 0.5, rng.integers(0, 3, (5, 9, 9), np.int8)):
        result, bench = ingest(written(tmp_path, labels), stack_kind="labels", voxel_um=CUBE)
        np.testing.assert_array_equal(bench.volume(result.volume)[:], labels.astype(np.uint8))


def test_labels_with_more_values_than_phases_can_have_get_a_warning(tmp_path, ingest, rng):
    path = written(tmp_path, rng.integers(0, 200, (6, 20, 20), np.uint8))
    _, bench = ingest(path, stack_kind="labels", voxel_um=CUBE)
    notes = [block.text for block in section(bench).blocks if block.kind == "text"]
    assert any("labels blurred by JPEG" in note for note in notes)


@pytest.mark.parametrize(
    ("values", "stored"),
    [((0, 1, 2), (0, 1, 2)), ((0, 2, 2), (0, 2, 2)), ((85, 170, 255), (0, 1, 2)), ((-5, 0, 900), (0, 1, 2))],
)
def test_known_labels_end_as_phases(tmp_path, ingest, rng, values, stored):
    which = rng.integers(0, 3, (20, 64, 72))
    truth = written(tmp_path, np.array(values, np.int16 if min(values) < 0 else np.uint8)[which], "truth.tif")
    result, bench = ingest(written(tmp_path, grey(rng)), truth=truth, checks=(), voxel_um=CUBE)
    assert result.truth is not None
    assert (result.truth.name, result.truth.kind, result.truth.voxel_um) == ("truth.zarr", "labels", CUBE)
    np.testing.assert_array_equal(bench.volume(result.truth)[:], np.array(stored)[which])
    assert bench.path("truth.png").exists()


def test_known_labels_of_another_shape_are_refused(tmp_path, ingest, rng):
    truth = written(tmp_path, np.zeros((20, 64, 71), np.uint8), "truth.tif")
    with pytest.raises(
        BadInput, match=r"truth truth.tif: shape \(z, y, x\) is \(20, 64, 71\), that of the stack \(20, 64, 72\)"
    ):
        ingest(written(tmp_path, grey(rng)), truth=truth, voxel_um=CUBE)


def test_known_labels_that_fit_no_phases_are_refused(tmp_path, ingest, rng):
    truth = written(tmp_path, rng.choice(np.array([0, 100, 200, 255], np.uint8), (20, 64, 72)), "truth.tif")
    with pytest.raises(
        BadInput, match=r"holds the values 0, 100, 200, 255, wanted 0 to 2, or 3 distinct values .*\(pore, cbd, act"
    ):
        ingest(written(tmp_path, grey(rng)), truth=truth, voxel_um=CUBE)


def test_a_grey_stack_is_no_truth(tmp_path, ingest, rng):
    truth = written(tmp_path, rng.integers(0, 60_000, (20, 64, 72), np.uint16), "truth.tif")
    with pytest.raises(
        BadInput, match=r"truth truth.tif: holds more than 256 distinct values up to slice 0, wanted one a phase"
    ):
        ingest(written(tmp_path, grey(rng)), truth=truth, voxel_um=CUBE)


@pytest.mark.parametrize("value", [0, 77])
def test_one_grey_level_is_refused(tmp_path, ingest, value):
    path = written(tmp_path, np.full((6, 20, 20), value, np.uint8))
    with pytest.raises(BadInput, match=f"stack.tif: all voxels have the one grey level {value}, wanted an image"):
        ingest(path, voxel_um=CUBE)


def test_one_label_is_a_label_stack(tmp_path, ingest):
    result, _ = ingest(
        written(tmp_path, np.ones((6, 20, 20), np.uint8)),
        stack_kind="labels",
        voxel_um=CUBE,
        phases=(Phase(name="all", colour="#000000"),),
    )
    assert result.volume.shape == (6, 20, 20)


def test_nan_is_refused_with_its_slice(tmp_path, ingest, rng):
    stack = grey(rng).astype(np.float32)
    stack[7, 3, :5] = np.nan
    with pytest.raises(BadInput, match=r"stack.tif: slice 7 holds 5 NaN and 0 infinite voxels"):
        ingest(written(tmp_path, stack), voxel_um=CUBE)


def test_an_unknown_format_lists_the_known_ones(tmp_path, ingest):
    (tmp_path / "stack.mrc").write_bytes(b"\x10\0\0\0 something")
    with pytest.raises(BadInput) as error:
        ingest(tmp_path / "stack.mrc", voxel_um=CUBE)
    text = str(error.value)
    assert "stack.mrc: unknown format (the file begins with b'\\x10\\x00\\x00\\x00 som'), known are" in text
    assert "  tiff: TIFF, BigTIFF, OME-TIFF and ImageJ stacks" in text
    assert text.endswith("Export the stack in one of these, or install a reader for it.")


def test_an_empty_file_is_refused(tmp_path, ingest):
    (tmp_path / "stack.tif").touch()
    with pytest.raises(BadInput, match=r"stack.tif: the file is empty \(0 bytes\)"):
        ingest(tmp_path / "stack.tif", voxel_um=CUBE)


def test_a_wrong_voxel_size_is_refused_before_anything_is_written(tmp_path, ingest, make_bench, rng):
    meta = {"axes": "ZYX", "spacing": 0.1, "unit": "um"}
    path = written(tmp_path, grey(rng), imagej=True, resolution=(20, 20), metadata=meta)
    bench = make_bench("ingest")
    with pytest.raises(
        BadInput, match=r"conflicting voxel sizes .* 0.1, 0.05, 0.05 µm .* 0.2, 0.05, 0.05 µm; they differ along z"
    ):
        ingest(path, bench=bench, voxel_um=(0.2, 0.05, 0.05))
    assert not bench.path("grey.zarr").exists()


def test_a_stack_deeper_than_the_memory_is_streamed_exactly(tmp_path, ingest, make_bench, rng):
    stack = np.tile(rng.integers(0, 60_000, (18, 512, 512), np.uint16), (4, 1, 1))
    bench = make_bench("ingest", max_memory_bytes=2**26)
    result, _ = ingest(written(tmp_path, stack), bench=bench, voxel_um=CUBE, checks=("slices",))
    volume = bench.volume(result.volume)
    assert volume.shard[0] * 4 < len(stack)
    np.testing.assert_array_equal(volume[:], stack)


def test_slices_too_large_for_the_memory_are_refused_with_what_they_need(tmp_path, ingest, make_bench):
    np.save(tmp_path / "stack.npy", np.zeros((1, 9000, 9000), np.uint8))
    bench = make_bench("ingest", max_memory_bytes=2**26)
    with pytest.raises(
        TooLarge, match=r"ingest: two slabs of slices .* needs 1\d\d MiB of memory, the limit is 64 MiB"
    ):
        ingest(tmp_path / "stack.npy", bench=bench, voxel_um=CUBE)


def test_a_cancelled_run_stops_between_slabs(tmp_path, ingest, make_bench, rng):
    bench = make_bench("ingest", control=Control(cancelled=lambda: True))
    with pytest.raises(Stopped, match="ingest: the run was cancelled"):
        ingest(written(tmp_path, grey(rng)), bench=bench, voxel_um=CUBE)


def test_progress_is_told_in_voxels(tmp_path, ingest, make_bench, rng):
    told = []
    bench = make_bench("ingest", control=Control(listen=told.append))
    ingest(written(tmp_path, grey(rng)), bench=bench, voxel_um=CUBE, checks=())
    assert (told[-1].done, told[-1].total) == (20 * 64 * 72, 20 * 64 * 72)


def test_the_same_stack_gives_the_same_bytes(tmp_path, ingest, make_bench, rng):
    path = written(tmp_path, grey(rng))
    benches = [ingest(path, bench=make_bench("ingest", key), voxel_um=CUBE)[1] for key in "ab"]
    one, other = (
        {
            file.relative_to(bench.path("x").parent): file.read_bytes()
            for file in bench.path("x").parent.rglob("*")
            if file.is_file()
        }
        for bench in benches
    )
    assert one == other
    assert len(one) > 8


MEASURE = """
import sys
from pathlib import Path
from porelay_ingest.methods.npy import npy
from porelay_ingest.storage import storage_of
from porelay_ingest.stream import stream
from porelay_kit.bench import Bench, Control
from porelay_kit.settings import Settings
from porelay_kit.store.folder import FolderStore
from porelay_schemas.base import Params
from porelay_schemas.volumes import ArtifactRef
home = Path(sys.argv[2])
store = FolderStore(home)
artifact = ArtifactRef(stage="ingest", key="a" * 64)
settings = Settings(home=home, max_memory_bytes=2**27, workers=2)
bench = Bench(artifact, store, store.begin(artifact.prefix), settings, Control())
def once(path):
    stack = npy(Path(path), workers=2, params=Params())
    name, shape = Path(path).stem + ".zarr", stack.facts.shape
    volume = bench.new_volume(name, kind="grey", shape=shape, dtype="uint8", voxel_um=(1, 1, 1))
    stream(stack, storage_of(stack.facts, "grey", "a"), volume, bench)
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
print(once(sys.argv[3]), once(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_stack(tmp_path):
    """A stack of 200 MB takes little more than one of 16 MB; the limit of 128 MiB is that of the stage alone."""
    for name, count in (("big", 200), ("small", 16)):
        voxels = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.uint8, (count, 1000, 1000))
        voxels[:, ::2] = 200
        del voxels
    call = [
        sys.executable,
        "-c",
        MEASURE,
        str(tmp_path / "big.npy"),
        str(tmp_path / "home"),
        str(tmp_path / "small.npy"),
    ]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    small, big = map(float, done.stdout.split())
    assert big - small < 64
    assert big < 300
