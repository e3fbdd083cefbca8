"""The stage: read a label volume, mesh it, write the files that the plan asks for."""

from porelay_kit.bench import Bench
from porelay_kit.plugins import Bound, bind, families_of
from porelay_mesher.meshes import Meshes
from porelay_schemas.errors import BadInput
from porelay_schemas.messages import MesherRequest, MesherResult
from porelay_schemas.volumes import FileRef, VolumeRef


def run(request: MesherRequest, bench: Bench) -> MesherResult:
    """Mesh one label volume: meshers in the plan's order, then exporters; `files` is keyed by file name."""
    from porelay_mesher.description import describe
    from porelay_mesher.gate import gate
    from porelay_mesher.page import page
    from porelay_mesher.survey import survey

    methods = [bind(families_of("mesher"), call) for call in request.use]
    steps = len(methods) + 2
    meshes = _start(request, bench)
    for done, method in enumerate(_of(methods, "mesher"), 1):
        meshes = method(meshes)
        bench.progress(done, steps)
    found = survey(meshes)
    checks = gate(found) if found else ()
    files: dict[str, FileRef] = {}
    for method in _of(methods, "exporter"):
        files |= _write(method, meshes, bench)
        bench.progress(len(files), steps)
    volume = _keep_labels(meshes, bench)
    told = describe(meshes, found, checks, tuple(files))
    files["mesh.json"] = bench.write_json("mesh.json", told.model_dump(mode="json"))
    bench.section(page(bench, meshes, found, checks, told))
    bench.progress(steps, steps)
    return MesherResult(
        run_id=request.run_id,
        artifact=bench.artifact,
        seconds=bench.seconds,
        volume=volume,
        tetrahedra=told.tetrahedra,
        files=files,
    )


def _start(request: MesherRequest, bench: Bench) -> Meshes:
    ref = request.volume
    if ref.kind != "labels":
        raise BadInput(f"mesher: got the grey volume {ref.name!r}, wanted labels. Put 'segment' before it in the plan.")
    return Meshes(bench.volume(ref), request.phases, ref.voxel_um, bench.max_memory_bytes)


def _of(methods: list[Bound], family: str) -> list[Bound]:
    """Return the methods of a family; raise BadInput where nothing meshes."""
    found = [method for method in methods if method.family == family]
    if not found and family == "mesher":
        raise BadInput("mesher: the plan names no mesher, so there is nothing to write. Use 'conformal' or 'surface'.")
    return found


def _write(method: Bound, meshes: Meshes, bench: Bench) -> dict[str, FileRef]:
    files = {}
    for exported in method(meshes):
        with bench.path(exported.name).open("wb") as file:
            file.writelines(exported.chunks)
        files[exported.name] = bench.ref(exported.name)
    return files


def _keep_labels(meshes: Meshes, bench: Bench) -> VolumeRef:
    """Write the labels that were meshed, and return their reference."""
    volume = bench.new_volume(
        "meshed.zarr", kind="labels", shape=meshes.labels.shape, dtype="uint8", voxel_um=meshes.voxel_um
    )
    volume[:, :, :] = meshes.labels[:, :, :]
    return volume.ref
