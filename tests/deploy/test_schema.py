"""The values' schema: made from the settings, complete, and readable where it refuses."""

import importlib.util
import json
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml
from deploy.chart import CHART, EXAMPLES, GIVEN, REPOSITORY, Object, helm, merge, render

from porelay_kit.settings import Settings

DRAFT_07 = """
$schema $ref additionalProperties allOf definitions description enum exclusiveMinimum items maximum maxLength minimum
not pattern properties propertyNames required type
"""


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", REPOSITORY / "helm" / "build.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def schema() -> Object:
    found: Object = json.loads((CHART / "values.schema.json").read_text())
    return found


@pytest.fixture(scope="module")
def values() -> Object:
    found: Object = yaml.safe_load((CHART / "values.yaml").read_text())
    return found


def test_what_is_derived_is_up_to_date(build: ModuleType) -> None:
    stale = [path.name for path, content in build.documents().items() if path.read_text() != content]
    assert stale == [], "run: python helm/build.py"


def test_the_config_of_the_values_is_exactly_the_settings_without_secrets_and_what_the_chart_sets(
    build: ModuleType, schema: Object
) -> None:
    assert set(schema["definitions"]["config"]["properties"]) == (
        Settings.model_fields.keys() - set(Settings.secrets()) - build.BY_THE_CHART
    )


def test_what_the_chart_sets_itself_are_settings(build: ModuleType) -> None:
    assert Settings.model_fields.keys() >= build.BY_THE_CHART


def test_a_setting_has_the_type_and_the_bounds_that_the_process_checks(schema: Object) -> None:
    config = schema["definitions"]["config"]["properties"]
    for name, field in Settings.model_fields.items():
        if name in config:
            assert config[name]["description"] == field.description
    assert config["slice_s"] | {"description": ""} == {
        "description": "",
        "type": "number",
        "minimum": 1,
        "maximum": 1500,
    }
    assert config["workers"]["type"] == "integer" and config["workers"]["maximum"] == 1024


def words(schema: Any, *, names: bool = False) -> Iterator[str]:
    """Yield the words of the schema language that a schema uses."""
    if isinstance(schema, list):
        for one in schema:
            yield from words(one)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if not names:
                yield key
            if key not in ("enum", "required") or names:
                yield from words(value, names=key in ("properties", "definitions") and not names)


def test_the_schema_has_only_words_of_draft_07_that_every_helm_knows(schema: Object) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert set(words(schema)) <= set(DRAFT_07.split())
    patterns = re.findall(r'"pattern": "([^"]*)"', json.dumps(schema))
    assert not any("(?" in pattern for pattern in patterns), "Go's expressions look neither ahead nor behind"


def test_the_newer_schema_language_of_helm_4_takes_it_too(schema: Object, values: Object) -> None:
    newer = {key: value for key, value in schema.items() if key != "$schema"}
    jsonschema.Draft202012Validator.check_schema(newer)
    assert jsonschema.Draft202012Validator(newer).is_valid(merge(values, GIVEN))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_schema_takes_each_example(schema: Object, values: Object, example: str) -> None:
    given = merge(values, yaml.safe_load(EXAMPLES[example].read_text()))
    assert [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(given)] == []


def absent(schema: Object, values: Object, path: str = "") -> Iterator[str]:
    """Yield the values that a schema has and the values do not."""
    for name, part in schema.get("properties", {}).items():
        if name not in values:
            yield f"{path}{name}"
        elif "properties" in part:
            yield from absent(part, values[name], f"{path}{name}.")


def test_every_value_that_may_be_set_stands_in_the_values_with_its_default(schema: Object, values: Object) -> None:
    assert set(absent(schema, values)) == {"broker.host", "global"}
    assert set(absent(schema["definitions"]["service"], values["serviceDefaults"])) == set()


def leaves(values: Object, path: str = "") -> Iterator[str]:
    """Yield the paths of all values."""
    for key, value in values.items():
        here = f"{path}{key}"
        yield from leaves(value, f"{here}.") if isinstance(value, dict) and value else [here]


def test_every_value_is_explained_in_the_readme(build: ModuleType, values: Object) -> None:
    told = [path for path, _, _ in build.rows((CHART / "values.yaml").read_text())]
    untold = [path for path in leaves(values) if not any(f"{path}.".startswith(f"{one}.") for one in told)]
    assert untold == []
    readme = (CHART / "README.md").read_text()
    assert all(f"| `{path}` |" in readme for path in told)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"service": {}}, "Additional property service is not allowed"),
        ({"services": {"segment": {"replica": 2}}}, "services.segment: Additional property replica is not allowed"),
        (
            {"services": {"segment": {"config": {"worker": 2}}}},
            "services.segment.config: Additional property worker is not allowed",
        ),
        ({"services": {"Segment": {}}}, "Segment"),
        (
            {"services": {"slicegan-trainer": {"gpu": 2}}},
            "services.slicegan-trainer.gpu: Must be less than or equal to 1",
        ),
        ({"config": {"slice_s": 3600}}, "config.slice_s: Must be less than or equal to 1500"),
        ({"config": {"sweep_s": "soon"}}, "config.sweep_s: Invalid type. Expected: number, given: string"),
        ({"config": {"home": "/data"}}, "config: Additional property home is not allowed"),
        ({"broker": {"port": 70000}}, "broker.port: Must be less than or equal to 65535"),
        ({"rabbitmqCluster": {"replicas": 2}}, "rabbitmqCluster.replicas"),
        ({"serviceDefaults": {"priority": "high"}}, 'must be one of the following: "work", "training"'),
    ],
)
def test_a_mistake_in_the_values_is_refused_with_its_place(given: Object, said: str) -> None:
    assert said in render(values=given).error


@pytest.mark.parametrize("missing", ["config.s3_url", "broker.host"])
def test_what_must_be_given_is_asked_for_by_name(missing: str) -> None:
    part, _, name = missing.partition(".")
    given = {key: value for key, value in GIVEN.items() if key != part}
    done = helm("template", "porelay", CHART, values=given)
    assert f"{part}: {name} is required" in done.stderr


PASSWORD = "hunter2hunter2"


@pytest.mark.parametrize(
    "given",
    [
        *({"config": {name: PASSWORD}} for name in Settings.secrets()),
        {"services": {"segment": {"config": {"amqp_url": f"amqp://u:{PASSWORD}@h/"}}}},
        {"config": {"s3_url": f"https://user:{PASSWORD}@s3.example.org/porelay"}},
        {"broker": {"managementUrl": f"https://user:{PASSWORD}@rabbitmq:15671"}},
        {"broker": {"host": f"user:{PASSWORD}@rabbitmq"}},
        {"broker": {"password": PASSWORD}},
        {"secrets": {"password": PASSWORD}},
        {"services": {"segment": {"env": {"PORELAY_S3_SECRET_KEY": PASSWORD}}}},
        {"services": {"segment": {"env": {"AWS_SECRET_ACCESS_KEY": PASSWORD}}}},
        {"services": {"segment": {"env": {"DB_PASSWORD": PASSWORD}}}},
        {"services": {"segment": {"dask": {"address": f"tcp://u:{PASSWORD}@dask:8786"}}}},
    ],
    ids=str,
)
def test_a_password_cannot_be_put_into_the_values(given: Object) -> None:
    found = render(values=given)
    assert not found.objects
    assert "values don't meet the specifications of the schema" in found.error
