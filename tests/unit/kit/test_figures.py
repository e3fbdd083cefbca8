import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from porelay_kit import figures
from porelay_kit.figures import look, marks, pixels, surface, triangles, voxels
from porelay_kit.figures.arrange import arrange
from porelay_schemas.errors import BadInput
from porelay_schemas.plan import Phase

PHASES = (Phase(name="pore", colour="#ff0000"), Phase(name="active_material", colour="#0000ff"))
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(autouse=True)
def coarse_3d_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render fewer pixels: quicker, and drawn just as large."""
    monkeypatch.setattr(surface, "_PIXELS", 200)
    monkeypatch.setattr(voxels, "_PIXELS", 200)


def picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def area(path: Path, colour: tuple[int, int, int]) -> int:
    return int((picture(path) == colour).all(axis=2).sum())


def texts(path: Path) -> str:
    return " ".join(element.text or "" for element in ElementTree.parse(path).iter() if element.tag.endswith("}text"))


def halves(shape: tuple[int, int, int] = (8, 8, 8)) -> NDArray[np.uint8]:
    labels = np.zeros(shape, np.uint8)
    labels[:, :, shape[2] // 2 :] = 1
    return labels


def test_importing_figures_imports_nothing_heavy() -> None:
    code = (
        "import sys; from porelay_kit import figures; "
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'scipy', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_leaves_the_users_matplotlib_settings_alone(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.curves_svg(tmp_path / "a.svg", [figures.Curve("a", [0, 1], [0, 1])], xlabel="x", ylabel="y")
    assert dict(matplotlib.rcParams) == before


class Watched:
    """A volume that counts the voxels read."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array, self.shape, self.read = array, array.shape, 0

    def __getitem__(self, box: Any) -> NDArray[Any]:
        assert all(isinstance(part, slice) and part.step is None for part in box)
        part: NDArray[Any] = self.array[box]
        self.read += part.size
        return part


def test_orthogonal_slices_read_three_slices_only(tmp_path: Path) -> None:
    volume = Watched(np.random.default_rng(0).integers(0, 255, (10, 20, 30), np.uint8))
    figures.ortho_png(tmp_path / "a.png", volume, voxel_um=(1, 1, 1))
    assert volume.read == 20 * 30 + 10 * 30 + 10 * 20


@pytest.mark.parametrize("shape", [(4, 20, 20), (2, 20, 30), (40, 20, 10), (3, 50, 10)])
def test_orthogonal_slices_keep_the_proportions_of_anisotropic_voxels(shape: tuple[int, int, int]) -> None:
    voxel_um = (0.5, 0.1, 0.2)
    plan = arrange(shape, voxel_um)
    scales = [
        inches / (shape[axis] * voxel_um[axis])
        for slot in plan.slots
        for axis, inches in ((slot.down, slot.high), (slot.across, slot.wide))
    ]
    assert scales == pytest.approx([scales[0]] * 6)
    for slot in plan.slots:
        assert slot.left + slot.wide <= plan.wide + 1e-9
        assert slot.top + slot.high <= plan.high + 1e-9
    assert plan.wide < 7.5


@pytest.mark.parametrize("z_um", [0.5, 0.1])
def test_slices_lie_the_way_their_captions_say(tmp_path: Path, z_um: float) -> None:
    path = tmp_path / "a.png"
    labels = np.zeros((6, 12, 12), np.uint8)
    labels[:3] = 1  # above the middle in z: the xy slice is red, half of the others is blue
    figures.ortho_png(path, labels, voxel_um=(z_um, 0.1, 0.1), phases=PHASES)
    blue = (picture(path) == BLUE).all(axis=2)
    plan = arrange((6, 12, 12), (z_um, 0.1, 0.1))
    for slot in plan.slots[1:]:
        top, left = round((slot.top + 0.12) * look.DPI), round((slot.left + 0.12) * look.DPI)
        part = blue[top : top + round(slot.high * look.DPI), left : left + round(slot.wide * look.DPI)]
        first, second = np.array_split(part, 2, axis=0 if slot.down == 0 else 1)
        assert first.mean() > 0.95
        assert second.mean() < 0.05


