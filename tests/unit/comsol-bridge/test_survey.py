"""The mesh as a physics sees it, and measured properties as COMSOL parameters."""

import numpy as np
import pytest
from comsol_blocks import PHASES, VOXEL_UM, Block, labels

from porelay_comsol_bridge.survey import check_volume, effective_properties, measured_of, site_of
from porelay_schemas.descriptors import Definition, Descriptor, Descriptors, Measured
from porelay_schemas.errors import BadInput
from porelay_schemas.volumes import VolumeRef

TEXT = Definition(id="x.v1", text='a "quoted" \\ text')


def volume(name: str = "labels.zarr", shape=(2, 3, 4), voxel_um=VOXEL_UM) -> VolumeRef:
    return VolumeRef(prefix="p", name=name, kind="labels", shape=shape, dtype="uint8", voxel_um=voxel_um)


def measured(name: str, *descriptors: Descriptor) -> Measured:
    return Measured(volume=volume(name), descriptors=descriptors)


def test_the_site_names_domains_faces_and_interfaces_by_their_labels(site):
    np.testing.assert_allclose(site.size_um, (0.4, 0.6, 0.8))
    assert {phase: domain.label for phase, domain in site.domains.items()} == {p.name: p.name for p in PHASES}
    assert site.domains["pore"].volume_um3 == pytest.approx(10 * 0.008)
    assert site.faces["z_min", "cbd"] == "z_min_cbd"
    assert ("x_max", "pore") not in site.faces
    assert site.interfaces[frozenset({"active_material", "pore"})] == "pore_active_material"


@pytest.mark.parametrize(
    ("collector", "separator", "thickness", "section"), [("z_min", "z_max", 0.8, 0.24), ("x_max", "x_min", 0.4, 0.48)]
)
def test_thickness_and_section_follow_the_collector(block, collector, separator, thickness, section):
    site = site_of(block.describe(collector), PHASES)
    assert site.separator == separator
    assert site.thickness_um == pytest.approx(thickness)
    assert site.section_um2 == pytest.approx(section)


def test_a_mesh_without_tetrahedra_is_refused(block):
    mesh = block.describe().model_copy(update={"tetrahedra": 0})
    with pytest.raises(BadInput, match=r"no tetrahedra\. Use 'conformal'"):
        site_of(mesh, PHASES)


def test_labels_that_were_not_meshed_are_refused(block):
    check_volume(block.describe(), volume())
    with pytest.raises(BadInput, match=r"of \(2, 3, 4\) voxels.*got labels of \(4, 3, 4\).*mesher's result"):
        check_volume(block.describe(), volume(shape=(4, 3, 4)))


def test_properties_become_lines_of_name_value_with_unit_and_description(block):
    found = measured(
        "a",
        Descriptor(name="specific_surface_area", phases=("pore",), value=1.5, unit="1/um", definition=TEXT),
        Descriptor(name="tortuosity_factor", phases=("pore",), axis="z", value=2.25, unit="1", definition=TEXT),
        Descriptor(name="tortuosity_factor", phases=("cbd",), axis="z", value=None, unit="1", definition=TEXT),
    )
    lines = effective_properties(block.describe(), found).splitlines()
    assert lines[0].startswith("mesh_fraction_pore 0.41666666")
    assert lines[3:] == [
        "specific_surface_area_pore 1.5[1/um] \"a 'quoted' / text\"",
        "tortuosity_factor_pore_z 2.25 \"a 'quoted' / text\"",
    ]


def test_mesh_fractions_alone_are_there_without_metrics(block):
    fractions = [float(line.split()[1]) for line in effective_properties(block.describe(), None).splitlines()]
    assert sum(fractions) == pytest.approx(1)


def test_the_measurements_of_the_meshed_volume_are_taken():
    descriptors = Descriptors(phases=PHASES, real=measured("real"), generated=(measured("one"), measured("two")))
    assert measured_of(descriptors, volume("two")) == (
        descriptors.generated[1], "Effective properties are of the generated volume that was meshed, all of it."
    )  # fmt: skip
    assert measured_of(descriptors, volume("real"))[0] == descriptors.real
    taken, sentence = measured_of(descriptors, None)
    assert taken == descriptors.real
    assert "need not be the one that was meshed" in sentence
    assert measured_of(Descriptors(phases=PHASES), None)[0] is None


def test_the_tiny_mesh_of_these_tests_fills_its_box():
    block = Block(labels())
    assert sum(s.measure for s in block.selections() if s.kind == "phase") == pytest.approx(0.4 * 0.6 * 0.8)
    faces = sum(s.measure for s in block.selections() if s.kind == "face_phase")
    assert faces == pytest.approx(2 * (0.4 * 0.6 + 0.4 * 0.8 + 0.6 * 0.8))
