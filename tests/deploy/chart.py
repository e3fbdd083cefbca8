"""The chart as helm renders it."""

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "helm" / "porelay"
EXAMPLES = {path.stem: path for path in sorted((REPOSITORY / "deploy" / "examples").glob("*.yaml"))}
HELM = Path(sys.executable).parent / "helm"
GIVEN = {"config": {"s3_url": "https://s3.example.org/porelay"}, "broker": {"host": "rabbitmq.example.org"}}
"""The least that must be given."""

Object = dict[str, Any]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Written in C where there is one: several times as fast."""


class Rendered(NamedTuple):
    """What helm made, or said."""

    objects: list[Object]
    error: str

    def all(self, kind: str, **labels: str) -> list[Object]:
        """Return the objects of a kind that have these labels; `component` and `role` are short for Porelay's."""
        short = {"component": "app.kubernetes.io/component", "role": "porelay/role"}
        wanted = {short[name]: value for name, value in labels.items()}.items()
        return [one for one in self.objects if one["kind"] == kind and wanted <= one["metadata"]["labels"].items()]

    def one(self, kind: str, **labels: str) -> Object:
        """Return the only such object."""
        (found,) = self.all(kind, **labels)
        return found

    def worker(self, service: str) -> Object:
        """Return the Deployment of a service."""
        return self.one("Deployment", component=service, role="worker")


def helm(*words: object, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm; the values come last and win."""
    given = ["--values", "-"] if values is not None else []
    return subprocess.run(
        [HELM, *map(str, words), *given], input=yaml.safe_dump(values), capture_output=True, text=True, check=False
    )


def render(example: str | None = None, values: Object | None = None, *, options: tuple[str, ...] = ()) -> Rendered:
    """Render the chart for `helm install porelay helm/porelay -n porelay`, with an example or the least."""
    files = ("--values", EXAMPLES[example]) if example else ()
    merged = values if example else merge(GIVEN, values or {})
    words = ("template", "porelay", CHART, "--namespace", "porelay", *files, *options)
    done = helm(*words, values=merged or {})
    return Rendered([one for one in yaml.load_all(done.stdout, LOADER) if one], done.stderr)


@cache
def rendered(example: str) -> Rendered:
    """Return an example, rendered once."""
    found = render(example)
    assert found.objects, found.error
    return found


def merge(below: Object, above: Object) -> Object:
    """Return values with others laid over them, as helm does."""
    both = {key: merge(below[key], above[key]) for key in below if isinstance(above.get(key), dict)}
    return below | above | both


def pod_of(thing: Object) -> Object:
    """Return the pod's specification of a workload."""
    spec: Object = thing["spec"]["template"]["spec"]
    return spec


def pods(found: Rendered) -> dict[str, Object]:
    """Return all workloads by name."""
    return {one["metadata"]["name"]: one for one in found.objects if one["kind"] in ("Deployment", "Job")}


def container_of(thing: Object) -> Object:
    """Return the only container of a workload."""
    (container,) = pod_of(thing)["containers"]
    found: Object = container
    return found


def environment_of(thing: Object) -> dict[str, Any]:
    """Return the variables of a workload's container; one that Kubernetes fills in maps to where from."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container_of(thing).get("env", [])}


def sources(thing: Object) -> Iterator[tuple[str, Object]]:
    """Yield (secret, item) of all that a workload mounts of secrets."""
    for volume in pod_of(thing)["volumes"]:
        if secret := volume.get("secret"):
            yield from ((secret["secretName"], item) for item in secret["items"])
        for source in volume.get("projected", {}).get("sources", []):
            yield from ((source["secret"]["name"], item) for item in source["secret"]["items"])


def environment_with(thing: Object, folder: Path) -> dict[str, str]:
    """Return a container's variables for a process of this machine: the files that they name are below a folder."""
    found = {}
    for variable, value in environment_of(thing).items():
        if variable.startswith("PORELAY_") and variable.endswith("_FILE"):
            value = str(folder / Path(value).name)
        found[variable] = "2" if isinstance(value, dict) else value
    return found
