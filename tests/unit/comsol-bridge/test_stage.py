"""The stage: a complete package without COMSOL, results with it, and the same package bytes in both cases."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from comsol_blocks import PHASES, VOXEL_UM, Block, labels

from porelay_comsol_bridge import stage
from porelay_comsol_bridge.archive import pack
from porelay_comsol_bridge.readme import NOT_SIMULATED, UNVERIFIED
from porelay_comsol_bridge.simulate import Installation
from porelay_schemas.descriptors import Definition, Descriptor, Descriptors, Measured
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import ComsolBridgeRequest, ComsolBridgeResult
from porelay_schemas.plan import MethodCall
from porelay_schemas.section import Section
from porelay_schemas.volumes import ArtifactRef

NEVER = MethodCall(method="conduction", params={"run": "never"})


@pytest.fixture
def request_for(make_bench, store, block: Block):
    """Return `request_for(*calls, files=...)`: a request on a committed mesh and its labels."""

    def make(*use: MethodCall, files=("electrode.mphtxt", "electrode.nas")) -> ComsolBridgeRequest:
        bench = make_bench("mesher", "c")
        volume = bench.new_volume("meshed.zarr", kind="labels", shape=labels().shape, dtype="uint8", voxel_um=VOXEL_UM)
        volume[:] = labels()
        block.write(bench.path("electrode.mphtxt"))
        bench.path("electrode.nas").write_text("BEGIN BULK\nENDDATA\n")
        mesh = block.describe().model_copy(update={"files": files})
        bench.path("mesh.json").write_text(mesh.model_dump_json())
        assert bench._workspace.commit(b"{}")
        return ComsolBridgeRequest(
            run_id="r", plan="p", use=use, phases=PHASES, mesh=ArtifactRef(stage="mesher", key="c" * 64),
            volume=volume.ref,
        )  # fmt: skip

    return make


def run(request, bench) -> tuple[ComsolBridgeResult, Section]:
    result = stage.run(request, bench)
    return result, Section.model_validate_json(bench.path("section.json").read_text())


def test_without_comsol_the_stage_succeeds_and_says_plainly_that_nothing_was_simulated(
    request_for, make_bench, monkeypatch
):
    monkeypatch.setattr(stage, "find_comsol", lambda: Installation((), "no COMSOL installation was found"))
    bench = make_bench("comsol-bridge")
    result, section = run(request_for(MethodCall(method="conduction")), bench)
    assert result.simulated is False
    assert section.headline == "The COMSOL model package is complete; nothing was simulated."
    first = section.blocks[0]
    assert first.tone == "warning"
    assert NOT_SIMULATED in first.text
    assert "no COMSOL installation was found" in first.text
    assert UNVERIFIED in [getattr(block, "text", "") for block in section.blocks]
    assert bench.path("fields.png").stat().st_size > 1000


def test_the_package_holds_all_that_a_licensed_user_needs(request_for, make_bench):
    bench = make_bench("comsol-bridge")
    result, section = run(request_for(NEVER), bench)
    with zipfile.ZipFile(bench.path(result.package.name)) as archive:
        names = [Path(name).name for name in archive.namelist()]
        texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist()}
    assert names == sorted(names)
    assert {"electrode.mphtxt", "electrode.nas", "BuildElectrode.java", "build_electrode.py", "README.txt"} <= set(
        names
    )
    assert {"field_phase_index.txt", "field_conductivity_ions.txt", "effective_properties.txt"} <= set(names)
    manifest = json.loads(texts["manifest.json"])
    assert set(manifest["files"]) == set(names)
    assert manifest["unverified"] == UNVERIFIED
    for text in (NOT_SIMULATED, UNVERIFIED, "comsol batch", "sigma_ions_pore = 0.9487[S/m]", *names):
        assert text in texts["README.txt"]
    table = next(block for block in section.blocks if getattr(block, "header", ("",))[0] == "file")
    assert {row[0] for row in table.rows} == set(names)


def test_the_same_request_gives_the_same_bytes(request_for, make_bench):
    request = request_for(NEVER)
    (first, _), (again, _) = (run(request, make_bench("comsol-bridge", key)) for key in "de")
    assert first.package.sha256 == again.package.sha256


def test_times_and_order_of_files_do_not_get_into_the_archive(tmp_path):
    for name, files in (("one", ("b", "a")), ("two", ("a", "b"))):
        (tmp_path / name / "model").mkdir(parents=True)
        for file in files:
            (tmp_path / name / "model" / file).write_text(file)

    os.utime(tmp_path / "two" / "model" / "a", (1e9, 1e9))
    pack(tmp_path / "one" / "model", tmp_path / "one.zip")
    pack(tmp_path / "two" / "model", tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_with_comsol_the_model_is_solved_and_its_results_are_kept(request_for, make_bench, stub_comsol):
    bench = make_bench("comsol-bridge")
    request = request_for(MethodCall(method="conduction", params={"run": "always"}))
    result, section = run(request, bench)
    assert result.simulated is True
    assert section.headline.startswith("Simulated with COMSOL 6.3")
    kept = {file.name for file in bench.files()}
    assert {"electrode.mph", "comsol.log", "result_conductivity_ions.txt", "result_potential_electrons.txt"} <= kept
    results = next(block for block in section.blocks if getattr(block, "caption", "") == "Results of COMSOL")
    assert ("result_conductivity_ions.txt", "0.25 0.25") in [(row[0], row[2]) for row in results.rows]
    never, _ = run(request.model_copy(update={"use": (NEVER,)}), make_bench("comsol-bridge", "f"))
    assert never.package.sha256 == result.package.sha256


def test_run_always_without_comsol_fails_and_says_what_to_do(request_for, make_bench, monkeypatch):
    monkeypatch.setattr(stage, "find_comsol", lambda: Installation((), "MPh is not installed (pip install mph)"))
    request = request_for(MethodCall(method="conduction", params={"run": "always"}))
    with pytest.raises(BadInput, match=r"run is 'always', but MPh is not installed.*or set run: auto"):
        stage.run(request, make_bench("comsol-bridge"))


def test_a_mesh_without_comsols_format_is_refused(request_for, make_bench):
    with pytest.raises(BadInput, match=r"wrote no electrode.mphtxt. Add 'mphtxt'"):
        stage.run(request_for(NEVER, files=("electrode.nas",)), make_bench("comsol-bridge"))


def test_two_physics_are_refused(request_for, make_bench):
    with pytest.raises(BadInput, match="holds one physics, got conduction, half_cell"):
        stage.run(request_for(NEVER, MethodCall(method="half_cell")), make_bench("comsol-bridge"))


def test_the_half_cell_makes_a_package_too(request_for, make_bench):
    result, section = run(
        request_for(MethodCall(method="half_cell", params={"run": "never"})), make_bench("comsol-bridge")
    )
    assert result.package.size_bytes > 1000
    assert "Battery Design Module" in section.blocks[0].text


def test_what_metrics_measured_is_in_the_parameter_file(request_for, make_bench):
    request, measuring = request_for(NEVER), make_bench("metrics", "9")
    tau = Descriptor(
        name="tortuosity_factor", phases=("pore",), axis="z", value=2.5, unit="1",
        definition=Definition(id="tau.v1", text="eps / (D_eff / D)"),
    )  # fmt: skip
    found = Descriptors(phases=PHASES, real=Measured(volume=request.volume, descriptors=(tau,)))
    measuring.path("descriptors.json").write_text(found.model_dump_json())
    assert measuring._workspace.commit(b"{}")
    bench = make_bench("comsol-bridge")
    result, section = run(request.model_copy(update={"metrics": measuring.artifact}), bench)
    with zipfile.ZipFile(bench.path(result.package.name)) as archive:
        text = archive.read("electrode_comsol/effective_properties.txt").decode()
    assert 'tortuosity_factor_pore_z 2.5 "eps / (D_eff / D)"\n' in text
    assert "real volume, which need not be the one that was meshed" in str(section)


def test_an_unfinished_package_of_a_killed_run_is_replaced(request_for, make_bench):
    bench = make_bench("comsol-bridge")
    left = bench.scratch / "electrode_comsol"
    left.mkdir(parents=True, exist_ok=True)
    (left / "half a file").write_text("x")
    result, _ = run(request_for(NEVER), bench)
    assert "half a file" not in "".join(zipfile.ZipFile(bench.path(result.package.name)).namelist())
    shutil.rmtree(left)
