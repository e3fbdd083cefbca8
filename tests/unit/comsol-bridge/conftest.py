"""What the tests of the bridge share: the tiny electrode, its package, and a stand-in for COMSOL's Java classes."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from comsol_blocks import PHASES, Block, labels  # noqa: E402

from porelay_comsol_bridge import package, survey  # noqa: E402
from porelay_comsol_bridge.methods.conduction import ConductionParams, conduction  # noqa: E402
from porelay_comsol_bridge.methods.half_cell import HalfCellParams, half_cell  # noqa: E402
from porelay_comsol_bridge.recipe import Recipe  # noqa: E402
from porelay_comsol_bridge.site import Site  # noqa: E402


@pytest.fixture(scope="session")
def block() -> Block:
    return Block(labels())


@pytest.fixture(scope="session")
def site(block: Block) -> Site:
    return survey.site_of(block.describe(), PHASES)


@pytest.fixture(scope="session", params=["conduction", "half_cell"])
def recipe(request: pytest.FixtureRequest, site: Site) -> Recipe:
    return conduction(site, ConductionParams()) if request.param == "conduction" else half_cell(site, HalfCellParams())


@pytest.fixture
def packed(tmp_path: Path, block: Block, recipe: Recipe) -> Path:
    """A complete package in a folder."""
    return assembled(tmp_path / "electrode_comsol", block, recipe)


@pytest.fixture
def conducting(tmp_path: Path, block: Block, site: Site) -> Path:
    """The package of `conduction`."""
    return assembled(tmp_path / "electrode_comsol", block, conduction(site, ConductionParams()))


def assembled(folder: Path, block: Block, recipe: Recipe) -> Path:
    mesh = folder.parent / "electrode.mphtxt"
    block.write(mesh)
    sources = package.Sources(
        mesh=block.describe(), mesh_files={mesh.name: mesh}, slabs=lambda: [(0, block.voxels)],
        effective=survey.effective_properties(block.describe(), None), physics="a physics", field_stride=1,
    )  # fmt: skip
    package.assemble(folder, recipe, sources)
    return folder


@pytest.fixture(scope="session")
def stub_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for COMSOL's classes, compiled; skips where there is no Java compiler."""
    if not shutil.which("javac"):
        pytest.skip("javac is not installed (apt-get install default-jdk-headless)")
    classes = tmp_path_factory.mktemp("classes")
    sources = sorted(map(str, (HERE / "stub").rglob("*.java")))
    subprocess.run(["javac", "-nowarn", "-d", str(classes), *sources], check=True, timeout=120)
    return classes


@pytest.fixture
def stub_comsol(stub_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that unmodified MPh finds and drives; returns the log of what was called."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("MPh knows COMSOL's folders on 64-bit x86 Linux")
    binaries = tmp_path / "comsol" / "bin" / "glnxa64"
    binaries.mkdir(parents=True)
    (binaries / "comsol.ini").write_text(f"-vm\n{java_machine()}\n")
    (binaries / "comsol").write_text(LAUNCHER)
    (binaries / "comsol").chmod(0o755)
    for name in ("plugins", "apiplugins"):
        (tmp_path / "comsol" / name).mkdir()
        subprocess.run(
            ["jar", "cf", str(tmp_path / "comsol" / name / "stub.jar"), "-C", str(stub_classes), "."], check=True
        )
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STUB_LOG", str(tmp_path / "calls"))
    return tmp_path / "calls"


LAUNCHER = """#!/bin/sh
case "$*" in
  *--version*) echo "COMSOL Multiphysics 6.3.0.290" ;;
  *)
    [ -n "$STUB_COMPLAINT" ] && { echo "$STUB_COMPLAINT"; sleep 1; exit 0; }  # MPh reads only while it lives
    echo "COMSOL Multiphysics 6.3 (Build: 290) started listening on port 20361"
    cat > /dev/null ;;
esac
"""


def java_machine() -> Path:
    """Return libjvm.so of the Java that is on the path."""
    command = ["java", "-XshowSettings:properties", "-version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    home = next(line.split("=", 1)[1].strip() for line in shown.splitlines() if "java.home" in line)
    return Path(home) / "lib" / "server" / "libjvm.so"
