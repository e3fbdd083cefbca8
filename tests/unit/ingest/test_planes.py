"""Separate images across y and x go through ingest like the stack, each in its own frame."""

import json

import numpy as np
import pytest
import tifffile

from porelay_kit.runner.state import stack_ref
from porelay_schemas.errors import BadInput
from porelay_schemas.section import Section


def image(path, name, rng, shape, **how):
    """Write one image of two grey levels in blocks, and noise; return its path."""
    blocks = np.kron(rng.integers(0, 2, (-(-shape[0] // 8), -(-shape[1] // 8))), np.ones((8, 8)))
    grey = 60 + 120 * blocks[: shape[0], : shape[1]] + rng.normal(0, 10, shape)
    tifffile.imwrite(path / name, np.rint(grey).clip(0, 255).astype(np.uint8), **how)
    return path / name


@pytest.fixture
def three(tmp_path, rng):
    """The main image (y, x) and those across y (z, x) and x (z, y): all of different sizes."""
    return {
        "z": image(tmp_path, "xy.tif", rng, (80, 96)),
        "y": image(tmp_path, "xz.tif", rng, (64, 88)),
        "x": image(tmp_path, "yz.tif", rng, (72, 104)),
    }


def planes(three):
    return {axis: stack_ref(three[axis]) for axis in ("y", "x")}


def test_each_file_becomes_a_volume_as_it_is_with_the_voxel_size_in_its_own_frame(three, ingest):
    result, bench = ingest(three["z"], planes=planes(three), voxel_um=(0.3, 0.2, 0.1))
    assert result.volume.voxel_um == (0.3, 0.2, 0.1)
    assert {axis: ref.voxel_um for axis, ref in result.planes.items()} == {"y": (0.2, 0.3, 0.1), "x": (0.1, 0.3, 0.2)}
    for axis, ref in result.planes.items():
        assert ref.name == f"plane_{axis}.zarr"
        np.testing.assert_array_equal(bench.volume(ref)[:][0], tifffile.imread(three[axis]))


def test_each_file_is_checked_and_what_needs_several_slices_says_so(three, ingest):
    _, bench = ingest(three["z"], planes=planes(three), voxel_um=(0.1, 0.1, 0.1))
    record = json.loads(bench.path("qc.json").read_text())
    for found in (record, record["planes"]["y"], record["planes"]["x"]):
        checks = {check["check"]: check for check in found["checks"]}
        assert len(checks) == 6
        assert checks["alignment"]["meaning"] == "One slice: there is nothing to align."
        assert (checks["alignment"]["verdict"], checks["intensity_drift"]["verdict"]) == ("info", "info")
        assert checks["slices"]["verdict"] == "info" and "One slice" in checks["slices"]["meaning"]
        for check in found["checks"]:
            assert check["file"] is None or bench.path(check["file"]).stat().st_size > 500
    assert record["planes"]["y"]["checks"][0]["file"] == "qc/plane_y/grey_levels.svg"
    page = Section.model_validate_json(bench.path("section.json").read_text())
    assert "xy.tif: 1 x 80 x 96 voxels of 0.1 µm; plane y xz.tif: 1 x 64 x 88 voxels" in page.headline
    tables = {block.caption: dict(block.rows) for block in page.blocks if block.kind == "table"}
    assert [tables[name]["name"] for name in ("The file", "The file of plane y", "The file of plane x")] == [
        "xy.tif", "xz.tif", "yz.tif",
    ]  # fmt: skip
    assert bench.path("plane_y.png").stat().st_size > 1000


def test_the_verdict_is_the_worst_of_all_files(three, ingest, tmp_path):
    saturated = tifffile.imread(three["x"])
    saturated[:40] = 255
    tifffile.imwrite(tmp_path / "clipped.tif", saturated)
    given = planes(three | {"x": tmp_path / "clipped.tif"})
    result, _ = ingest(three["z"], planes=given, checks=("saturation",), voxel_um=(0.1, 0.1, 0.1))
    assert result.verdict == "fail"


def test_what_is_wrong_with_a_plane_begins_with_the_plane(three, ingest, tmp_path, rng):
    meta = {"axes": "YX", "unit": "um"}
    told = image(tmp_path, "told.tif", rng, (64, 88), imagej=True, resolution=(20, 20), metadata=meta)
    given = planes(three | {"y": told})
    with pytest.raises(BadInput, match=r"^plane y \(slices across y, rows along z, columns along x\): told.tif: confl"):
        ingest(three["z"], planes=given, voxel_um=(0.1, 0.1, 0.1))
