"""The key of an artifact changes with everything that its content depends on, and with nothing else."""

import pytest

from porelay_kit.runner import step
from porelay_schemas.messages import IngestRequest
from porelay_schemas.plan import MethodCall, Phase
from porelay_schemas.volumes import StackRef

STACK = StackRef(uri="file:///a/stack.tif", name="stack.tif", sha256="a" * 64, size_bytes=1)
PORE, SOLID = Phase(name="pore", colour="#000000"), Phase(name="solid", colour="#ffffff")
REQUEST = IngestRequest(
    run_id="a", plan="p", use=(MethodCall(method="slices"),), phases=(PORE, SOLID), stack=STACK, voxel_um=(1, 1, 1)
)


def key(request) -> str:
    return step.content_key(request, step.used_methods(request))


@pytest.mark.parametrize(
    "change",
    [
        {"phases": (SOLID, PORE)},
        {"voxel_um": (1, 1, 2)},
        {"stack_kind": "labels"},
        {"use": (MethodCall(method="alignment"),)},
        {"use": ()},
        {"stack": STACK.model_copy(update={"sha256": "b" * 64})},
        {"stack": STACK.model_copy(update={"name": "stack.npy"})},
        {"truth": STACK},
        {"planes": {"y": STACK, "x": STACK}},
    ],
)
def test_whatever_the_content_depends_on_changes_the_key(change):
    assert key(REQUEST.model_copy(update=change)) != key(REQUEST)


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "b"},
        {"plan": "q"},
        {"stack": STACK.model_copy(update={"uri": "inbox/a.tif", "name": "other.tif"})},
    ],
)
def test_where_it_lies_and_who_asks_does_not(change):
    assert key(REQUEST.model_copy(update=change)) == key(REQUEST)


def test_the_code_of_a_method_is_part_of_the_key(monkeypatch):
    before = key(REQUEST)
    monkeypatch.setattr(step, "stage_code", lambda stage: "other code")
    assert key(REQUEST) != before