def test_labels_are_shown_in_exactly_the_colours_of_their_phases(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    figures.ortho_png(path, halves(), voxel_um=(1, 1, 1), phases=PHASES)
    red, blue = area(path, RED), area(path, BLUE)
    # xy and xz are half and half; the middle yz slice lies in the right half; the scale bar lies on red
    assert blue / (red + blue) == pytest.approx(2 / 3, abs=0.04)


def test_an_overlay_tints_the_grey_slices(tmp_path: Path) -> None:
    grey = np.full((8, 8, 8), 100, np.uint8)
    grey[:, :4] = 200
    plain, tinted = tmp_path / "a.png", tmp_path / "b.png"
    figures.ortho_png(plain, grey, voxel_um=(1, 1, 1))
    figures.ortho_png(tinted, grey, voxel_um=(1, 1, 1), phases=PHASES, overlay=halves())
    with Image.open(plain) as image:
        assert image.mode == "L"
    spread = np.ptp(picture(tinted).astype(int), axis=2)
    assert (spread > 60).mean() > 0.4


@pytest.mark.parametrize("shape", [(1, 64, 64), (200, 8, 8), (2, 3, 500), (1, 1, 1)])
def test_orthogonal_slices_of_odd_shapes_are_drawn(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    figures.ortho_png(tmp_path / "a.png", np.zeros(shape, np.float32), voxel_um=(1, 1, 1))
    figures.phases_png(tmp_path / "b.png", np.zeros(shape, np.uint8), phases=PHASES, voxel_um=(1, 1, 1))
    assert max(picture(tmp_path / "a.png").shape) < 1500


def test_an_overlay_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"overlay has shape \(8, 8, 4\), its volume \(8, 8, 8\)"):
        figures.ortho_png(tmp_path / "a.png", halves(), voxel_um=(1, 1, 1), phases=PHASES, overlay=halves((8, 8, 4)))
    with pytest.raises(BadInput, match="needs `phases`"):
        figures.ortho_png(tmp_path / "a.png", halves(), voxel_um=(1, 1, 1), overlay=halves())


def test_the_grey_window_leaves_out_half_a_percent_on_either_side() -> None:
    ramp = np.arange(1001, dtype=np.float32)
    assert pixels.window_of([ramp]) == (5.0, 995.0)
    assert pixels.window_of([np.full((4, 4), 7.0)]) == (6.5, 7.5)
    assert pixels.window_of([np.full((4, 4), np.nan)]) == (0.0, 1.0)
    mostly_flat = np.zeros(10_000)
    mostly_flat[0] = 9
    assert pixels.window_of([mostly_flat]) == (0.0, 9.0)


def test_pixels_that_are_not_finite_are_red() -> None:
    coloured = pixels.colour_grey(np.array([[0.0, np.nan, 1.0, np.inf]]), (0, 1))
    assert coloured[0].tolist() == [[0, 0, 0], [214, 39, 40], [255, 255, 255], [214, 39, 40]]


def test_grey_is_averaged_and_labels_are_picked() -> None:
    image = np.array([[0, 2, 4, 6, 9]], np.uint8)
    assert pixels.fit_mean(image, 1, 2).tolist() == [[1.0, pytest.approx(19 / 3)]]
    assert pixels.fit_nearest(image, 1, 2).tolist() == [[2, 6]]
    assert pixels.fit_nearest(image, 1, 10)[0].tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 9, 9]


@pytest.mark.parametrize(
    ("um", "text"),
    [(0.05, "50 nm"), (0.4, "400 nm"), (1.0, "1 µm"), (51.2, "51.2 µm"), (2500, "2.5 mm"), (999.7, "1000 µm")],
)
def test_lengths_have_a_fitting_unit(um: float, text: str) -> None:
    assert marks.length(um) == text


