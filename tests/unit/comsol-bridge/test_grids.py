"""Property fields are COMSOL grids: read back by code that knows the format only, at physical points."""

from itertools import product

import numpy as np
import pytest
from comsol_blocks import VOXEL_UM, labels

from porelay_comsol_bridge.grids import MOST_VOXELS, picked, stride_for, write_grids
from porelay_comsol_bridge.recipe import VoxelField
from porelay_schemas.errors import BadInput

FIELD = VoxelField("sigma", "S/m", (0.5, 10.0, 1.25e-7), "conductivity")


def read_grid(path):
    """Read COMSOL's grid format: points along x, y, z in a row each, then values, x fastest; `%` starts a comment."""
    head, _, data = path.read_text().partition("% Data")
    x, y, z = (np.array(line.split(), float) for line in head.splitlines() if not line.startswith("%"))
    values = np.array(" ".join(data.splitlines()[1:]).split(), float)
    assert len(values) == len(x) * len(y) * len(z)
    return x, y, z, values


def value_at(path, point):
    """Interpolate as COMSOL does with 'nearest neighbor': value number i + nx * (j + ny * k)."""
    x, y, z, values = read_grid(path)
    i, j, k = (int(np.argmin(abs(along - at))) for along, at in zip((x, y, z), point, strict=True))
    return values[i + len(x) * (j + len(y) * k)]


def write(folder, voxels, stride=1, depth=100, field=FIELD):
    slabs = [(z, voxels[z : z + depth]) for z in range(0, len(voxels), depth)]
    write_grids(folder, [field], lambda: slabs, shape=voxels.shape, voxel_um=VOXEL_UM, stride=stride)
    return folder / field.file


def test_every_voxel_has_its_value_at_its_place_in_space(tmp_path):
    voxels = labels()
    voxels[1, 2, 0] = 1  # no symmetry left
    path = write(tmp_path, voxels)
    for z, y, x in product(*map(range, voxels.shape)):
        centre = ((x + 0.5) * 0.1, (y + 0.5) * 0.2, (z + 0.5) * 0.4)
        assert value_at(path, centre) == FIELD.by_phase[voxels[z, y, x]]


def test_the_file_is_laid_out_as_comsol_describes_it(tmp_path):
    voxels = np.array([[[0, 1], [2, 0]], [[1, 1], [0, 2]]], np.uint8)
    lines = write(tmp_path, voxels).read_text().splitlines()
    assert lines == [
        "% Grid, conductivity, points in um",
        "0.05 0.15", "0.1 0.3", "0.2 0.6",
        "% Data (sigma, S/m)",
        "0.5 10", "1.25e-07 0.5", "10 10", "0.5 1.25e-07",
    ]  # fmt: skip


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 100])
def test_the_slabs_in_which_labels_are_read_do_not_matter(tmp_path, depth):
    voxels = np.random.default_rng(0).integers(0, 3, (11, 7, 5)).astype(np.uint8)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = write(tmp_path / "a", voxels, stride=3).read_bytes()
    assert write(tmp_path / "b", voxels, stride=3, depth=depth).read_bytes() == whole


def test_a_stride_samples_the_middle_voxel_and_says_where_it_lies(tmp_path):
    voxels = np.random.default_rng(1).integers(0, 3, (9, 10, 11)).astype(np.uint8)
    path = write(tmp_path, voxels, stride=3)
    x, y, z, _ = read_grid(path)
    np.testing.assert_allclose(x, (np.array([1, 4, 7, 10]) + 0.5) * 0.1)
    assert (len(y), len(z)) == (3, 3)
    for k, j, i in product((1, 4, 7), (1, 4, 7), (1, 4, 7, 10)):
        assert value_at(path, ((i + 0.5) * 0.1, (j + 0.5) * 0.2, (k + 0.5) * 0.4)) == FIELD.by_phase[voxels[k, j, i]]


def test_large_volumes_are_sampled_so_that_the_fields_stay_small():
    assert stride_for((100, 100, 100), 0) == 1
    assert stride_for((256, 256, 256), 0) == 3
    assert np.prod([len(picked(256, 3))] * 3) <= MOST_VOXELS < np.prod([len(picked(256, 2))] * 3)
    assert stride_for((256, 256, 256), 1) == 1


def test_a_stride_that_leaves_no_grid_is_refused_with_what_to_do():
    with pytest.raises(BadInput, match=r"field_stride 4: a grid needs 2 points.*\(3, 20, 20\).*smaller"):
        stride_for((3, 20, 20), 4)
