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


def striped(path, *, slices, edge):
    """Write a stack of noisy stripes of two grey levels."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 12, (4, edge, edge))
    pattern = np.where((np.indices((edge, edge)).sum(axis=0) // 40) % 2, 180.0, 70.0)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for z in range(slices):
            file.write((np.roll(pattern, z, axis=1) + noise[z % 4] + (z % 3)).clip(0, 255).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A stack of 512 MiB, one of half as many slices, and a plan beside them."""
    folder = tmp_path_factory.mktemp("big")
    (folder / "plan.yaml").write_text(PLAN)
    striped(folder / "half.tif", slices=256, edge=1024)
    return striped(folder / "big.tif", slices=512, edge=1024)


def stages_of(stack, home):
    """Run the plan on a stack within the limit; return the manifests."""
    done = porelay(
        "run", stack, "--plan", stack.with_name("plan.yaml"), "--home", home, "--voxel-um", 0.05,
        "--max-memory", str(LIMIT), "--workers", 2,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return manifests(home)


@pytest.mark.slow
def test_a_stack_larger_than_memory_goes_through_in_bounded_memory(big, tmp_path):
    # What interpreter, libraries, compiling and pictures take differs between machines: half of the stack tells it.
    half = stages_of(big.with_name("half.tif"), tmp_path / "half")
    large = stages_of(big, tmp_path / "large")
    for stage, manifest in large.items():
        assert manifest["peak_memory_bytes"] < half[stage]["peak_memory_bytes"] + LIMIT, stage
    assert large["segment"]["result"]["fractions"]["solid"] == pytest.approx(0.5, abs=0.02)


def test_what_cannot_stream_refuses_before_it_computes_and_says_what_it_needs(big, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("[volume_fraction, surface_area]", "[transport]"))
    done = porelay(
        "run", big, "--plan", plan, "--home", tmp_path, "--voxel-um", 0.05, "--json", "--max-memory", str(LIMIT)
    )
    failure = json.loads(done.stdout)["failures"]["metrics"]
    assert done.returncode == 2 and failure["error"] == "TooLarge"
    assert "MiB" in failure["text"] and "--max-memory" in failure["text"]
