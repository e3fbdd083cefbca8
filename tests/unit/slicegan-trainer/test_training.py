"""Training: the same bits for the same seed, also across a resume; every mode; what ends it."""

import numpy as np
import pytest
import torch

from porelay_slicegan_trainer.data import Images, cut
from porelay_slicegan_trainer.methods.slicegan import slicegan
from porelay_slicegan_trainer.training import gradient_penalty, slices


def trained(data, params, *, phases=2, resume=None, until=None):
    learner = None
    for learner in slicegan(data, phases=phases, resume=resume, params=params):
        if learner.step == until:
            break
    return learner


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_twenty_steps_are_ten_steps_a_resume_and_ten_more_to_the_bit(material, make_params, tmp_path):
    from porelay_nets import weights

    params = make_params()
    unbroken = trained(material, params)
    half = trained(material, params, until=10)
    weights.write(tmp_path / "half.safetensors", half.tensors())
    resumed = trained(material, params, resume=weights.read(tmp_path / "half.safetensors"))
    assert unbroken.step == resumed.step == 20
    assert_same(unbroken.tensors(), resumed.tensors())
    assert_same(unbroken.finish().weights, resumed.finish().weights)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(material, make_params):
    first, second = (trained(material, make_params(steps=4)).tensors() for _ in range(2))
    assert_same(first, second)
    other = trained(material, make_params(steps=4, seed=1)).tensors()
    assert not torch.equal(first["generator.last.weight"], other["generator.last.weight"])


def test_looking_more_often_does_not_change_what_is_learned(material, make_params):
    seldom, often = (trained(material, make_params(steps=6, eval_every=every)).tensors() for every in (100, 2))
    assert_same(*({name: t for name, t in one.items() if name.startswith("generator.")} for one in (seldom, often)))


def test_the_callers_own_random_numbers_are_left_alone(material, make_params):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    trained(material, make_params(steps=1))
    assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_of_other_parameters_is_not_resumed(material, make_params):
    tensors = trained(material, make_params(steps=2)).tensors()
    with pytest.raises(ValueError, match="other parameters"):
        trained(material, make_params(steps=3), resume=tensors)


def test_anisotropic_training_has_a_critic_for_each_axis(material, make_params):
    learner = trained(material, make_params(mode="anisotropic", steps=2))
    assert len(learner.critics) == 3
    weights = [critic.layers[0].weight for critic in learner.critics]
    assert not torch.equal(weights[0], weights[1])
    assert learner.step == 2


def test_three_images_train_an_anisotropic_generator(make_blobs, make_params):
    images = {axis: make_blobs((20, 30), scale=2.0, seed=seed) for seed, axis in enumerate("zyx")}
    learner = trained(images, make_params(mode="anisotropic", steps=2))
    assert learner.judge.images.directions == ("z", "y", "x")
    assert learner.finish().verdict.picture.shape == (32, 32)


def test_one_image_trains_an_isotropic_generator_of_three_phases(make_blobs, make_params):
    learner = trained({"z": make_blobs((40, 40), scale=2.0, phases=3)}, make_params(steps=2), phases=3)
    assert learner.architecture.outputs == 3
    assert learner.comparisons[-1]["step"] == 2


def test_grey_training_gives_one_output_in_the_window_of_the_data(make_params):
    grey = np.random.default_rng(0).normal(1000, 50, (20, 20, 20)).astype(np.float32)
    learner = trained(grey, make_params(steps=2), phases=None)
    assert (learner.architecture.kind, learner.architecture.outputs) == ("grey", 1)
    assert learner.judge.images.window == (grey.min(), grey.max())
    assert np.allclose(learner.judge.reference.fractions, 0.25, atol=0.01)


def test_samples_within_tolerance_several_times_in_a_row_end_the_training(material, make_params, monkeypatch):
    from porelay_slicegan_trainer import comparison
    from porelay_slicegan_trainer.descriptors import Tolerance

    monkeypatch.setattr(comparison.descriptors, "tolerance", lambda *_, **__: Tolerance(fraction=10.0, s2=10.0))
    learner = trained(material, make_params(steps=20, eval_every=2, patience=3))
    assert learner.converged
    assert learner.step == 6