@pytest.mark.parametrize(("most", "bar"), [(9.9, 5), (10, 10), (0.34, 0.2), (0.05, 0.05), (1999, 1000)])
def test_scale_bars_have_round_lengths(most: float, bar: float) -> None:
    assert marks.round_length(most) == pytest.approx(bar)


def test_panels_of_all_kinds_are_drawn_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    labels = halves()[0]
    shown = [
        figures.Panel("grey", labels * 100.0),
        figures.Panel("labels", labels, phases=PHASES),
        figures.Panel("both", labels * 100, phases=PHASES, overlay=labels),
        figures.Panel("colour", np.zeros((8, 8, 3), np.uint8)),
        figures.Panel("one row", np.zeros((1, 300))),
    ]
    figures.panels_png(path, shown, voxel_um=(0.1, 0.1))
    assert area(path, BLUE) > 1000
    with pytest.raises(BadInput, match="no panel"):
        figures.panels_png(path, [])
    with pytest.raises(BadInput, match=r"'wrong' has shape \(8,\)"):
        figures.panels_png(path, [figures.Panel("wrong", np.zeros(8))])


def test_curves_carry_their_texts_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    curves = [figures.Curve("S₂ of $pore$ <b>", [0, 1, 2], [0.4, 0.2, np.nan], band=([0.3, 0.1, 0], [0.5, 0.3, 0]))]
    figures.curves_svg(path, curves, xlabel="r / µm", ylabel="S₂", title="Two-point", hlines=[(0.16, "φ²"), 0.1])
    found = texts(path)
    for text in ("S₂ of $pore$ <b>", "r / µm", "Two-point", "φ²"):
        assert text in found


def test_svg_holds_no_metadata_and_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    figures.histogram_svg(path, {"a": [1, 2, 2, 3]}, xlabel="n", vlines={"mean": 2})
    text = path.read_text()
    assert "<metadata" not in text
    assert "<image" not in text
    assert not re.search(r'href="(?!#)', text)


