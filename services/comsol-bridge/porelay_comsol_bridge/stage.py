"""comsol-bridge: mesh, volume and measured properties become a COMSOL model package; and results, where COMSOL is."""

import shutil
from pathlib import Path

from porelay_comsol_bridge import archive, package, page, survey
from porelay_comsol_bridge.options import ModelParams
from porelay_comsol_bridge.parts import MESH_FILE
from porelay_comsol_bridge.picture import fields_png
from porelay_comsol_bridge.recipe import Recipe
from porelay_comsol_bridge.simulate import LOG, find_comsol, simulate
from porelay_kit.bench import Bench
from porelay_schemas.descriptors import Descriptors
from porelay_schemas.errors import BadInput
from porelay_schemas.manifest import Manifest
from porelay_schemas.meshes import MeshDescription
from porelay_schemas.messages import ComsolBridgeRequest, ComsolBridgeResult, MesherRequest
from porelay_schemas.plan import MethodCall
from porelay_schemas.volumes import VolumeRef

PACKAGE = "electrode_comsol.zip"


def run(request: ComsolBridgeRequest, bench: Bench) -> ComsolBridgeResult:
    """Write the package; build and solve the model where COMSOL is installed."""
    bound = bench.bind("physics", _call(request))
    params = _model_params(bound.params)
    mesh = MeshDescription.model_validate_json(bench.file(request.mesh, "mesh.json").read_bytes())
    survey.check_volume(mesh, request.volume)
    recipe: Recipe = bound(survey.site_of(mesh, request.phases))
    folder = bench.scratch / "electrode_comsol"
    sources, about_effective = _sources(request, bench, mesh, bound.name, params.field_stride)
    purposes = package.assemble(folder, recipe, sources)
    archive.pack(folder, bench.path(PACKAGE))
    simulated, comsol = _simulate(recipe, params, folder, bench)
    figure = fields_png(bench.path("fields.png"), recipe.fields, bench.volume(request.volume), request.phases)
    bench.section(page.section(recipe, mesh, page.Told(folder, purposes, simulated, comsol, about_effective), figure))
    return ComsolBridgeResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        package=bench.ref(PACKAGE),
        simulated=simulated,
    )


def _call(request: ComsolBridgeRequest) -> MethodCall:
    if len(request.use) > 1:
        names = ", ".join(call.method for call in request.use)
        raise BadInput(f"comsol-bridge: a package holds one physics, got {names}. Leave one of them in the plan.")
    return request.use[0] if request.use else MethodCall(method="conduction")


def _model_params(params: object) -> ModelParams:
    if not isinstance(params, ModelParams):
        raise BadInput(
            f"comsol-bridge: parameters of a physics derive from porelay_comsol_bridge.options.ModelParams, "
            f"got {type(params).__qualname__}. Correct the plugin."
        )
    return params


def _sources(
    request: ComsolBridgeRequest, bench: Bench, mesh: MeshDescription, physics: str, stride: int
) -> tuple[package.Sources, str]:
    if MESH_FILE not in mesh.files:
        raise BadInput("comsol-bridge: the mesher wrote no electrode.mphtxt. Add 'mphtxt' to the plan's mesher stage.")
    names = [name for name in (MESH_FILE, package.NASTRAN_FILE) if name in mesh.files]
    files = {name: bench.file(request.mesh, name) for name in names}
    measured, about = None, "Metrics did not run: only volume fractions of the mesh are in the parameter file."
    if request.metrics:
        text = bench.file(request.metrics, "descriptors.json").read_bytes()
        measured, about = survey.measured_of(Descriptors.model_validate_json(text), _meshed(bench, request))
    effective = survey.effective_properties(mesh, measured)
    volume = bench.volume(request.volume)
    return package.Sources(mesh, files, volume.slabs, effective, physics, stride), about


def _meshed(bench: Bench, request: ComsolBridgeRequest) -> VolumeRef | None:
    """Return the volume that the mesher was given, from the mesh's manifest."""
    try:
        manifest = Manifest.model_validate_json(bench.file(request.mesh, "manifest.json").read_bytes())
    except ValueError:
        return None
    return manifest.request.volume if isinstance(manifest.request, MesherRequest) else None


def _simulate(recipe: Recipe, params: ModelParams, folder: Path, bench: Bench) -> tuple[bool, str]:
    """Run COMSOL where that is asked for and possible; return whether it ran, and its version or why it did not."""
    if params.run == "never":
        return False, "the plan says run: never"
    found = find_comsol()
    if not found.versions and params.run == "always":
        raise BadInput(f"comsol-bridge: run is 'always', but {found.why}. Install COMSOL and MPh, or set run: auto.")
    if not found.versions:
        return False, found.why

    def tick(passed: float) -> None:
        bench.progress(0, 1, comsol_s=passed)

    simulate(folder, cores=params.cores, timeout_s=params.timeout_s, tick=tick)
    for name in ("electrode.mph", LOG, *(outcome.file for outcome in recipe.outcomes)):
        if not (folder / name).is_file():
            raise RuntimeError(f"comsol-bridge: COMSOL ended well but wrote no {name}")
        shutil.copyfile(folder / name, bench.path(name))
    return True, found.versions[0]
