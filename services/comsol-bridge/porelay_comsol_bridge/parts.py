"""The parts that all models share: component, imported mesh and its check, parameters, selections, fields."""

from collections.abc import Iterable, Iterator, Sequence

from porelay_comsol_bridge.recipe import (
    MODEL,
    Beside,
    Call,
    Imported,
    MeshCheck,
    Outcome,
    Parameter,
    Part,
    VoxelField,
    isotropic,
)
from porelay_comsol_bridge.site import Site

MESH_FILE = "electrode.mphtxt"
EFFECTIVE_FILE = "effective_properties.txt"
COMPONENT = MODEL.component("comp1")


def mesh(site: Site) -> Iterator[Part]:
    """Import the mesh, put the physics on it, and check what came in.

    The source is set before the file name, which would choose a source by itself.
    """
    imp1 = COMPONENT.mesh("mesh1").feature("imp1")
    steps = (
        MODEL.component().create("comp1", True),
        COMPONENT.geom().create("geom1", 3),
        COMPONENT.geom("geom1").lengthUnit("µm"),
        COMPONENT.mesh().create("mesh1", "geom1"),
        COMPONENT.mesh("mesh1").create("imp1", "Import"),
        imp1.set("source", "native"),
        imp1.set("filename", Beside(MESH_FILE)),
        imp1.set("facepartition", "minimal"),
        imp1.importData(),
        COMPONENT.mesh("mesh1").run(),
        COMPONENT.geometricModel("mesh1"),
    )
    yield Part("Component and imported mesh", steps)
    checks = (MeshCheck(d.label, d.tetrahedra, d.volume_um3) for d in site.domains.values())
    yield Part("Check of the import: tetrahedra and volume of each phase", tuple(checks))


def parameters(given: Iterable[Parameter]) -> Part:
    """Set the model's parameters, and load the measured ones from their file into a group of their own."""
    steps = [MODEL.param().set(p.name, p.expression, f"{p.about} ({p.source})") for p in given]
    steps += [
        MODEL.param().create("par2"),
        MODEL.param("par2").label("Effective properties measured by Porelay"),
        MODEL.param("par2").loadFile(Beside(EFFECTIVE_FILE)),
    ]
    return Part("Parameters", tuple(steps))


def box_parameters(site: Site) -> tuple[Parameter, ...]:
    """Return the measures of the box."""
    mesher = "the mesh"
    return (
        Parameter("thickness", f"{site.thickness_um:.12g}[um]", "box edge from collector to separator", mesher),
        Parameter("section", f"{site.section_um2:.12g}[um^2]", "box area across it", mesher),
    )


def union(tag: str, label: str, dimension: int, labels: Sequence[str]) -> Iterator[Call]:
    """Group imported selections under one tag of our own."""
    yield COMPONENT.selection().create(tag, "Union")
    yield COMPONENT.selection(tag).label(label)
    yield COMPONENT.selection(tag).set("entitydim", dimension)
    yield COMPONENT.selection(tag).set("input", tuple(Imported(name) for name in labels))


def material(tag: str, label: str, selection: str, conductivity: str) -> Iterator[Call]:
    """Make a material of a phase."""
    yield COMPONENT.material().create(tag, "Common")
    yield COMPONENT.material(tag).label(label)
    yield COMPONENT.material(tag).selection().named(Imported(selection))
    yield COMPONENT.material(tag).propertyGroup("def").set("electricconductivity", isotropic(conductivity))
    yield COMPONENT.material(tag).propertyGroup("def").set("relpermittivity", isotropic("1"))


def fields(given: Sequence[VoxelField]) -> Part:
    """Load the voxel grids as functions of x, y, z, the value of the nearest voxel anywhere."""
    steps: list[Call] = []
    for number, grid in enumerate(given, 1):
        function = MODEL.func(f"int{number}")
        steps += [
            MODEL.func().create(f"int{number}", "Interpolation"),
            function.label(f"{grid.about} (voxels)"),
            function.set("source", "file"),
            function.set("filename", Beside(grid.file)),
            function.set("struct", "grid"),
            function.importData(),
            function.setIndex("funcnametable", grid.name, 0, 0),
            function.set("interp", "neighbor"),
            function.setIndex("fununit", grid.unit or "1", 0),
            *(function.setIndex("argunit", "um", axis) for axis in range(3)),
        ]
    return Part("Property fields on the voxel grid", tuple(steps))


def phase_field(site: Site) -> VoxelField:
    """Return the field that holds the label of each voxel."""
    return VoxelField("phase_index", "", tuple(map(float, range(len(site.phases)))), "label of the phase")


def field_agreement(site: Site, data: str) -> Part:
    """Measure how much of each phase's domain lies where the voxels say so: near 1 when axes and units agree."""
    steps: list[Call] = []
    index = {phase.name: number for number, phase in enumerate(site.phases)}
    for number, (phase, domain) in enumerate(site.domains.items(), 1):
        expression = f"abs(phase_index(x,y,z)-{index[phase]})<0.5"
        average = evaluation(f"agree{number}", "AvVolume", data, expression, "1", f"mesh and voxels agree, {phase}")
        steps += [*average, MODEL.result().numerical(f"agree{number}").selection().named(Imported(domain.label))]
    numericals = [f"agree{number}" for number in range(1, len(site.domains) + 1)]
    return Part("Do mesh and voxel fields agree?", (*steps, *table("agree", numericals, AGREEMENT.file)), solves=True)


AGREEMENT = Outcome("result_field_agreement.txt", "share of each phase's mesh that its voxels agree with")


def evaluation(tag: str, kind: str, data: str, expression: str, unit: str, about: str) -> Iterator[Call]:
    """Make a numerical evaluation."""
    yield MODEL.result().numerical().create(tag, kind)
    node = MODEL.result().numerical(tag)
    yield node.set("data", data)
    yield node.set("expr", (expression,))
    yield node.set("unit", (unit,))
    yield node.set("descr", (about,))


def table(tag: str, numericals: Sequence[str], file: str) -> Iterator[Call]:
    """Evaluate into one table and write it beside the script."""
    yield MODEL.result().table().create(tag, "Table")
    for number, name in enumerate(numericals):
        node = MODEL.result().numerical(name)
        yield node.set("table", tag)
        yield node.appendResult() if number else node.setResult()
    yield MODEL.result().table(tag).save(Beside(file))


def grid_export(tag: str, data: str, expression: str, file: str, points: int) -> Iterator[Call]:
    """Write an expression on a regular grid of points beside the script."""
    yield MODEL.result().export().create(tag, "Data")
    node = MODEL.result().export(tag)
    yield node.set("data", data)
    yield node.set("expr", (expression,))
    yield node.set("filename", Beside(file))
    yield node.set("location", "regulargrid")
    for axis in "xyz":
        yield node.set(f"regulargrid{axis}3", str(points))
    yield node.run()
