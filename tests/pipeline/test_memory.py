"""A stack larger than the memory it may use: what can stream does, what cannot refuses early."""

import json

import numpy as np
import pytest
import tifffile

from .conftest import manifests, porelay

MIB = 2**20
LIMIT = 96 * MIB
PLAN = """
name: big
phases:
  - {name: pore, colour: "#2b3a4a"}
  - {name: solid, colour: "#9fb4c7"}
stages:
  ingest: [grey_levels, slices]
  preprocess: [intensity, gaussian]
  segment: [otsu]
  metrics: [volume_fraction, surface_area]
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A stack of 512 MiB: noisy stripes of two grey levels."""
    folder = tmp_path_factory.mktemp("big")
    rng = np.random.default_rng(0)
    with tifffile.TiffWriter(folder / "big.tif", bigtiff=True) as file:
        noise = rng.normal(0, 12, (4, 1024, 1024))
        pattern = np.where((np.indices((1024, 1024)).sum(axis=0) // 40) % 2, 180.0, 70.0)
        for z in range(512):
            file.write((np.roll(pattern, z, axis=1) + noise[z % 4] + (z % 3)).clip(0, 255).astype(np.uint8))
    (folder / "plan.yaml").write_text(PLAN)
    return folder / "big.tif"


@pytest.mark.slow
def test_a_stack_larger_than_memory_goes_through_in_bounded_memory(big, tmp_path):
    done = porelay(
        "run", big, "--plan", big.with_name("plan.yaml"), "--home", tmp_path, "--voxel-um", 0.05,
        "--max-memory", str(LIMIT), "--workers", 2,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for stage, manifest in manifests(tmp_path).items():
        # Interpreter, libraries and the rendering of pictures take some 400 MiB whatever the stack.
        assert manifest["peak_memory_bytes"] < LIMIT + 432 * MIB, stage
    fractions = manifests(tmp_path)["segment"]["result"]["fractions"]
    assert fractions["solid"] == pytest.approx(0.5, abs=0.02)


def test_what_cannot_stream_refuses_before_it_computes_and_says_what_it_needs(big, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("[volume_fraction, surface_area]", "[transport]"))
    done = porelay(
        "run", big, "--plan", plan, "--home", tmp_path, "--voxel-um", 0.05, "--json", "--max-memory", str(LIMIT)
    )
    failure = json.loads(done.stdout)["failures"]["metrics"]
    assert done.returncode == 2 and failure["error"] == "TooLarge"
    assert "MiB" in failure["text"] and "--max-memory" in failure["text"]