def test_long_curves_stay_small_and_keep_their_extremes_as_a_band(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    y = np.sin(np.arange(200_000) / 50)
    figures.curves_svg(path, [figures.Curve("loss", np.arange(200_000), y)], xlabel="steps", ylabel="loss")
    assert path.stat().st_size < 80_000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("y", [[], [np.nan, np.inf], [0.0, 0.0], [-1.0, 2.0]])
def test_curves_without_a_value_to_show_are_drawn(tmp_path: Path, y: list[float]) -> None:
    curves = [figures.Curve("a", np.arange(len(y)), y)]
    figures.curves_svg(tmp_path / "a.svg", curves, xlabel="x", ylabel="y", logx=True, logy=True)
    figures.histogram_svg(tmp_path / "b.svg", {"a": y}, xlabel="x")
    assert ("no data" in texts(tmp_path / "a.svg")) == (not np.isfinite(y).any())


def test_curves_of_unequal_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'a' has 2 values of x and 1 of y"):
        figures.curves_svg(tmp_path / "a.svg", [figures.Curve("a", [0, 1], [0])], xlabel="x", ylabel="y")


def test_logarithmic_axes_are_labelled_in_powers_of_ten(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    x = np.logspace(-6, 2, 20)
    figures.curves_svg(path, [figures.Curve("", x, x)], xlabel="x", ylabel="y", logx=True, logy=True)
    assert "10⁻⁴" in texts(path)


def test_a_bar_without_a_value_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    figures.bars_svg(path, ["pore", "cbd"], {"real": [0.4, float("nan")]}, ylabel="φ", errors={"real": [0.1, 0.1]})
    assert "n/a" in texts(path)
    assert "0.4" in texts(path)
    with pytest.raises(BadInput, match="group 'real' has 1 values for 2 labels"):
        figures.bars_svg(path, ["pore", "cbd"], {"real": [0.4]}, ylabel="φ")


def test_a_far_outlier_does_not_squeeze_a_histogram(tmp_path: Path) -> None:
    samples = np.append(np.random.default_rng(0).normal(0, 1, 10_000), 1e6)
    figures.histogram_svg(tmp_path / "a.svg", {"a": samples}, xlabel="x")
    assert "off the axis" in texts(tmp_path / "a.svg")


def test_counted_histograms_join_bins_and_keep_all_counts(tmp_path: Path) -> None:
    figures.counts_svg(tmp_path / "a.svg", np.arange(65536), np.ones(65536), xlabel="grey level", vlines={"t": 99.0})
    assert (tmp_path / "a.svg").stat().st_size < 80_000
    figures.counts_svg(tmp_path / "b.svg", [3], [7], xlabel="grey level")
    with pytest.raises(BadInput, match="got 2 centres and 1 counts"):
        figures.counts_svg(tmp_path / "c.svg", [1, 2], [1], xlabel="x")


def test_the_whole_box_shows_its_front_faces(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[-1] = 1  # greatest z: the lid
    figures.phases_png(path, labels, phases=PHASES, voxel_um=(1, 1, 1))
    shown = picture(path).astype(int)
    blue, red = shown[..., 2] - shown[..., 0] > 80, shown[..., 0] - shown[..., 2] > 80
    assert np.flatnonzero(blue.any(axis=1)).mean() < np.flatnonzero(red.any(axis=1)).mean()
    assert blue.sum() > 20_000
    assert red.sum() > 20_000


def test_a_cut_out_shows_only_what_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[8:16, 8:16, 8:16] = 1
    figures.phases_png(path, labels, phases=PHASES, voxel_um=(1, 1, 1), shown=[1])
    shown = picture(path).astype(int)
    assert (shown[..., 2] - shown[..., 0] > 60).sum() > 8_000
    assert (shown[..., 0] - shown[..., 2] > 60).sum() == 0


def test_a_sheet_and_a_thread_one_voxel_thin_are_seen(tmp_path: Path) -> None:
    for name, where in (("sheet", np.s_[12, :, :]), ("thread", np.s_[12, 12, :]), ("speck", np.s_[12, 12, 12])):
        labels = np.zeros((24, 24, 24), np.uint8)
        labels[where] = 1
        figures.phases_png(tmp_path / f"{name}.png", labels, phases=PHASES, voxel_um=(1, 1, 1), shown=[1])
        shown = picture(tmp_path / f"{name}.png")[:-60].astype(int)
        assert (shown[..., 2] - shown[..., 0] > 60).sum() > 100, name


@pytest.mark.parametrize("shown", [[], [1]])
def test_a_cut_out_of_nothing_is_an_empty_box(tmp_path: Path, shown: list[int]) -> None:
    path = tmp_path / "a.png"
    figures.phases_png(path, np.zeros((9, 9, 9), np.uint8), phases=PHASES, voxel_um=(1, 1, 1), shown=shown)
    assert (picture(path)[:-60] == 255).all(axis=2).mean() > 0.9


def test_showing_a_label_that_no_phase_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"`shown` has \[2\], but the phases have labels 0 to 1"):
        figures.phases_png(tmp_path / "a.png", halves(), phases=PHASES, voxel_um=(1, 1, 1), shown=[0, 2])


def test_large_volumes_are_read_slab_by_slab(tmp_path: Path) -> None:
    volume = Watched(np.zeros((400, 40, 40), np.uint8))
    figures.phases_png(tmp_path / "a.png", volume, phases=PHASES, voxel_um=(0.1, 1, 1), shown=[1])
    assert volume.read == volume.array.size


CUBE = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], float)
SIDES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 3, 7], [1, 7, 5]),
    ]
)


def test_of_a_cube_the_three_sides_towards_the_viewer_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    hidden, seen = "#00ff00", "#0000ff"
    colours = [hidden, hidden, seen, seen, seen, seen, hidden, hidden, hidden, hidden, seen, seen]
    figures.mesh_png(path, CUBE, SIDES, colours, edges=False)
    shown = picture(path).astype(int)
    assert (shown[..., 1] - shown[..., 2] > 60).sum() == 0
    assert (shown[..., 2] - shown[..., 1] > 60).sum() > 60_000


