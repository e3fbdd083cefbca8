import numpy as np
import pytest

from porelay_mesher.crofton import areas_um2


@pytest.mark.parametrize("radius", [6, 12])
def test_the_area_of_a_ball_is_found(ball, radius: int) -> None:  # type: ignore[no-untyped-def]
    single, area = areas_um2(ball(radius, 60), (0.5, 0.5, 0.5), 3)
    assert single[0, 1] == pytest.approx(4 * np.pi * (0.5 * radius) ** 2, rel=0.1)
    assert area[0, 1] == pytest.approx(4 * np.pi * (0.5 * radius) ** 2, rel=0.02)
    assert np.array_equal(area, area.T)
    assert area[2].sum() == 0


def test_flat_voxels_are_weighed_by_their_shape() -> None:
    z, y, x = (np.indices((14, 42, 42)) + 0.5) * np.array([3.0, 1.0, 1.0])[:, None, None, None] - 21
    labels = (z**2 + y**2 + x**2 < 15**2).astype(np.uint8)
    area = areas_um2(labels, (3.0, 1.0, 1.0), 2)[1]
    assert area[0, 1] == pytest.approx(4 * np.pi * 15**2, rel=0.05)
