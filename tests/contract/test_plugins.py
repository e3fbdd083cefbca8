"""What every plugin keeps, checked over the registry: a newcomer is covered without an edit here."""

import inspect
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from porelay_kit import plugins
from porelay_schemas.base import Params
from porelay_schemas.route import FAMILIES, ROUTE, STAGES

ALL = [method for family in FAMILIES for method in plugins.methods(family).values()]
HEAVY = (
    "torch",
    "scipy",
    "skimage",
    "cv2",
    "numba",
    "trimesh",
    "gmsh",
    "matplotlib",
    "zarr",
    "dask",
    "pywt",
    "tifffile",
)


def test_every_family_has_a_method_and_every_stage_a_service():
    assert {method.family for method in ALL} == set(FAMILIES)
    for stage in ROUTE:
        assert callable(plugins.stage_function(stage.name))


@pytest.mark.parametrize("method", ALL, ids=lambda method: f"{method.family}.{method.name}")
def test_an_entry_point_loads_says_what_it_does_and_describes_its_parameters(method):
    function = method.load()
    assert callable(function)
    assert 10 < len(method.about) <= 140, f"docstring's first line: {method.about!r}"
    assert issubclass(method.params, Params)
    for name, field in method.params.model_fields.items():
        assert field.description, f"{method.name}.{name} needs a description with its unit"
        assert not field.is_required() or method.name in ("crop",), f"{method.name}.{name} needs a default"


@pytest.mark.parametrize("stage", [stage.name for stage in ROUTE])
def test_no_two_methods_of_a_stage_share_a_name(stage):
    names = [name for family in STAGES[stage].families for name in plugins.methods(family)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("method", ALL, ids=lambda method: f"{method.family}.{method.name}")
def test_parameters_survive_the_way_through_a_message(method):
    if any(field.is_required() for field in method.params.model_fields.values()):
        pytest.skip("has a required parameter")
    params = method.params()
    assert method.params.model_validate(json.loads(params.model_dump_json())) == params


def test_listing_plugins_imports_no_heavy_library():
    program = textwrap.dedent(f"""
        import sys
        from click.testing import CliRunner
        from porelay_kit.cli import porelay
        for words in (["plugins"], ["plugins", "filter"], ["plugins", "trainer", "slicegan"], ["plan", "list"]):
            answer = CliRunner().invoke(porelay, words, catch_exceptions=False)
            assert answer.exit_code == 0, answer.output
        print(sorted(set({HEAVY!r}) & set(sys.modules)))
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"imported: {done.stdout}"


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch):
    """A third party's package, as pip would have installed it."""
    package = tmp_path / "acme_filters"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "invert.py").write_text(
        textwrap.dedent('''
        from typing import Any
        import numpy as np
        from numpy.typing import NDArray
        from pydantic import Field
        from porelay_schemas.base import Params
        from porelay_schemas.filters import local

        class InvertParams(Params):
            white: int = Field(255, ge=1, le=255, description="grey value that becomes black")

        @local(halo=lambda params: (0, 0, 0))
        def invert(grey: NDArray[Any], params: InvertParams) -> NDArray[Any]:
            """Turn bright into dark, for detectors with inverted contrast."""
            return (params.white - grey.astype(np.float32))
        ''')
    )
    info = tmp_path / "acme_filters-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-filters\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[porelay.filter]\ninvert = acme_filters.invert:invert\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("acme_filters")]:
        monkeypatch.delitem(sys.modules, name)
    plugins._digest.cache_clear()
    return tmp_path


def test_a_third_partys_plugin_is_found_listed_and_bound(foreign):
    method = plugins.find(("filter",), "invert")
    assert method.about.startswith("Turn bright into dark")
    assert method.code.startswith("acme-filters 2.0 ")
    test_an_entry_point_loads_says_what_it_does_and_describes_its_parameters(method)
    test_parameters_survive_the_way_through_a_message(method)


def test_the_contract_tests_cover_a_third_partys_plugin_without_an_edit(foreign):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", __file__],
        capture_output=True, text=True, env={"PYTHONPATH": str(foreign), "PATH": "/usr/bin:/bin"}, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "filter.invert" in done.stdout, done.stdout + done.stderr


def test_a_changed_source_changes_the_code_version(foreign):
    before = plugins.find(("filter",), "invert").code
    file = foreign / "acme_filters" / "invert.py"
    file.write_text(file.read_text() + "\n# another version\n")
    plugins._digest.cache_clear()
    assert plugins.find(("filter",), "invert").code != before


def test_a_broken_entry_point_is_named(foreign):
    info = foreign / "acme_filters-2.0.dist-info" / "entry_points.txt"
    info.write_text("[porelay.filter]\nbroken = acme_filters.nothing:here\n")
    from porelay_schemas.errors import UnknownMethod

    with pytest.raises(UnknownMethod, match=r"broken.*acme_filters.nothing.*Reinstall"):
        plugins.methods("filter")["broken"].load()


def test_methods_take_their_parameters_by_name():
    for method in ALL:
        parameters = inspect.signature(method.load()).parameters
        assert method.params is Params or "params" in parameters, method.name
