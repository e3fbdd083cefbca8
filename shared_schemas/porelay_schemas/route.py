"""The road of a run, as one table. Queues, commands, chart keys and tests derive from it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stop of the road.

    `families` are the plugin families whose methods a plan may use there; `after` names the stages that
    may feed it, nearest first. It is fed by the first of them that the plan has, or by all where it `joins`.
    A worker runs an `isolated` stage in a child process: it reads what strangers made, or calls libraries that hold
    Python's lock or may crash.
    """

    name: str
    takes: str
    gives: str
    families: tuple[str, ...]
    after: tuple[str, ...] = ()
    joins: bool = False
    isolated: bool = False

    @property
    def package(self) -> str:
        """Import name of the service."""
        return "porelay_" + self.name.replace("-", "_")


ROUTE: tuple[Stage, ...] = (
    Stage("ingest", "a dropped stack", "a grey or label volume", ("check",), isolated=True),
    Stage("preprocess", "a grey volume", "a cleaned grey volume", ("filter",), ("ingest",)),
    Stage("segment", "a volume", "a label volume", ("segmenter",), ("preprocess", "ingest")),
    Stage("slicegan-trainer", "a volume", "a generator", ("trainer",), ("segment", "preprocess", "ingest")),
    Stage("sampler", "a generator", "new volumes", ("sampler",), ("slicegan-trainer",)),
    Stage("metrics", "label volumes", "descriptors", ("metric",), ("segment", "sampler"), joins=True),
    Stage("mesher", "a label volume", "meshes", ("mesher", "exporter"), ("segment", "sampler"), isolated=True),
    Stage(
        "comsol-bridge",
        "mesh and descriptors",
        "a model",
        ("physics",),
        ("mesher", "metrics"),
        joins=True,
        isolated=True,
    ),
)

STAGES: dict[str, Stage] = {stage.name: stage for stage in ROUTE}
FAMILIES: dict[str, str] = {family: stage.name for stage in ROUTE for family in stage.families} | {"reader": "ingest"}
"""Plugin family -> the stage that owns it. Readers are chosen by the file, not by the plan."""


def isolated(stage: str) -> bool:
    """Return whether a process of its own does a stage, and keeps its limits."""
    return stage in STAGES and STAGES[stage].isolated


def group(family: str) -> str:
    """Return the entry-point group of a plugin family."""
    return f"porelay.{family}"
