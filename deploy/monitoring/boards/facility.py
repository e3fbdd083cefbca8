"""What a facility's head asks: do stacks come in, do results come out, and how long does it take."""

from boards.board import JOB as WHICH
from boards.board import VHOST, Board, Panel, Row
from boards.promql import JOB, census, grown, more, quantile

JOBS = f"porelay_job_seconds_count{{{JOB}}}"
WAITING_S, SLO_S, UNFINISHED_S, STALE_S = 1800, 3600, 6 * 3600, 900


def runs(state: str) -> str:
    """Return the runs in a state."""
    return f'porelay_runs{{{JOB}, state="{state}"}}'


def drops(state: str) -> str:
    """Return the drops in a state."""
    return f'porelay_drops{{{JOB}, state="{state}"}}'


NOW = Row(
    "Now",
    (
        Panel(
            "Stacks being dropped",
            "Drops in the inbox that are not complete yet. None of them has begun; a drop without marker begins when "
            "it has not changed for PORELAY_QUIET_S seconds.",
            {"": census(drops("waiting"))},
            kind="number",
        ),
        Panel(
            "Oldest incomplete drop",
            "How long the oldest incomplete drop waits. Red: somebody's copy was broken off, or its marker is "
            "missing. `porelay status` names it; copy the rest, or put `.done` into it.",
            {"": census(f"porelay_drop_oldest_waiting_seconds{{{JOB}}}")},
            unit="s",
            kind="number",
            orange=WAITING_S,
            red=SLO_S,
        ),
        Panel(
            "Runs not finished",
            "Runs that wait or are worked on; see Pipeline for where they are.",
            {"": census(runs("unfinished"))},
            kind="number",
        ),
        Panel(
            "Oldest unfinished run",
            "How long ago the oldest unfinished run began. Red: after six hours something usually holds it up, "
            "unless it trains long. `porelay status` names it; `porelay reconcile` asks again for what was lost.",
            {"": census(f"porelay_run_oldest_unfinished_seconds{{{JOB}}}")},
            unit="s",
            kind="number",
            orange=UNFINISHED_S / 2,
            red=UNFINISHED_S,
        ),
        Panel(
            "Rejected drops",
            "Drops that were not taken, or whose ingest failed. Orange: `porelay status` says why of each; tell the "
            "user who dropped it.",
            {"": census(drops("rejected"))},
            kind="number",
            orange=1,
        ),
        Panel(
            "Counted",
            "How long ago a worker that ingests counted runs and drops; it does so every minute, more rarely where "
            "counting takes long. Red: no such worker runs or the store does not answer, and what is above is old.",
            {"": f"time() - max(porelay_census_timestamp_seconds{{{JOB}}})"},
            unit="s",
            kind="number",
            orange=STALE_S / 3,
            red=STALE_S,
        ),
    ),
)

PERIOD = Row(
    "In the period that is shown",
    (
        Panel(
            "Stacks taken in",
            "Drops whose run has its volume. Where Prometheus is younger than the period: all there are.",
            {"": more(drops("ingested"), "$__range")},
            kind="number",
            width=6,
        ),
        Panel(
            "Runs done",
            "Runs whose last stage has ended. Where Prometheus is younger than the period: all there are.",
            {"": more(runs("done"), "$__range")},
            kind="number",
            width=6,
        ),
        Panel(
            "Runs failed",
            "Runs with a stage that will not be tried again. Red: `porelay status RUN` says what to do; `porelay dlq "
            "list` shows the messages, `porelay dlq replay` tries again.",
            {"": more(runs("failed"), "$__range")},
            kind="number",
            red=1,
            width=6,
        ),
        Panel(
            "Runs damaged",
            "Runs whose plan or record cannot be read. Red: somebody has written into `runs/` of the store; restore "
            "these objects from the backup.",
            {"": census(runs("damaged"))},
            kind="number",
            red=1,
            width=6,
        ),
    ),
)

COURSE = Row(
    "Course",
    (
        Panel("Runs", "All runs in the store, by state.", {"{{state}}": census(f"porelay_runs{{{JOB}}}", "state")}),
        Panel("Drops", "All drops in the inbox, by state.", {"{{state}}": census(f"porelay_drops{{{JOB}}}", "state")}),
    ),
)

RESULT = Row(
    "Time to result",
    (
        Panel(
            "Half of the runs took no longer than",
            "From the drop to the end, by plan, over the last six hours of each moment. As fine as the buckets: 3, "
            "10, 30 minutes, 1 and 4 hours. Rising: see Pipeline for the stage that waits.",
            {"{{recipe}}": quantile(0.5, "porelay_job_seconds", "recipe", "6h")},
            unit="s",
        ),
        Panel(
            "95 of 100 runs took no longer than",
            "The same for the slow ones. Longer than 4 hours shows as 4 hours.",
            {"{{recipe}}": quantile(0.95, "porelay_job_seconds", "recipe", "6h")},
            unit="s",
        ),
        Panel(
            "Mean of the period, by plan",
            "Mean time from the drop to the end in the period that is shown.",
            {
                "{{recipe}}": f"sum by (recipe) ({grown(f'porelay_job_seconds_sum{{{JOB}}}', '$__range')})"
                f" / sum by (recipe) ({grown(JOBS, '$__range')})"
            },
            unit="s",
            kind="bars",
        ),
        Panel(
            "Ends of the period, by plan",
            "How many runs ended in the period that is shown. Of two stages that end a run at once both may count it.",
            {"{{recipe}} {{outcome}}": f"sum by (recipe, outcome) ({grown(JOBS, '$__range')})"},
            kind="bars",
        ),
    ),
)

WORK = Row(
    "Where work waits",
    (
        Panel(
            "Messages ready, by queue",
            "One message is one stage of one stack. Orange: see Pipeline whether the stage has workers, and give it "
            "more.",
            {
                "{{queue}}": "sum by (queue) (rabbitmq_detailed_queue_messages_ready"
                '{vhost=~"$vhost", queue=~".+[.]v[0-9]+", queue!~"dlq[.].+"})'
            },
            kind="bars",
            orange=10,
            width=24,
        ),
    ),
)

FACILITY = Board(
    "facility",
    "Facility",
    "Stacks in, results out, what waits, what failed, and how long it takes.",
    (NOW, PERIOD, COURSE, RESULT, WORK),
    (WHICH, VHOST),
    since="now-24h",
)
