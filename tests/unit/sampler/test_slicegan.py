"""Sampling: tiles against one shot, boxes of a volume, exact period, seeds, sizes."""

import numpy as np
import pytest
import torch

from porelay_nets.networks import Generator
from porelay_sampler.latents import LatentField
from porelay_sampler.methods.slicegan import SliceganParams, slicegan
from porelay_sampler.tiling import levels, tile_edge
from porelay_schemas.errors import BadInput


def params(**given: object) -> SliceganParams:
    return SliceganParams.model_validate({"shape": (40, 48, 56), "tile_edge": 16, "seed": 5} | given)


def test_phases_fill_the_asked_shape_and_all_occur(generator: Generator) -> None:
    volume = slicegan(generator, sample=0, params=params(shape=(37, 41, 33)))
    assert volume.shape == (37, 41, 33)
    assert volume.dtype == np.uint8
    assert set(np.unique(volume)) == {0, 1, 2}


def test_tiles_abut_as_if_the_volume_had_been_computed_in_one_shot(generator: Generator) -> None:
    tiled = slicegan(generator, sample=0, params=params())
    nodes = LatentField(5, 0, 4).window((0, 0, 0), (7, 8, 9))
    whole = levels(generator, nodes, params())
    assert whole.shape == tiled.shape
    assert np.array_equal(whole, tiled)


def test_logits_of_tiles_differ_from_one_shot_by_rounding_only(generator: Generator) -> None:
    nodes = torch.from_numpy(LatentField(5, 0, 4).window((0, 0, 0), (8, 4, 4)))
    with torch.no_grad():
        whole = generator.logits(nodes)
        tiles = [generator.logits(nodes[:, :, first : first + 4]) for first in (0, 2, 4)]
    assert (torch.cat(tiles, dim=2) - whole).abs().max() < 1e-4


def test_a_box_holds_what_the_whole_volume_holds_there(generator: Generator) -> None:
    whole = slicegan(generator, sample=0, params=params())
    box = (slice(11, 35), slice(0, 5), slice(30, 56))
    assert np.array_equal(slicegan(generator, sample=0, box=box, params=params()), whole[box])


def test_a_larger_volume_continues_a_smaller_one(generator: Generator) -> None:
    small = slicegan(generator, sample=0, params=params(shape=(20, 20, 20)))
    large = slicegan(generator, sample=0, params=params(shape=(64, 24, 40)))
    assert np.array_equal(large[:20, :20, :20], small)


def test_what_is_drawn_does_not_depend_on_the_tiles(generator: Generator) -> None:
    small, large = (slicegan(generator, sample=0, params=params(tile_edge=edge)) for edge in (16, 64))
    assert np.mean(small != large) < 1e-4


def test_a_periodic_volume_joins_itself_without_a_seam(generator: Generator) -> None:
    volume = slicegan(generator, sample=0, params=params(shape=(32, 48, 24), periodic=(True, True, True)))
    latent = LatentField(5, 0, 4, (4, 6, 3)).window((0, 0, 0), (10, 8, 5))
    twice = levels(generator, latent, params())
    assert np.array_equal(twice[:32], twice[32:])
    assert np.array_equal(twice[:32, :48, :24], volume)


def test_the_seam_of_a_periodic_volume_is_like_any_other_plane(generator: Generator) -> None:
    edge = 192
    volume = slicegan(
        generator, sample=0, params=params(shape=(edge, 64, 64), periodic=(True, False, False), tile_edge=64)
    )
    changes = np.mean(volume != np.roll(volume, -1, axis=0), axis=(1, 2))
    same_parity = changes[7::8]
    assert changes[-1] == pytest.approx(same_parity[:-1].mean(), abs=4 * same_parity[:-1].std())
    open_ended = slicegan(generator, sample=0, params=params(shape=(edge, 64, 64), tile_edge=64))
    unlike = np.mean(open_ended[0] != open_ended[-1])
    assert unlike > 1.8 * changes[-1]


def test_the_same_seed_gives_the_same_volume_another_sample_or_seed_another(generator: Generator) -> None:
    first = slicegan(generator, sample=0, params=params())
    assert np.array_equal(first, slicegan(generator, sample=0, params=params()))
    assert not np.array_equal(first, slicegan(generator, sample=1, params=params()))
    assert not np.array_equal(first, slicegan(generator, sample=0, params=params(seed=6)))


def test_statistics_are_the_same_at_every_place(generator: Generator) -> None:
    volume = slicegan(generator, sample=0, params=params(shape=(128, 128, 128), tile_edge=128))
    halves = [np.bincount(part.ravel(), minlength=3) / part.size for part in np.split(volume, 2)]
    assert np.abs(halves[0] - halves[1]).max() < 0.03
    border = np.mean(volume[:8] == 0)
    assert abs(border - np.mean(volume == 0)) < 0.05


def test_grey_comes_in_eight_bits(grey_generator: Generator) -> None:
    volume = slicegan(grey_generator, sample=0, params=params())
    assert volume.dtype == np.uint8
    assert len(np.unique(volume)) > 30


def test_bfloat16_changes_few_voxels(generator: Generator) -> None:
    exact, rough = (slicegan(generator, sample=0, params=params(precision=name)) for name in ("float32", "bfloat16"))
    assert 0 < np.mean(exact != rough) < 0.02


@pytest.mark.parametrize(("size", "near"), [(44, "40 or 48"), (8, "24"), (20, "24")])
def test_a_periodic_size_that_is_no_multiple_is_refused_with_those_that_are(
    generator: Generator, size: int, near: str
) -> None:
    with pytest.raises(BadInput) as refused:
        slicegan(generator, sample=0, params=params(shape=(24, size, 24), periodic=(False, True, False)))
    assert str(refused.value) == (
        f"sampler.shape: {size} voxels along y cannot be periodic, wanted a multiple of 8 from 24 on "
        f"(one latent node is 8 voxels, a voxel depends on three). Use {near}, or periodic false there."
    )


def test_tiles_are_whole_latent_nodes() -> None:
    assert tile_edge(32, params(tile_edge=128)) == 128
    assert tile_edge(32, params(tile_edge=100)) == 96
    assert tile_edge(32, params(tile_edge=16)) == 32


def test_a_node_has_its_numbers_whoever_asks() -> None:
    field = LatentField(1, 2, 3)
    whole = field.window((0, 0, 0), (20, 9, 5))
    assert np.array_equal(field.window((7, 6, 1), (9, 3, 2)), whole[:, :, 7:16, 6:9, 1:3])
    assert abs(whole.mean()) < 0.05
    assert abs(whole.std() - 1) < 0.05
    wrapped = LatentField(1, 2, 3, (4, 0, 0)).window((0, 0, 0), (8, 2, 2))
    assert np.array_equal(wrapped[:, :, :4], wrapped[:, :, 4:])
