"""Writes what the chart derives: `values.schema.json`, and the table of values in its README.

Run `python helm/build.py` after a change of `Settings`, of `values.yaml` or of the schema here; a test finds a stale
file. The `config:` of the values is Porelay's own settings, typed by their model; the rest is typed here. Only words of
draft-07: helm up to 3.17 knows no others.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from porelay_kit.settings import SIZES, Settings

CHART = Path(__file__).parent / "porelay"
BEGIN, END = "<!-- values, by helm/build.py -->\n", "<!-- end of values -->\n"

BY_THE_CHART = {"home", "cache", "health_port", "amqp_ca_file", "amqp_cert_file", "amqp_key_file", "s3_ca_file"}
"""Settings that the chart sets: where it mounts things, and the port that its probes ask."""

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FREE: Schema = {"type": "object"}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
MEMORY: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)$"}
CPU: Schema = {"type": ["string", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?m?$"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
NAME: Schema = {"type": "string", "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$", "maxLength": 24}
HOST: Schema = {"type": "string", "pattern": r"^[^/@:\s]+$"}
BARE_URL: Schema = {"type": "string", "pattern": r"^(https?://[^/@\s]+)?$"}
BUCKET_URL: Schema = {"type": "string", "pattern": r"^https?://[^/@\s]+/[^/@\s]+$"}
VARIABLE: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
    "not": {"pattern": "^PORELAY_|[Pp][Aa][Ss][Ss][Ww]|[Ss][Ee][Cc][Rr][Ee][Tt]|[Tt][Oo][Kk][Ee][Nn]"},
}


def closed(**properties: Schema) -> Schema:
    """Return an object that has these properties and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def several(items: Schema) -> Schema:
    """Return a list of such."""
    return {"type": "array", "items": items}


def one_of(*words: str) -> Schema:
    """Return a word of these."""
    return {"type": "string", "enum": list(words)}


def config() -> Schema:
    """Return the settings that a value may set: neither secrets, which are files, nor what the chart sets itself."""
    names = [name for name in Settings.model_fields if name not in {*Settings.secrets(), *BY_THE_CHART}]
    found = Settings.model_json_schema()["properties"]
    return closed(**{name: _setting(name, found[name]) for name in names})


def _setting(name: str, found: Schema) -> Schema:
    """Return the schema of one setting: of `X | None` the X, for a value that is not set is left out."""
    plain = next((one for one in found.get("anyOf", []) if one.get("type") != "null"), found)
    kept = {word: plain[word] for word in ("type", "minimum", "maximum", "exclusiveMinimum", "enum") if word in plain}
    if name in SIZES:
        kept["type"], kept["pattern"] = ["integer", "string"], "^[0-9.]+ ?[KMGTP]?i?B$"
    if name == "s3_url":
        kept |= BUCKET_URL
    return {"description": found["description"]} | kept


def resources() -> Schema:
    """Return CPU and memory of a container; both kinds are needed, for the service's own limits follow them."""
    amounts = closed(cpu=CPU, memory=MEMORY) | {"required": ["cpu", "memory"]}
    return closed(requests=amounts, limits=amounts) | {"required": ["requests", "limits"]}


