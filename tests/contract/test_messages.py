"""Messages keep their form: golden JSON of each, one file a message and version."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from porelay_schemas import messages
from porelay_schemas.messages import AnyRequest, AnyResult
from porelay_schemas.route import ROUTE

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))


def adapter(name: str) -> TypeAdapter:
    return TypeAdapter(AnyRequest if "Request" in name else AnyResult)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_message_is_read_and_written_back_unchanged(file):
    document = json.loads(file.read_text())
    message = adapter(file.stem).validate_python(document)
    assert type(message).__name__ == file.stem.partition(".")[0]
    assert message.model_dump(mode="json") == document


def test_every_stage_has_its_request_and_result_and_a_golden_file_of_each():
    for stage in ROUTE:
        for kind in ("Request", "Result"):
            name = "".join(part.capitalize() for part in stage.name.split("-")) + kind
            assert getattr(messages, name).model_fields["stage"].default == stage.name
            assert (GOLDEN / f"{name}.v1.json").exists()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_unknown_field_and_another_version_are_refused(file):
    document = json.loads(file.read_text())
    for wrong in ({"surprise": 1}, {"schema_version": 2}, {"stage": "polish"}):
        with pytest.raises(ValidationError):
            adapter(file.stem).validate_python(document | wrong)


@pytest.mark.parametrize("file", [file for file in FILES if '"planes"' in file.read_text()], ids=lambda file: file.stem)
def test_a_message_without_planes_has_none_and_those_across_z_are_refused(file):
    document = json.loads(file.read_text())
    across = document.pop("planes")
    assert adapter(file.stem).validate_python(document).planes == {}
    with pytest.raises(ValidationError):
        adapter(file.stem).validate_python(document | {"planes": {"z": across["y"]}})
