"""Each check on stacks whose fault is known."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from porelay_ingest.methods.alignment import AlignmentParams, alignment
from porelay_ingest.methods.curtaining import CurtainingParams, curtaining, tile_scores
from porelay_ingest.methods.grey_levels import GreyLevelsParams, grey_levels
from porelay_ingest.methods.intensity_drift import IntensityDriftParams, intensity_drift
from porelay_ingest.methods.saturation import SaturationParams, saturation
from porelay_ingest.methods.slices import SlicesParams, slices
from porelay_ingest.mixture import fit
from porelay_ingest.watch import Watch
from porelay_schemas.stacks import StackFacts

CHECKS = {
    grey_levels: GreyLevelsParams(),
    alignment: AlignmentParams(),
    curtaining: CurtainingParams(),
    intensity_drift: IntensityDriftParams(),
    slices: SlicesParams(),
    saturation: SaturationParams(),
}


def sampled(stack, kind="grey", phases=2, slab=7, **facts):
    watch = Watch(stack.shape, stack.dtype.name, kind)
    with ThreadPoolExecutor(2) as pool:
        for z0 in range(0, len(stack), slab):
            watch.look(z0, stack[z0 : z0 + slab], pool)
    return watch.sample(StackFacts("TIFF", stack.shape, stack.dtype.name, **facts), (1, 1, 1), phases)


def found(check, stack, **more):
    return check(sampled(stack, **more), params=CHECKS[check])


def scene(rng, depth=24, side=128, phases=(60.0, 180.0)):
    """Return a smooth random two-phase stack (z, y, x) of floats, isotropic, without noise."""
    field = rng.normal(size=(depth, side, side))
    for axis in range(3):
        wave = np.exp(-((np.fft.fftfreq(field.shape[axis]) * 25) ** 2))
        shape = [1, 1, 1]
        shape[axis] = -1
        field = np.fft.ifft(np.fft.fft(field, axis=axis) * wave.reshape(shape), axis=axis).real
    return np.where(field > 0, phases[1], phases[0])


def seen(stack, rng, noise=8.0):
    return np.clip(np.rint(stack + rng.normal(0, noise, stack.shape)), 0, 255).astype(np.uint8)


def test_a_clean_stack_passes_every_check(rng):
    stack = seen(scene(rng), rng)
    sample = sampled(stack)
    assert {check.__name__: check(sample, params=params).verdict for check, params in CHECKS.items()} == dict.fromkeys(
        ["grey_levels", "alignment", "curtaining", "intensity_drift", "slices", "saturation"], "ok"
    )


def test_grey_checks_do_not_apply_to_labels(rng):
    sample = sampled((scene(rng, phases=(0, 1))).astype(np.uint8), kind="labels")
    assert [check.__name__ for check, params in CHECKS.items() if check(sample, params=params)] == ["slices"]


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_few_slices_are_enough_for_an_answer(rng, depth):
    sample = sampled(seen(scene(rng, depth), rng))
    verdicts = [check(sample, params=params).verdict for check, params in CHECKS.items()]
    assert "fail" not in verdicts
    assert "warn" not in verdicts


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 1, 300), (3, 20, 2)])
def test_odd_shapes_are_enough_for_an_answer(rng, shape):
    sample = sampled(rng.integers(0, 255, shape, np.uint8))
    for check, params in CHECKS.items():
        assert check(sample, params=params) is not None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_statistics_are_the_same_for_every_type_and_slab(rng, dtype):
    stack = seen(scene(rng, 9), rng).astype(dtype)
    one, many = sampled(stack, slab=9), sampled(stack, slab=2)
    np.testing.assert_array_equal(one.slices.similarity, many.slices.similarity)
    np.testing.assert_array_equal(one.counts, many.counts)
    np.testing.assert_allclose(one.slices.mean, stack.mean(axis=(1, 2)))
    assert np.abs(one.slices.quantiles[:, 3] - np.median(stack, axis=(1, 2))).max() <= 2
    assert one.planes_z.tolist() == list(range(9))
    if dtype != np.float32:
        values, counts = np.unique(stack, return_counts=True)
        np.testing.assert_array_equal(one.counts[one.counts > 0], counts)
        np.testing.assert_array_equal(one.levels[one.counts > 0], values)


@pytest.mark.parametrize(("noise", "separation", "verdict"), [(20, 6, "ok"), (40, 3, "warn"), (100, 1.2, "fail")])
def test_grey_levels_measure_the_distance_of_peaks_in_standard_deviations(rng, noise, separation, verdict):
    stack = (scene(rng, phases=(500, 620)) + rng.normal(0, noise, (24, 128, 128))).astype(np.uint16)
    finding = found(grey_levels, stack)
    assert finding.verdict == verdict
    assert finding.value == pytest.approx(separation, rel=0.15)
    if verdict == "warn":
        assert finding.figures["misplaced"] == pytest.approx(0.067, abs=0.02)
        assert "Switch on a denoising filter (preprocess: bilateral" in finding.meaning


def test_grey_levels_take_two_values_for_labels(rng):
    finding = found(grey_levels, scene(rng).astype(np.uint8))
    assert finding.verdict == "fail"
    assert "Only 2 grey levels: these look like labels. Use a plan whose segment stage is 'labels'" in finding.meaning


def test_a_mixture_is_found_again():
    x = np.arange(256.0)
    weights, means, sigmas = (0.3, 0.2, 0.5), (50.0, 110.0, 190.0), (10.0, 12.0, 15.0)
    counts = sum(w / s * np.exp(-0.5 * ((x - m) / s) ** 2) for w, m, s in zip(weights, means, sigmas, strict=True))
    mixture = fit(x, counts, 3)
    np.testing.assert_allclose(mixture.weights, weights, atol=0.01)
    np.testing.assert_allclose(mixture.means, means, atol=1)
    np.testing.assert_allclose(mixture.sigmas, sigmas, rtol=0.05)


@pytest.mark.parametrize(("side", "factor"), [(128, 1), (256, 1), (700, 3)])
def test_alignment_measures_jitter_in_pixels_of_the_stack(rng, side, factor):
    base = np.kron(scene(rng, 12, -(-side // factor) + 12), np.ones((1, factor, factor)))
    moves = rng.integers(-2, 3, (12, 2)) * factor
    stack = np.stack(
        [np.roll(plane, tuple(move), (0, 1))[:side, :side] for plane, move in zip(base, moves, strict=True)]
    )
    sample = sampled(seen(stack, rng))
    error = sample.slices.shift_px[1:] - np.diff(moves, axis=0)
    assert np.sqrt(np.mean(error**2)) < 0.15 * factor
    assert np.abs(np.mean(error, axis=0)).max() < 0.1 * factor
    finding = alignment(sample, params=AlignmentParams())
    assert finding.verdict in ("warn", "fail")
    assert "Switch on preprocess: align" in finding.meaning


def test_alignment_tells_a_steady_drift(rng):
    base = scene(rng, 24, 200)
    stack = np.stack([plane[40:168, z : z + 128] for z, plane in enumerate(base)])
    finding = found(alignment, seen(stack, rng))
    assert finding.verdict == "warn"
    assert finding.figures["drift_px_per_slice"] == pytest.approx(1, abs=0.1)
    assert finding.figures["jitter_px"] < 0.5


def test_alignment_does_not_judge_slices_that_have_nothing_in_common(rng):
    finding = found(alignment, seen(np.stack([scene(rng, 1)[0] for _ in range(12)]), rng))
    assert (finding.verdict, finding.value) == ("info", None)
    assert "too different" in finding.meaning


@pytest.mark.parametrize(("strength", "low", "high"), [(0, -0.15, 0.15), (6, 0.15, 0.6), (16, 0.5, 1.3)])
def test_curtaining_grows_with_the_stripes(rng, strength, low, high):
    columns = np.convolve(rng.normal(size=(24 * 128)), [0.25, 0.5, 0.25], "same").reshape(24, 1, 128)
    stack = seen(scene(rng) + strength * columns / columns.std(), rng)
    assert low < found(curtaining, stack).value < high
    turned = curtaining(sampled(stack.transpose(0, 2, 1)), params=CurtainingParams(along="x"))
    assert low < turned.value < high


def test_curtaining_of_noise_is_nothing(rng):
    noise = rng.normal(size=(1024, 1024))
    assert abs(np.median(tile_scores(noise)) - np.median(tile_scores(noise.T))) < 0.05


def test_flicker_is_the_spread_of_the_slices_brightness(rng):
    steps = rng.normal(0, 6, (40, 1, 1))
    finding = found(intensity_drift, seen(scene(rng, 40) + steps, rng))
    assert finding.verdict in ("warn", "fail")
    assert finding.figures["flicker"] == pytest.approx(steps.std() / finding.figures["grey_range"], rel=0.3)
    assert finding.figures["grey_range"] == pytest.approx(150, abs=15)
    assert "Switch on preprocess: intensity" in finding.meaning


def test_drift_is_the_span_of_slow_change(rng):
    finding = found(intensity_drift, seen(scene(rng, 40) + np.linspace(0, 40, 40)[:, None, None], rng))
    assert finding.figures["drift"] == pytest.approx(40 / finding.figures["grey_range"], rel=0.3)
    assert finding.figures["flicker"] < 0.015
    assert finding.verdict == "warn"


def test_missing_numbers_are_a_verdict_that_names_them(rng):
    finding = found(slices, seen(scene(rng), rng), missing=(412, 977))
    assert finding.verdict == "fail"
    assert "Missing: numbers 412, 977" in finding.meaning
    assert found(slices, seen(scene(rng), rng), missing=(412,)).verdict == "warn"


def test_a_copied_slice_is_found_and_named(rng):
    stack = seen(scene(rng), rng)
    stack[11] = stack[10]
    finding = found(slices, stack, names=tuple(f"s{z:03d}.tif" for z in range(24)))
    assert (finding.verdict, finding.figures["equal"]) == ("warn", 1)
    assert "Equal to the slice before: s011.tif" in finding.meaning


def test_a_slice_imaged_twice_is_found(rng):
    clean = scene(rng, 32)
    clean[11] = clean[10]
    finding = found(slices, seen(clean, rng, 4))
    assert (finding.verdict, finding.figures["near_doubles"]) == ("warn", 1)
    assert "Nearly equal to the slice before: 11" in finding.meaning


def test_lost_slices_are_a_jump(rng):
    finding = found(slices, seen(np.delete(scene(rng, 40), range(20, 24), axis=0), rng, 4))
    assert (finding.verdict, finding.figures["jumps"]) == ("warn", 1)
    assert "Unlike the slice before: 20" in finding.meaning


@pytest.mark.parametrize(("share", "verdict"), [(0.001, "ok"), (0.05, "warn"), (0.3, "fail")])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_saturation_is_the_share_at_an_end(rng, share, verdict, dtype):
    stack = rng.uniform(1, 254, (8, 64, 64)).astype(dtype)
    stack[rng.random(stack.shape) < share] = 255
    finding = found(saturation, stack)
    assert finding.verdict == verdict
    assert finding.value == pytest.approx(share, rel=0.2, abs=0.005)
    assert ("highest (white)" in finding.meaning) == (verdict != "ok")
