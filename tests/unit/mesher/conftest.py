"""Volumes drawn by hand, a checker of meshes that knows nothing of the mesher, and files written in one call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from porelay_mesher.meshes import Meshes, TetMesh
from porelay_mesher.methods.conformal import ConformalParams, conformal
from porelay_schemas.base import VoxelUm
from porelay_schemas.plan import Phase

PHASES = (
    Phase(name="pore", colour="#56b4e9"),
    Phase(name="active", colour="#5f6b76"),
    Phase(name="cbd", colour="#d55e00"),
)


@pytest.fixture
def phases() -> tuple[Phase, ...]:
    return PHASES


@pytest.fixture
def given() -> Callable[..., Meshes]:
    """Return `given(labels, voxel_um)`: what a mesher starts from."""

    def make(labels: NDArray[Any], voxel_um: VoxelUm = (1.0, 1.0, 1.0), **more: Any) -> Meshes:
        return Meshes(np.asarray(labels, np.uint8), PHASES, voxel_um, **more)

    return make


@pytest.fixture
def meshed(given: Callable[..., Meshes]) -> Callable[..., Meshes]:
    """Return `meshed(labels, voxel_um, **params)`: labels made into a conformal mesh."""

    def make(labels: NDArray[Any], voxel_um: VoxelUm = (1.0, 1.0, 1.0), **params: Any) -> Meshes:
        return conformal(given(labels, voxel_um), ConformalParams(**params))

    return make


@pytest.fixture
def random_media() -> Callable[..., NDArray[np.uint8]]:
    """Return `random_media(edge, noise=0.0)`: half active particles, an eighth binder on them, the rest pore."""
    from scipy.ndimage import gaussian_filter

    def make(edge: int, noise: float = 0.0, seed: int = 3) -> NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        coarse, fine = (gaussian_filter(rng.standard_normal((edge,) * 3), width, mode="wrap") for width in (3.0, 1.6))
        coarse, fine = coarse / coarse.std(), fine / fine.std()
        active = coarse > np.median(coarse)
        near = np.where(active, -np.inf, coarse + fine)
        labels = np.where(active, 1, np.where(near > np.quantile(near, 0.875), 2, 0)).astype(np.uint8)
        wrong = rng.random(labels.shape) < noise
        labels[wrong] = rng.integers(0, 3, int(wrong.sum()))
        return labels

    return make


@pytest.fixture
def ball() -> Callable[[float, int], NDArray[np.uint8]]:
    """Return `ball(radius, edge)`: label 1 within a radius of a point near the middle, on no symmetry."""

    def make(radius: float, edge: int) -> NDArray[np.uint8]:
        z, y, x = np.mgrid[:edge, :edge, :edge] + 0.5 - edge / 2
        return ((z - 0.13) ** 2 + (y - 0.21) ** 2 + (x + 0.17) ** 2 < radius**2).astype(np.uint8)

    return make


def volumes(mesh: TetMesh) -> NDArray[np.float64]:
    """Return the signed volume of each tetrahedron."""
    a, b, c, d = (mesh.nodes_um[mesh.tetrahedra[:, k]] for k in range(4))
    return np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) / 6


@pytest.fixture
def check_conformal() -> Callable[[TetMesh, tuple[float, float, float]], None]:
    """Return `check(mesh, box)`: assert that a mesh fills the box (x, y, z) without gap, fold or hanging node."""

    def check(mesh: TetMesh, box: tuple[float, float, float]) -> None:
        assert len(np.unique(mesh.nodes_um, axis=0)) == len(mesh.nodes_um)
        assert len(np.unique(mesh.tetrahedra)) == len(mesh.nodes_um)
        size = volumes(mesh)
        assert size.min() > 0
        assert size.sum() == pytest.approx(np.prod(box), rel=1e-12)
        faces = np.sort(mesh.tetrahedra[:, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]].reshape(-1, 3), axis=1)
        owner = np.repeat(np.arange(len(mesh.tetrahedra)), 4)
        order = np.lexsort(faces.T)
        faces, owner = faces[order], owner[order]
        _, first, count = np.unique(faces, axis=0, return_index=True, return_counts=True)
        assert count.max() == 2
        outer = faces[first[count == 1]]
        corners = mesh.nodes_um[outer]
        flat = (corners == 0).all(axis=1) | (corners == np.array(box)).all(axis=1)
        assert flat.any(axis=1).all()
        inner = first[count == 2]
        apart = mesh.phases[owner[inner]] != mesh.phases[owner[inner + 1]]
        expected = np.concatenate([outer, faces[inner[apart]]])
        listed = np.sort(mesh.triangles, axis=1)
        assert np.array_equal(np.unique(listed, axis=0), np.unique(expected, axis=0))
        assert len(listed) == len(expected)

    return check


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., list[Path]]:
    """Return `write(method, meshes, params)`: the paths of the exported files."""

    def do(method: Callable[..., Any], meshes: Meshes, params: Any) -> list[Path]:
        paths = []
        for exported in method(meshes, params):
            path = tmp_path / exported.name
            path.write_bytes(b"".join(exported.chunks))
            paths.append(path)
        return paths

    return do
