import json
import pickle

import numpy as np
import pytest
import zarr

from porelay_kit.tiles import blocks, map_blocks
from porelay_kit.volumes import layout
from porelay_schemas.errors import TooLarge


def test_a_volume_is_ome_zarr_that_others_read_with_its_voxel_size(put_volume, store, rng):
    from ome_zarr_models.v05.image import Image

    array = rng.integers(0, 60000, (9, 70, 33), dtype=np.uint16)
    ref = put_volume(array, voxel_um=(0.2, 0.1, 0.1))
    path = str(store.home / ref.prefix / ref.name)
    group = zarr.open_group(path, mode="r")
    assert np.array_equal(group["0"][:], array)
    image = Image.from_zarr(group)
    assert image.ome_attributes.multiscales[0].datasets[0].coordinateTransformations[0].scale == [0.2, 0.1, 0.1]
    assert [axis.unit for axis in image.ome_attributes.multiscales[0].axes] == ["micrometer"] * 3
    assert (
        json.loads((store.home / ref.prefix / ref.name / "zarr.json").read_text())["attributes"]["ome"]["version"]
        == "0.5"
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("kind", ["grey", "labels"])
def test_what_is_written_is_read_back(make_bench, rng, dtype, kind):
    bench = make_bench("ingest")
    array = (rng.random((70, 65, 130)) * 200).astype(dtype)
    volume = bench.new_volume("v.zarr", kind=kind, shape=array.shape, dtype=dtype, voxel_um=(1, 1, 1))
    volume[:] = array
    assert np.array_equal(volume[:], array)
    assert np.array_equal(volume[3:9, :, 5:400], array[3:9, :, 5:400])
    assert np.array_equal(np.concatenate([slab for _, slab in volume.slabs(32)]), array)


def test_a_volume_travels_to_another_process(put_volume, make_bench, rng):
    array = rng.integers(0, 255, (8, 8, 8), dtype=np.uint8)
    volume = make_bench("segment").volume(put_volume(array))
    assert np.array_equal(pickle.loads(pickle.dumps(volume))[:], array)


def test_only_slices_without_steps_are_boxes(put_volume, make_bench):
    volume = make_bench("segment").volume(put_volume(np.zeros((4, 4, 4), np.uint8)))
    with pytest.raises(TypeError, match="three slices"):
        volume[::2]
    with pytest.raises(TypeError, match="three slices"):
        volume[1, 2]


def test_shards_are_whole_chunks_and_fit_the_slab_budget():
    chunk, shard = layout((2000, 2048, 2048), np.uint8, 64 * 2**20)
    assert chunk == (16, 64, 64) and shard == (16, 512, 512)
    assert layout((5, 30, 1000), np.uint8, 2**30) == ((5, 30, 64), (5, 30, 512))
    assert layout((300, 300, 300), np.float32, 2**30) == ((64, 64, 64), (64, 320, 320))


def test_blocks_tile_a_shape_exactly_once():
    seen = np.zeros((7, 5, 9), int)
    for box in blocks(seen.shape, (3, 0, 4)):
        seen[box] += 1
    assert (seen == 1).all()


def test_a_local_function_gives_the_same_in_blocks_as_in_one_piece(put_volume, make_bench, rng):
    from scipy.ndimage import uniform_filter

    array = rng.random((70, 40, 70)).astype(np.float32)
    bench = make_bench("preprocess", max_memory_bytes=2**22)
    source = bench.volume(put_volume(array))
    target = bench.new_volume("out.zarr", kind="grey", shape=array.shape, dtype="float32", voxel_um=(1, 1, 1))
    assert target.shard[0] < 70, "wanted several blocks"
    told = []
    bench._control = type(bench._control)(listen=told.append)

    def smooth(block):
        return uniform_filter(block, 3, mode="nearest")

    map_blocks(smooth, source, target, halo=(1, 1, 1), bench=bench)
    assert np.allclose(target[:], smooth(array), atol=1e-6)
    assert told[-1].done == told[-1].total == array.size


def test_a_block_beyond_the_memory_limit_is_refused_with_the_bytes_it_needs(put_volume, make_bench):
    bench = make_bench("preprocess", max_memory_bytes=2**20)
    source = bench.volume(put_volume(np.zeros((8, 200, 200), np.float32)))
    target = bench.new_volume("out.zarr", kind="grey", shape=(8, 200, 200), dtype="float32", voxel_um=(1, 1, 1))
    with pytest.raises(TooLarge, match=r"one block needs [\d,]+ MiB of memory, the limit is 1 MiB. Raise it"):
        map_blocks(lambda block: block, source, target, tile=(0, 0, 0), halo=(20, 0, 0), bench=bench)


def test_blocks_run_on_a_dask_cluster_when_there_is_one(put_volume, make_bench, monkeypatch, rng):
    from distributed import LocalCluster

    array = rng.integers(0, 100, (20, 20, 20), dtype=np.uint8)
    bench = make_bench("preprocess")
    source = bench.volume(put_volume(array))
    target = bench.new_volume("out.zarr", kind="grey", shape=array.shape, dtype="uint8", voxel_um=(1, 1, 1))
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        map_blocks(lambda block: block + np.uint8(1), source, target, bench=bench)
    assert np.array_equal(target[:], array + 1)


@pytest.mark.parametrize("limit", [64, 96, 128, 1024])
def test_a_block_of_a_new_volume_fits_the_memory_limit_it_was_made_under(make_bench, limit):
    bench = make_bench("preprocess", max_memory_bytes=limit * 2**20)
    for shape, dtype in (((200, 512, 512), "uint8"), ((64, 2048, 2048), "uint16"), ((300, 300, 300), "float32")):
        volume = bench.new_volume(f"{dtype}.zarr", kind="grey", shape=shape, dtype=dtype, voxel_um=(1, 1, 1))
        assert np.prod(volume.shard) * 16 <= bench.max_memory_bytes