def test_colours_of_a_mesh_come_as_one_as_names_or_as_numbers(tmp_path: Path) -> None:
    made = []
    for name, colours in (("one", "#D55E00"), ("names", ["#D55E00"] * 12), ("numbers", np.ones(12, int))):
        figures.mesh_png(tmp_path / name, CUBE, SIDES, colours, palette=figures.PALETTE, legend={"a": "#D55E00"})
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1] == made[2]
    with pytest.raises(BadInput, match="got 2 colours for 12 faces"):
        figures.mesh_png(tmp_path / "a", CUBE, SIDES, ["#000000"] * 2)
    with pytest.raises(BadInput, match="faces name vertices 1 to 8, but there are 8"):
        figures.mesh_png(tmp_path / "a", CUBE, SIDES + 1, "#000000")


def test_a_mesh_without_faces_is_an_empty_box(tmp_path: Path) -> None:
    figures.mesh_png(tmp_path / "a.png", CUBE, np.empty((0, 3), int), [])
    assert picture(tmp_path / "a.png").shape[2] == 3


def test_the_nearer_of_two_triangles_is_seen_whatever_their_size() -> None:
    large = [[-50.0, -50.0, 1.0], [200.0, -50.0, 1.0], [-50.0, 200.0, 1.0]]
    small = [[10.0, 10.0, 2.0], [20.3, 10.0, 2.0], [10.0, 20.3, 2.0]]
    behind = [[30.0, 30.0, 0.0], [40.0, 30.0, 0.0], [30.0, 40.0, 0.0]]
    edge_on = [[0.0, 0.0, 3.0], [5.0, 5.0, 3.0], [9.0, 9.0, 3.0]]
    face, near = triangles.nearest_faces(np.array([large, small, behind, edge_on], np.float32), 50)
    assert np.bincount(face[face >= 0], minlength=4).tolist() == [2445, 55, 0, 0]
    assert near[face == 1] == pytest.approx(2)


def test_two_triangles_that_share_an_edge_leave_no_gap() -> None:
    a, b, c, d = [3.3, 2.1, 0.0], [40.7, 5.9, 0.0], [44.2, 47.0, 0.0], [1.8, 41.5, 0.0]
    face, _ = triangles.nearest_faces(np.array([[a, b, c], [a, c, d]], np.float32), 50)
    seen = face.reshape(50, 50) >= 0
    for row in seen[10:40]:
        inside = np.flatnonzero(row)
        assert inside.size == inside[-1] - inside[0] + 1


def draw_all(folder: Path) -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    grey, labels = rng.normal(size=(20, 24, 28)), rng.integers(0, 2, (20, 24, 28), np.uint8)
    um = (0.1, 0.05, 0.05)
    figures.ortho_png(folder / "a.png", grey, voxel_um=um, phases=PHASES, overlay=labels, title="overlay")
    figures.panels_png(folder / "b.png", [figures.Panel("p", grey[0])], voxel_um=(0.1, 0.1))
    figures.curves_svg(folder / "c.svg", [figures.Curve("c", [1, 2], [3, 4])], xlabel="x", ylabel="y", logy=True)
    figures.bars_svg(folder / "d.svg", ["a", "b"], {"g": [1, 2], "h": [2, 3]}, ylabel="y")
    figures.histogram_svg(folder / "e.svg", {"g": grey}, xlabel="x", density=True)
    figures.counts_svg(folder / "f.svg", [1, 2, 3], [4, 5, 6], xlabel="x")
    figures.phases_png(folder / "g.png", labels, phases=PHASES, voxel_um=um, shown=[1])
    figures.mesh_png(folder / "h.png", CUBE, SIDES, "#0072B2", title="cube")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_input_gives_the_same_bytes_from_several_threads_too(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(draw_all, [tmp_path / "one", tmp_path / "two"])
    assert len(first) == 8
    assert first == second
