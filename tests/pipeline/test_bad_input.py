"""Bad input gets the promised exit code and a text that says what, got, wanted and fix; nothing else is lost."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from .conftest import PLAN, porelay

VOXEL = ("--voxel-um", "0.05")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def grey(rng):
    blurred = rng.normal(120, 40, (8, 40, 40)).clip(0, 255)
    return blurred.astype(np.uint8)


def tiff(path, array, **options):
    tifffile.imwrite(path, array, **options)
    return path


def refused(stack, home, *words, code=2, plan=PLAN):
    done = porelay("run", stack, "--plan", plan, "--home", home, *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr + done.stdout


def test_a_file_that_is_not_there(home, tmp_path):
    assert "no such file or folder. Check the path." in refused(tmp_path / "no.tif", home, *VOXEL)


def test_an_empty_folder(home, tmp_path):
    (tmp_path / "slices").mkdir()
    assert "the folder is empty, wanted slices" in refused(tmp_path / "slices", home, *VOXEL)


def test_a_truncated_tiff(home, tmp_path, grey):
    whole = tiff(tmp_path / "whole.tif", grey).read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    text = refused(tmp_path / "cut.tif", home, *VOXEL)
    assert "cut.tif" in text and "truncated" in text.lower()


def test_slices_of_different_size_are_named(home, tmp_path, grey):
    folder = tmp_path / "slices"
    folder.mkdir()
    for number, image in enumerate(grey[:4]):
        Image.fromarray(image if number != 2 else image[:-3]).save(folder / f"s{number}.png")
    text = refused(folder, home, *VOXEL)
    assert "s2.png" in text and "40" in text and "37" in text


def test_nan_is_named_with_its_slice(home, tmp_path, grey):
    array = grey.astype(np.float32)
    array[5, 3, 3] = np.nan
    text = refused(tiff(tmp_path / "nan.tif", array), home, *VOXEL)
    assert "nan" in text.lower() and "5" in text


def test_one_grey_level(home, tmp_path):
    text = refused(tiff(tmp_path / "flat.tif", np.full((8, 40, 40), 7, np.uint8)), home, *VOXEL)
    assert "one grey level" in text and "7" in text


def test_no_voxel_size_says_how_to_give_it(home, tmp_path, grey):
    assert "--voxel-um" in refused(tiff(tmp_path / "bare.tif", grey), home)


def test_two_voxel_sizes_that_disagree_are_both_shown(home, tmp_path, grey):
    path = tiff(
        tmp_path / "ij.tif",
        grey,
        imagej=True,
        resolution=(10, 10),
        metadata={"spacing": 0.1, "unit": "um", "axes": "ZYX"},
    )
    text = refused(path, home, *VOXEL)
    assert "0.05" in text and "0.1" in text


@pytest.mark.parametrize("size", ["0", "-1", "a", "1,2"])
def test_a_wrong_voxel_size_is_a_usage_error(home, tmp_path, grey, size):
    assert "voxel" in refused(tiff(tmp_path / "s.tif", grey), home, f"--voxel-um={size}").lower()


def test_an_unknown_format_lists_the_known_ones(home, tmp_path):
    (tmp_path / "notes.pdf").write_bytes(b"%PDF-1.7 not a stack")
    text = refused(tmp_path / "notes.pdf", home, *VOXEL)
    assert "TIFF" in text and "PNG" in text


def test_a_phase_that_is_missing_in_a_label_stack(home, tmp_path, rng):
    labels = rng.integers(0, 2, (16, 40, 40), dtype=np.uint8)
    text = refused(tiff(tmp_path / "two.tif", labels), home, *VOXEL, plan="labels")
    assert "phase" in text and "3" in text and "2" in text


def test_a_volume_smaller_than_the_networks_patch(home, tmp_path, stack):
    import make_demo_stack

    small = make_demo_stack.make((12, 24, 24), seed=3, diameter=(10, 16)).stack
    text = refused(tiff(tmp_path / "small.tif", small), home, *VOXEL, "--set", "slicegan-trainer.patch_edge=64")
    assert "smaller than the network's patch" in text and "wanted at least 64 x 64" in text


def test_an_unknown_method_and_a_misspelt_parameter_suggest_the_nearest(home, stack):
    text = refused(stack, home, *VOXEL, "--set", "preprocess.median.sise=3")
    assert "no parameter is called 'sise'. Did you mean 'size'?" in text
    plan = home.parent / "plan.yaml"
    plan.write_text(PLAN.read_text().replace("otsu", "otus"))
    assert "no method is called 'otus'. Did you mean 'otsu'?" in refused(stack, home, *VOXEL, plan=plan)
    assert not home.exists(), "nothing may be written before the plan is good"


def test_an_unknown_plan_and_an_unknown_run(home, stack):
    assert "Did you mean 'electrode'?" in refused(stack, home, *VOXEL, plan="electrod")
    done = porelay("status", "nothing", "--home", home)
    assert done.returncode == 2 and "run 'nothing': not in" in done.stderr


def test_a_misspelt_setting_in_the_environment(stack, home):
    done = porelay("run", stack, "--home", home, *VOXEL, PORELAY_MAX_MEMRY_BYTES="1GiB")
    assert done.returncode == 2 and "Did you mean 'PORELAY_MAX_MEMORY_BYTES'?" in done.stderr


def test_a_home_that_is_a_file(tmp_path, stack):
    (tmp_path / "file").write_text("")
    assert "not a folder. Give another one with --home" in refused(stack, tmp_path / "file", *VOXEL)


def test_a_home_that_cannot_be_written(stack):
    text = refused(stack, "/proc/porelay", *VOXEL)
    assert "not writable" in text and "Give a folder of yours with --home." in text


def test_a_full_disk_says_so_and_the_run_continues_when_there_is_room(stack, tmp_path):
    """On a real file system that is full: a small tmpfs in a mount namespace of its own."""
    place = tmp_path / "small"
    place.mkdir()
    run = f"{os.sys.executable} -m porelay_kit run {stack} --plan {PLAN} --home {place}/home --voxel-um 0.05"
    script = (
        f"mount -t tmpfs -o size=400k porelay {place} && {run}; echo code $?; "
        f"mount -o remount,size=200m {place} && {run} --json > {tmp_path}/second.json; echo code $?"
    )
    flags = ["-m"] if os.geteuid() == 0 else ["-rm"]
    done = subprocess.run(["unshare", *flags, "sh", "-c", script], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip("this machine lets nobody mount a small file system")
    assert "code 3" in done.stdout, done.stdout + done.stderr
    assert "the disk is full" in done.stderr and "continues where it was" in done.stderr
    assert "code 0" in done.stdout
    assert json.loads((tmp_path / "second.json").read_text())["failures"] == {}


def test_a_stage_that_fails_stops_what_depends_on_it_and_nothing_else(stack, home):
    done = porelay(
        "run", stack, "--plan", PLAN, "--home", home, *VOXEL, "--json", "--set", "mesher.conformal.crop_voxels=[1,1,1]"
    )
    answer = json.loads(done.stdout)
    assert done.returncode == 2
    assert set(answer["failures"]) == {"mesher"}
    assert "metrics" in answer["results"] and "comsol-bridge" not in answer["results"]
    assert "mesher" in Path(answer["report"]).read_text()