def service() -> Schema:
    """Return one entry of `services`."""
    return closed(
        enabled=FLAG,
        image=TEXT,
        secret=TEXT,
        replicas=COUNT,
        scale=closed(min=COUNT, max=COUNT | {"minimum": 1}),
        gpu=COUNT | {"maximum": 1, "description": "GPUs of a pod; a training runs on one, more GPUs are more pods"},
        resources=resources(),
        config={"$ref": "#/definitions/config"},
        cache=closed(size=MEMORY, storageClass=TEXT),
        dask=closed(
            workers=COUNT,
            address={"type": "string", "pattern": r"^((tcp|tls)://[^@\s]+:[0-9]+)?$"},
            resources=resources(),
        ),
        priority=one_of("work", "training"),
        nodeSelector=LABELS,
        tolerations=several(FREE),
        affinity=FREE,
        env={
            "type": "object",
            "propertyNames": VARIABLE,
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
        egress=several(FREE),
    )


def monitoring() -> Schema:
    """Return what Prometheus and Grafana get."""
    return closed(
        podMonitor=closed(enabled=FLAG, labels=LABELS, interval={"type": "string", "pattern": "^[0-9]+(ms|s|m)$"}),
        rules=closed(enabled=FLAG, labels=LABELS),
        broker=closed(
            enabled=FLAG,
            address={"type": "string", "pattern": r"^([^/@:\s]+:[0-9]+)?$"},
            scheme=one_of("http", "https"),
            labels=LABELS,
        ),
        dashboards=closed(enabled=FLAG, labels=LABELS, annotations=LABELS),
    )


def schema() -> Schema:
    """Return the schema of all values."""
    values = closed(
        image=closed(
            registry=TEXT,
            tag=TEXT,
            pullPolicy=one_of("Always", "IfNotPresent", "Never"),
            pullSecrets=several(closed(name=TEXT)),
        ),
        config={"allOf": [{"$ref": "#/definitions/config"}, {"required": ["s3_url"]}]},
        broker=closed(host=HOST, port=PORT, vhost=TEXT, managementUrl=BARE_URL, clientCertificates=FLAG)
        | {"required": ["host"]},
        ca=closed(configMap=TEXT, key=TEXT),
        secrets=closed(prefix=TEXT, admin=TEXT, operator=TEXT, monitor=TEXT),
        serviceDefaults={"$ref": "#/definitions/service"},
        services={"type": "object", "propertyNames": NAME, "additionalProperties": {"$ref": "#/definitions/service"}},
        gpu=closed(resource=TEXT, nodeSelector=LABELS, tolerations=several(FREE), runtimeClassName=TEXT),
        keda=closed(enabled=FLAG, pollingInterval=COUNT | {"minimum": 1}, cooldownPeriod=COUNT | {"maximum": 3600}),
        topology=closed(enabled=FLAG, image=TEXT),
        priorityClasses=closed(create=FLAG, work=TEXT, training=TEXT),
        networkPolicy=closed(
            enabled=FLAG, dns=several(FREE), broker=several(FREE), store=several(FREE), metrics=several(FREE)
        ),
        podDisruptionBudget=closed(enabled=FLAG),
        monitoring=monitoring(),
        rabbitmqCluster=closed(
            create=FLAG,
            name=NAME,
            replicas={"type": "integer", "enum": [1, 3, 5]},
            image=TEXT,
            storage=MEMORY,
            storageClass=TEXT,
            definitions=TEXT,
            tls=TEXT,
            resources=resources(),
        ),
    )
    values["properties"]["global"] = FREE  # helm puts it there where this chart is part of another
    dialect = {"$schema": "http://json-schema.org/draft-07/schema#"}
    return dialect | values | {"definitions": {"config": config(), "service": service()}}


def rows(text: str) -> Iterator[tuple[str, object, str]]:
    """Yield (path, default, what it is) of each value that has a comment beginning with `# --`."""
    values, said = yaml.safe_load(text), ""
    path: list[str] = []
    for line in text.splitlines():
        if found := re.match(r"\s*# -- (.*)", line):
            said = found[1]
        elif said and (more := re.match(r"\s*# (?![a-z]+: )(.*)", line)):
            said += " " + more[1]
        elif key := re.match(r"( *)(?:# )?([A-Za-z][\w-]*):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if said:
                yield ".".join(path), _at(values, path), said
            said = ""


def _at(values: Any, path: list[str]) -> object:
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def table(text: str) -> str:
    """Return the values as a table; of those that have parts, the parts alone show a default."""
    found = list(rows(text))
    lines = ["| value | default | |", "|---|---|---|"]
    for path, default, said in found:
        parts = any(other.startswith(f"{path}.") for other, _, _ in found) or path == "services"
        shown = "" if parts or default is None else f"`{json.dumps(default, ensure_ascii=False)}`"
        lines.append(f"| `{path}` | {shown} | {said} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def documents() -> dict[Path, str]:
    """Return the derived files and what they should hold."""
    readme = CHART / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    values = table((CHART / "values.yaml").read_text(encoding="utf-8"))
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=1) + "\n",
        readme: f"{before}{BEGIN}\n{values}\n{END}{after}",
    }


def main() -> None:
    """Write them."""
    for path, content in documents().items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