def test_the_budget_ends_the_training_with_a_comparison(material, make_params):
    learner = trained(material, make_params(steps=3, eval_every=100))
    assert not learner.converged
    assert [one["step"] for one in learner.comparisons] == [3]


def test_a_training_ended_before_any_comparison_still_gives_a_generator(material, make_params):
    learner = trained(material, make_params(), until=2)
    exported = learner.finish()
    assert exported.step == 2
    assert set(exported.weights) == set(learner.average.state_dict())


def test_the_best_comparison_is_what_is_exported(material, make_params):
    learner = trained(material, make_params())
    best = min(learner.comparisons, key=lambda one: one["score"])
    assert learner.finish().step == best["step"]


def test_slices_across_each_axis_hold_what_the_volume_holds_there():
    volumes = torch.arange(2 * 4**3, dtype=torch.float32).view(2, 1, 4, 4, 4)
    for place, axis in enumerate("zyx"):
        drawn = slices(volumes, axis, 8, np.random.default_rng(0))
        expected = [volumes[b, 0].select(place, i) for b in range(2) for i in range(4)]
        assert sorted(map(str, drawn[:, 0].tolist())) == sorted(str(one.tolist()) for one in expected)


def test_the_penalty_of_a_critic_of_slope_one_is_zero_and_of_slope_three_is_four():
    class Plane(torch.nn.Module):
        def __init__(self, slope):
            super().__init__()
            self.slope = slope

        def forward(self, x):
            return self.slope * x.flatten(1)[:, 0]

    real, fake = torch.rand(6, 2, 4, 4), torch.rand(6, 2, 4, 4)
    for slope, penalty in ((1.0, 0.0), (3.0, 4.0)):
        found = gradient_penalty(Plane(slope), real, fake, 4, np.random.default_rng(0))
        assert found.item() == pytest.approx(penalty)


def test_real_slices_are_drawn_from_every_place_with_equal_chance():
    volume = np.arange(6**3).reshape(6, 6, 6).astype(np.uint8)
    images = Images(cut(volume, "zyx"), "grey", 1, (0, 255))
    corners = images.draw("y", 4000, 5, np.random.default_rng(0))[:, 0, 0]
    values, counts = np.unique(corners, return_counts=True)
    assert set(values) == {int(volume[z, y, x]) for z in (0, 1) for y in range(6) for x in (0, 1)}
    assert counts.min() > 100


def test_a_first_output_already_chooses_in_about_the_right_fractions(make_blobs, make_params):
    volume = np.where(make_blobs((24, 24, 24), scale=2.0, phases=5) < 1, 1, 0).astype(np.uint8)
    learner = trained(volume, make_params(), until=0)
    output = next(iter(learner.generator(torch.randn(4, 4, 4, 4, 4)).detach()[None]))
    assert output.max(dim=1).values.mean() > 0.8
    assert output.argmax(dim=1).float().mean() == pytest.approx(0.2, abs=0.15)


@pytest.mark.slow
def test_a_small_training_learns_a_three_phase_material(make_blobs, make_params):
    """Volume fractions and S2 of fresh samples come within reach of the data: 200 steps, about ten seconds of CPU."""
    params = make_params(
        latent_channels=8,
        generator_widths=(32, 16),
        critic_widths=(16, 32),
        batch=4,
        slices=12,
        penalty_slices=4,
        average_half_life=300,
        steps=200,
        eval_every=50,
        eval_volumes=8,
    )
    volume = make_blobs((48, 48, 48), scale=2.0, phases=3)
    untrained = trained(volume, params, phases=3, until=0).finish().verdict
    learner = trained(volume, params, phases=3)
    verdict = learner.finish().verdict
    assert verdict.errors["s2_error"] < untrained.errors["s2_error"] / 2.5
    assert verdict.errors["s2_error"] < learner.judge.noise_s2 / 2
    assert verdict.errors["fraction_error"] < 0.06
