import subprocess
import sys
from pathlib import Path

import meshio
import numpy as np
import pytest

from porelay_mesher.groups import Groups
from porelay_mesher.methods.mphtxt import MphtxtParams, mphtxt
from porelay_mesher.methods.msh import MshParams, msh
from porelay_mesher.methods.nas import NasParams, nas
from porelay_mesher.methods.vtu import VtuParams, vtu
from porelay_mesher.quality import measure
from porelay_schemas.errors import BadInput

TAGS = {"msh": "gmsh:physical", "vtu": "group", "nas": "nastran:ref", "bdf": "nastran:ref"}

GMSH = """
import sys, json, gmsh, numpy as np
gmsh.initialize(["", "-v", "1"], readConfigFiles=False)
gmsh.merge(sys.argv[1])
found = {}
tags, at, _ = gmsh.model.mesh.getNodes()
nodes = np.zeros((int(tags.max()) + 1, 3)); nodes[tags] = at.reshape(-1, 3)
for dim, tag in gmsh.model.getPhysicalGroups() or gmsh.model.getEntities(3) + gmsh.model.getEntities(2):
    entities = gmsh.model.getEntitiesForPhysicalGroup(dim, tag) if gmsh.model.getPhysicalGroups() else [tag]
    total = 0.0
    for entity in entities:
        for connected in gmsh.model.mesh.getElements(dim, int(entity))[2]:
            p = nodes[connected.reshape(-1, dim + 1)]
            e = p[:, 1:] - p[:, :1]
            areas = np.linalg.norm(np.cross(e[:, 0], e[:, 1]), axis=1) / 2
            total += np.linalg.det(e).sum() / 6 if dim == 3 else areas.sum()
    found[f"{dim} {tag} {gmsh.model.getPhysicalName(dim, tag)}"] = total
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def meshes():  # type: ignore[no-untyped-def]
    from porelay_mesher.meshes import Meshes
    from porelay_mesher.methods.conformal import ConformalParams, conformal
    from porelay_schemas.plan import Phase

    rng = np.random.default_rng(5)
    labels = np.repeat(np.repeat(np.repeat(rng.integers(0, 3, (4, 4, 4), np.uint8), 3, 0), 3, 1), 3, 2)
    phases = tuple(Phase(name=name, colour="#808080") for name in ("pore", "active", "cbd"))
    return conformal(Meshes(labels, phases, (0.3, 0.07, 0.09)), ConformalParams())


@pytest.fixture(scope="module")
def expected(meshes) -> dict[int, float]:  # type: ignore[no-untyped-def]
    """Volume of each phase and area of each group of triangles, by tag."""
    groups = Groups(meshes.tets, meshes.phases, meshes.collector)
    volumes = measure(meshes.tets, 3).volumes_um3
    areas = np.bincount(groups.boundary, meshes.tets.areas_um2)
    surfaces = {group.tag: areas[group.members].sum() for group in groups.tagged if group.dimension == 2}
    return {k + 1: volume for k, volume in enumerate(volumes)} | surfaces


def sizes(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    p = points[cells]
    e = p[:, 1:] - p[:, :1]
    return np.linalg.det(e) / 6 if cells.shape[1] == 4 else np.linalg.norm(np.cross(e[:, 0], e[:, 1]), axis=1) / 2


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (msh, MshParams()),
        (msh, MshParams(encoding="ascii")),
        (vtu, VtuParams()),
        (vtu, VtuParams(level=0)),
        (nas, NasParams()),
        (nas, NasParams(extension="bdf")),
    ],
)
def test_meshio_reads_every_group_with_its_size(method, params, meshes, expected, write) -> None:  # type: ignore[no-untyped-def]
    (path,) = write(method, meshes, params)
    read = meshio.read(path)
    found: dict[int, float] = {}
    for block, tags in zip(read.cells, read.cell_data[TAGS[path.suffix[1:]]], strict=True):
        for tag in np.unique(tags):
            found[int(tag)] = found.get(int(tag), 0) + sizes(read.points, block.data[tags == tag]).sum()
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("params", [MshParams(), MshParams(encoding="ascii")])
def test_gmsh_reads_names_and_sizes(params, meshes, expected, write) -> None:  # type: ignore[no-untyped-def]
    (path,) = write(msh, meshes, params)
    found = gmsh(path)
    groups = Groups(meshes.tets, meshes.phases, meshes.collector)
    areas = np.bincount(groups.boundary, meshes.tets.areas_um2)
    wanted = {f"3 {k + 1} {phase.name}": expected[k + 1] for k, phase in enumerate(meshes.phases)}
    wanted |= {
        f"2 {group.tag} {group.name}": areas[group.members].sum()
        for group in groups.all
        if group.dimension == 2 and group.tag is not None
    }
    assert found == pytest.approx(wanted, rel=1e-9)


def test_gmsh_reads_nastran_properties(meshes, expected, write) -> None:  # type: ignore[no-untyped-def]
    (path,) = write(nas, meshes, NasParams())
    found = {int(name.split()[1]): size for name, size in gmsh(path).items()}
    assert found == pytest.approx(expected, rel=1e-9)


def gmsh(path: Path) -> dict[str, float]:
    import json

    done = subprocess.run([sys.executable, "-c", GMSH, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_nastran_has_what_comsol_asks_for(meshes, write) -> None:  # type: ignore[no-untyped-def]
    (path,) = write(nas, meshes, NasParams())
    lines = path.read_text().splitlines()
    assert lines[lines.index("CEND") + 1] == "BEGIN BULK"
    assert lines[-1] == "ENDDATA"
    assert sum(line.startswith("PSOLID") for line in lines) == 3
    cards = {line[:8].strip() for line in lines if not line.startswith(("$", "*"))}
    assert cards >= {"MAT1", "PSOLID", "PSHELL", "GRID*", "CTETRA", "CTRIA3"}
    materials = {line[8:16].strip() for line in lines if line.startswith("MAT1")}
    properties = {line[16:24].strip() for line in lines if line.startswith(("PSOLID", "PSHELL"))}
    assert properties == materials
    assert max(map(len, lines)) <= 72 + 1


def test_comsol_text_has_meshes_and_named_selections(meshes, expected, write) -> None:  # type: ignore[no-untyped-def]
    (path,) = write(mphtxt, meshes, MphtxtParams())
    points, elements, selections = read_mphtxt(path)
    groups = Groups(meshes.tets, meshes.phases, meshes.collector)
    tets, domains = elements["tet"]
    triangles, boundaries = elements["tri"]
    assert domains.min() == 1
    assert boundaries.min() == 0
    assert np.array_equal(np.unique(domains), 1 + np.arange(len(meshes.tets.region_phase)))
    assert set(selections) == {(group.name, group.dimension) for group in groups.all}
    volume, area = sizes(points, tets), sizes(points, triangles)
    for k, phase in enumerate(meshes.phases):
        assert volume[np.isin(domains, selections[phase.name, 3])].sum() == pytest.approx(expected[k + 1], rel=1e-9)
    for group in groups.tagged:
        if group.dimension == 2:
            found = area[np.isin(boundaries, selections[group.name, 2])].sum()
            assert found == pytest.approx(expected[group.tag], rel=1e-9)
    sides = area[np.isin(boundaries, selections["sides", 2])].sum()
    x, y, z = meshes.tets.size_um
    assert sides == pytest.approx(2 * (x + y) * z)


def read_mphtxt(path: Path):  # type: ignore[no-untyped-def]
    """Read vertices, {type: (nodes, entities)} and {(label, dimension): entities}, after the format's description."""
    words = iter([word for line in path.read_text().splitlines() for word in line.partition("#")[0].split()])

    def numbers(count: int, kind: type = int) -> np.ndarray:
        return np.array([kind(next(words)) for _ in range(count)])

    def string() -> str:
        length, text = int(next(words)), next(words)
        assert len(text) == length
        return text

    assert numbers(2).tolist() == [0, 1]
    tags = [string() for _ in range(int(next(words)))]
    types = [string() for _ in range(int(next(words)))]
    assert types == ["obj"] * len(tags)
    points, elements, selections = np.empty(0), {}, {}
    for number, _ in enumerate(tags):
        assert numbers(3).tolist() == [0, 0, 1]
        name = string()
        if number == 0:
            assert name == "Mesh"
            version, dimension, count, lowest = numbers(4)
            assert (version, dimension, lowest) == (4, 3, 0)
            points = numbers(3 * count, float).reshape(-1, 3)
            for _ in range(int(next(words))):
                kind = string()
                width, many = numbers(2)
                nodes = numbers(width * many).reshape(-1, width)
                elements[kind] = (nodes, numbers(int(next(words))))
                assert len(elements[kind][1]) == many
        else:
            assert name == "Selection"
            assert next(words) == "0"
            label, mesh = string(), string()
            assert mesh == tags[0]
            dimension, count = numbers(2)
            selections[label, int(dimension)] = numbers(count)
    assert next(words, None) is None
    return points, elements, selections


@pytest.mark.parametrize(("method", "params"), [(msh, MshParams()), (nas, NasParams()), (mphtxt, MphtxtParams())])
def test_without_tetrahedra_the_text_says_what_to_use(method, params, given) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput, match=r"there is no tetrahedral mesh to write\. Use 'conformal' before it\."):
        list(method(given(np.zeros((2, 2, 2))), params))
