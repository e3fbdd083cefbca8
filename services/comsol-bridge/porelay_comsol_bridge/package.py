"""Assemble the model package: mesh, fields, parameters, scripts, and what to do with them."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from porelay_comsol_bridge.grids import Slabs, stride_for, write_grids
from porelay_comsol_bridge.javacode import java_script
from porelay_comsol_bridge.parts import EFFECTIVE_FILE, MESH_FILE
from porelay_comsol_bridge.pythoncode import python_script
from porelay_comsol_bridge.readme import UNVERIFIED, readme
from porelay_comsol_bridge.recipe import Beside, Imported, Recipe
from porelay_comsol_bridge.simulate import SCRIPT
from porelay_schemas.meshes import MeshDescription

JAVA = "BuildElectrode.java"
NASTRAN_FILE = "electrode.nas"


@dataclass(frozen=True)
class Sources:
    """What goes into a package besides the recipe: mesh files by name, labels, effective properties."""

    mesh: MeshDescription
    mesh_files: Mapping[str, Path]
    slabs: Slabs
    effective: str
    physics: str
    field_stride: int


def assemble(folder: Path, recipe: Recipe, sources: Sources) -> dict[str, str]:
    """Write the package into an empty `folder`; return what each file is, by name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, source in sources.mesh_files.items():
        shutil.copyfile(source, folder / name)
    mesh = sources.mesh
    stride = stride_for(mesh.shape, sources.field_stride)
    write_grids(folder, recipe.fields, sources.slabs, shape=mesh.shape, voxel_um=mesh.voxel_um, stride=stride)
    purposes = _purposes(recipe, sources, stride)
    (folder / EFFECTIVE_FILE).write_text(sources.effective, encoding="utf-8")
    (folder / JAVA).write_text(java_script(recipe), encoding="ascii")
    (folder / SCRIPT).write_text(python_script(recipe), encoding="utf-8")
    (folder / "manifest.json").write_text(_manifest(recipe, sources, purposes), encoding="utf-8")
    (folder / "README.txt").write_text(readme(recipe, sources.physics, purposes), encoding="utf-8")
    _check(folder, recipe, mesh)
    return purposes


def _purposes(recipe: Recipe, sources: Sources, stride: int) -> dict[str, str]:
    every = "every voxel" if stride == 1 else f"every {stride}. voxel"
    named = {
        "README.txt": "how to open, build and solve the model",
        JAVA: "the model as a Java program, for comsol compile and comsol batch",
        SCRIPT: "the same model as a Python program, for MPh",
        MESH_FILE: "the mesh with its named selections, in COMSOL's own format",
        NASTRAN_FILE: "the same mesh as NASTRAN bulk data, should the other import fail",
        EFFECTIVE_FILE: "measured properties of the phases, as COMSOL parameters",
        **{grid.file: f"{grid.about}, {every}, as an interpolation grid" for grid in recipe.fields},
        "manifest.json": "what the mesh, selections and parameters must be, for programs",
    }
    return {name: text for name, text in named.items() if name not in _MESHES or name in sources.mesh_files}


_MESHES = (MESH_FILE, NASTRAN_FILE)


def _manifest(recipe: Recipe, sources: Sources, purposes: Mapping[str, str]) -> str:
    content = {
        "physics": sources.physics,
        "products": recipe.products,
        "mesh": sources.mesh.model_dump(mode="json"),
        "parameters": [asdict(parameter) for parameter in recipe.parameters],
        "fields": [asdict(field) | {"file": field.file} for field in recipe.fields],
        "outcomes": [asdict(outcome) for outcome in recipe.outcomes],
        "files": dict(purposes),
        "notes": recipe.notes,
        "unverified": UNVERIFIED,
    }
    return json.dumps(content, indent=1) + "\n"


def _check(folder: Path, recipe: Recipe, mesh: MeshDescription) -> None:
    """Refuse a recipe that asks for a selection or a file that will not be there."""
    labels = {selection.name for selection in mesh.selections}
    unknown = {imported.label for imported in recipe.mentioned(Imported)} - labels
    outcomes = {outcome.file for outcome in recipe.outcomes}
    absent = {b.name for b in recipe.mentioned(Beside)} - outcomes - {path.name for path in folder.iterdir()}
    if unknown or absent:
        raise RuntimeError(f"COMSOL recipe: no such selections {sorted(unknown)}, no such files {sorted(absent)}")
