"""torch is set up explicitly, and put back as it was."""

import pytest
import torch

from porelay_nets.runtime import reproducible


def state():
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


def test_threads_and_determinism_hold_inside_and_are_put_back_also_after_an_error():
    before = state()
    with pytest.raises(RuntimeError), reproducible(before[0] + 1):
        assert state() == (before[0] + 1, True, False)
        raise RuntimeError
    assert state() == before
