"""What an operator asks: which stage is slow, which has no workers, which fails."""

from boards.board import JOB as WHICH
from boards.board import SERVICE, VHOST, Board, Panel, Row
from boards.promql import JOB, grown, quantile

WINDOW, WINDOW_S = "10m", 600
STAGE = f'{JOB}, service=~"$service"'
QUEUE = '{vhost=~"$vhost", queue=~"($service|intake)[.]v[0-9]+", queue!~"dlq[.].+"}'
DEAD = '{vhost=~"$vhost", queue=~"dlq[.]($service|intake)[.]v[0-9]+"}'
PUT_OFF = '{vhost=~"$vhost", queue=~"retry[.].+"}'


def deliveries(outcome: str) -> str:
    """Return the deliveries that ended so."""
    return f'porelay_messages_total{{{STAGE}, outcome="{outcome}"}}'


def per_second(counter: str, by: str) -> str:
    """Return the rate of a counter over the window."""
    return f"sum by ({by}) ({grown(counter, WINDOW)}) / {WINDOW_S}"


QUEUES = Row(
    "Queues",
    (
        Panel(
            "Ready",
            "Messages that wait for a worker. Rising for long: the stage needs more workers (`scale.max`, or `docker "
            "compose up --scale`), or has none: see Consumers.",
            {"{{queue}}": f"sum by (queue) (rabbitmq_detailed_queue_messages_ready{QUEUE})"},
        ),
        Panel(
            "Being worked on",
            "Messages that a worker has and has not settled: one for each busy worker.",
            {"{{queue}}": f"sum by (queue) (rabbitmq_detailed_queue_messages_unacked{QUEUE})"},
        ),
        Panel(
            "Consumers",
            "Workers that consume, by queue. 0 while messages are ready: the workers are down, or nothing scales "
            "them up; look at their pods or containers.",
            {"{{queue}}": f"sum by (queue) (rabbitmq_detailed_queue_consumers{QUEUE})"},
        ),
        Panel(
            "Dead letters",
            "Messages that were given up and lie until somebody decides. Red: `porelay dlq list` shows why, `porelay "
            "dlq replay` tries again, `porelay dlq drop` throws away.",
            {"{{queue}}": f"sum by (queue) (rabbitmq_detailed_queue_messages{DEAD})"},
            red=1,
        ),
        Panel(
            "Put off",
            "Messages that failed and will be tried again after the delay that the queue is named after, of all "
            "stages. Rising: see Errors by class.",
            {"{{queue}}": f"sum by (queue) (rabbitmq_detailed_queue_messages{PUT_OFF})"},
        ),
        Panel(
            "Wait, 95 of 100",
            "From the first publish to the start of work, over ten minutes; of what was tried again, all its tries.",
            {"{{service}}": quantile(0.95, "porelay_queue_wait_seconds", "service", WINDOW, STAGE)},
            unit="s",
        ),
    ),
)

TIMES = Row(
    "Time and work in hand",
    (
        Panel(
            "Time with a message, half",
            "How long a stage has a message, over ten minutes: half took no longer. Only ended ones count.",
            {"{{service}}": quantile(0.5, "porelay_handler_seconds", "service", WINDOW, STAGE)},
            unit="s",
        ),
        Panel(
            "Time with a message, 95 of 100",
            "The same for the slow ones.",
            {"{{service}}": quantile(0.95, "porelay_handler_seconds", "service", WINDOW, STAGE)},
            unit="s",
        ),
        Panel(
            "In hand",
            "Messages that workers have in hand now, by stage.",
            {"{{service}}": f"sum by (service) (porelay_in_hand{{{STAGE}}})"},
        ),
        Panel(
            "Longest in hand, of its limit",
            "1 is the limit (PORELAY_STAGE_LIMIT_S, PORELAY_ISOLATED_LIMIT_S), a minute after which a worker gives "
            "the message up. Red: it did not; end that worker, the message comes again to another.",
            {"{{service}}": f"max by (service) (porelay_in_hand_seconds{{{STAGE}}} / porelay_in_hand_limit_seconds)"},
            unit="percentunit",
            orange=0.8,
            red=1,
        ),
    ),
)

ENDS = Row(
    "How it ended",
    (
        Panel(
            "Messages by how they ended",
            "In ten minutes. ok: computed; skipped: the result was there already; sliced: a training saved and asked "
            "to go on; lost: the connection went, the message comes again.",
            {"{{outcome}}": f"sum by (outcome) ({grown(f'porelay_messages_total{{{STAGE}}}', WINDOW)})"},
        ),
        Panel(
            "Retries",
            "Messages put off in ten minutes, by stage. Rising: a server or a licence is away, or a stage has a "
            "defect; see Errors by class.",
            {"{{service}}": f"sum by (service) ({grown(deliveries('retried'), WINDOW)})"},
            orange=5,
        ),
        Panel(
            "Given up",
            "Messages that became dead letters in ten minutes, by stage. Red: `porelay dlq list`.",
            {"{{service}}": f"sum by (service) ({grown(deliveries('dead'), WINDOW)})"},
            red=1,
        ),
        Panel(
            "Errors by class",
            "In ten minutes. BadInput, BadMessage: the user's; StoreUnavailable, BrokerUnavailable: a server's; "
            "defect: ours, please report it with the traceback that `porelay dlq show` prints.",
            {"{{service}} {{error}}": f"sum by (service, error) ({grown(f'porelay_errors_total{{{STAGE}}}', WINDOW)})"},
        ),
    ),
)

FLOW = Row(
    "Throughput and workers",
    (
        Panel(
            "Voxels read per second",
            "Of volumes that stages have taken, mean of ten minutes.",
            {"{{service}}": per_second(f'porelay_voxels_total{{{STAGE}, direction="in"}}', "service")},
            unit="short",
        ),
        Panel(
            "Voxels made per second",
            "Of volumes that stages have made, mean of ten minutes.",
            {"{{service}}": per_second(f'porelay_voxels_total{{{STAGE}, direction="out"}}', "service")},
            unit="short",
        ),
        Panel(
            "Bytes made per second",
            "Files, and volumes as they are in memory, mean of ten minutes.",
            {"{{service}}": per_second(f'porelay_bytes_total{{{STAGE}, direction="out"}}', "service")},
            unit="Bps",
        ),
        Panel(
            "Workers",
            "Worker processes that consume, by stage; 0: one runs but gets nothing, see /readyz of it.",
            {"{{service}}": f"sum by (service) (porelay_consumer_active{{{STAGE}}})"},
        ),
    ),
)

PIPELINE = Board(
    "pipeline",
    "Pipeline",
    "Every stage: what waits, how long it takes, what fails, how much flows.",
    (QUEUES, TIMES, ENDS, FLOW),
    (WHICH, SERVICE, VHOST),
)
