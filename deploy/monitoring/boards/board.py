"""What a dashboard is to us, and how the typed SDK makes it Grafana's."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.builders import bargauge, common, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as sdk
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shape
from grafana_foundation_sdk.models import dashboard as model

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "porelay"
ALL = model.VariableOption(text="All", value="$__all")
GREEN, ORANGE, RED = "green", "orange", "red"

Kind = Literal["number", "lines", "bars"]
Builder = stat.Panel | timeseries.Panel | bargauge.Panel
SIZES: Mapping[Kind, tuple[int, int]] = {"number": (4, 4), "lines": (12, 8), "bars": (12, 8)}


@dataclass(frozen=True)
class Panel:
    """One panel: legend -> expression. `text` says what is seen, and what to do where it is red.

    From `orange` and `red` on the colour changes. `number` and `bars` show now, `lines` the course of time.
    """

    title: str
    text: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: Kind = "lines"
    orange: float | None = None
    red: float | None = None
    width: int = 0
    low: float | None = 0

    def build(self, number: int) -> Builder:
        """Return it for the SDK, with that id."""
        width, height = SIZES[self.kind]
        panel = _made(self.kind).id(number).title(self.title).description(self.text).datasource(SOURCE)
        panel.unit(self.unit).span(self.width or width).height(height).thresholds(self._thresholds())
        if self.low is not None:
            panel.min(self.low)
        for letter, (legend, expression) in zip("ABCDEF", self.queries.items(), strict=False):
            query = Dataquery().ref_id(letter).expr(expression).legend_format(legend).datasource(SOURCE)
            panel.with_target(query.range() if self.kind == "lines" else query.instant())
        return panel

    def _thresholds(self) -> sdk.ThresholdsConfig:
        steps = [model.Threshold(value=None, color=GREEN)]
        steps += [model.Threshold(value, color) for value, color in ((self.orange, ORANGE), (self.red, RED)) if value]
        return sdk.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _made(kind: Kind) -> Builder:
    if kind == "lines":
        lines = timeseries.Panel().fill_opacity(10).show_points(shape.VisibilityMode.AUTO)
        legend = common.VizLegendOptions().show_legend(True).display_mode(shape.LegendDisplayMode.LIST)
        threshold = common.GraphThresholdsStyleConfig().mode(shape.GraphTresholdsStyleMode.DASHED)
        return lines.thresholds_style(threshold).legend(legend.placement(shape.LegendPlacement.BOTTOM))
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    if kind == "bars":
        return bargauge.Panel().reduce_options(last).orientation(shape.VizOrientation.HORIZONTAL)
    return stat.Panel().reduce_options(last).color_mode(shape.BigValueColorMode.BACKGROUND)


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Choice:
    """What the user picks at the top: the values of a label."""

    name: str
    label: str
    text: str
    values: str
    all_of: str = ".*"

    def build(self) -> sdk.QueryVariable:
        """Return it for the SDK."""
        made = sdk.QueryVariable(self.name).label(self.label).description(self.text).datasource(SOURCE)
        made.query({"query": self.values, "refId": self.name}).refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        made.sort(model.VariableSort.ALPHABETICAL_ASC).multi(True).include_all(True).all_value(self.all_of)
        return made.current(ALL)


JOB = Choice(
    "job",
    "Porelay",
    "Which deployment: the job by which Prometheus scrapes it",
    "label_values(porelay_build_info, job)",
)
SERVICE = Choice(
    "service", "Stage", "Which stages", 'label_values(porelay_consumer_active{job=~"$job"}, service)', all_of=".+"
)
VHOST = Choice(
    "vhost",
    "Virtual host",
    "Whose queues: the virtual host of RabbitMQ",
    'label_values(rabbitmq_detailed_queue_consumers{queue=~"ingest[.]v[0-9]+"}, vhost)',
)
BROKER = Choice("broker", "Broker", "Which nodes of RabbitMQ", "label_values(rabbitmq_identity_info, instance)")


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    name: str
    title: str
    text: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...]
    since: str = "now-6h"

    @property
    def uid(self) -> str:
        """What links to it name it by."""
        return f"{TAG}-{self.name}"

    def panels(self) -> Iterator[Panel]:
        """Yield all its panels."""
        for row in self.rows:
            yield from row.panels

    def json(self) -> str:
        """Return what Grafana imports."""
        made = sdk.Dashboard(f"Porelay: {self.title}").uid(self.uid).description(self.text).tags([TAG])
        made.time(self.since, "now").refresh("30s").timezone("browser").readonly()
        made.tooltip(model.DashboardCursorSync.CROSSHAIR).link(_others())
        made.with_variable(sdk.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        for choice in self.choices:
            made.with_variable(choice.build())
        number = 0
        for row in self.rows:
            number += 1
            made.with_row(sdk.Row(row.title).id(number))
            for panel in row.panels:
                number += 1
                made.with_panel(panel.build(number))
        return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _others() -> sdk.DashboardLink:
    """Return links to all dashboards of ours; time and choices go along."""
    links = sdk.DashboardLink("Porelay").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return links.include_vars(True).keep_time(True)
