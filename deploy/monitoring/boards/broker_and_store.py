"""What an operator asks of the two servers that all of it stands on."""

from boards.board import BROKER, Board, Panel, Row
from boards.board import JOB as WHICH
from boards.promql import JOB, grown, quantile

NODE = '{instance=~"$broker"}'
WINDOW, WINDOW_S = "10m", 600
STORE = f"porelay_store_seconds_count{{{JOB}}}"
FAILED = f'porelay_store_seconds_count{{{JOB}, outcome="failed"}}'


def flow(counter: str) -> str:
    """Return messages per second."""
    return f"sum(rate(rabbitmq_global_messages_{counter}_total{NODE}[$__rate_interval]))"


ALARMS = Row(
    "Alarms",
    (
        Panel(
            "Workers that are blocked",
            "Workers to whom the broker says that it takes no messages. Red: it is short of memory or disk, see "
            "beside; it goes on by itself when there is room. Nothing is lost.",
            {"": f"sum(porelay_broker_blocked{{{JOB}}})"},
            kind="number",
            red=1,
        ),
        Panel(
            "Memory alarm",
            "Nodes with it. Red: raise `vm_memory_high_watermark` or the node's memory, or find the queue that is "
            "long.",
            {"": f"sum(rabbitmq_alarms_memory_used_watermark{NODE})"},
            kind="number",
            red=1,
        ),
        Panel(
            "Disk alarm",
            "Nodes with it. Red: the disk of the broker is nearly full; make room there at once.",
            {"": f"sum(rabbitmq_alarms_free_disk_space_watermark{NODE})"},
            kind="number",
            red=1,
        ),
        Panel(
            "Store calls that failed",
            "In ten minutes, of all workers. Red: the store is away, full, or refuses a key; workers try again by "
            "themselves. `porelay doctor` says which.",
            {"": f"sum({grown(FAILED, WINDOW)}) or vector(0)"},
            kind="number",
            red=1,
        ),
        Panel(
            "Connections",
            "To the broker: each worker has one, one that ingests two, the store's notifications one more.",
            {"": f"sum(rabbitmq_connections{NODE})"},
            kind="number",
        ),
        Panel(
            "Messages without a queue",
            "Published in ten minutes and returned, since no queue takes them. Red: the topology is incomplete; "
            "`porelay topology check` says what is missing, `porelay topology apply` makes it.",
            {"": f"sum(increase(rabbitmq_global_messages_unroutable_returned_total{NODE}[{WINDOW}]))"},
            kind="number",
            red=1,
        ),
    ),
)

BROKER_ROW = Row(
    "Broker",
    (
        Panel(
            "Messages per second",
            "Published: requests of workers, to be confirmed once stored; delivered: to workers, who acknowledge what "
            "they have settled. Confirmed below published for long: the broker's disk is slow.",
            {
                "published": flow("received_confirm"),
                "confirmed": flow("confirmed"),
                "delivered": flow("delivered_consume_manual_ack"),
                "acknowledged": flow("acknowledged"),
            },
            unit="ops",
        ),
        Panel(
            "Delivered again per second",
            "Messages whose worker left without settling them. A little at every restart; steady: a worker dies "
            "again and again, look at its log.",
            {"redelivered": flow("redelivered")},
            unit="ops",
        ),
        Panel(
            "Memory, of the limit",
            "Red: near 1, from where on the broker takes no more messages; do as for a memory alarm.",
            {
                "{{instance}}": f"rabbitmq_process_resident_memory_bytes{NODE}"
                f" / rabbitmq_resident_memory_limit_bytes{NODE}"
            },
            unit="percentunit",
            orange=0.7,
            red=0.9,
        ),
        Panel(
            "Free disk, of the limit",
            "How many times the limit is free; below 1 the broker takes no more messages. Make room well before.",
            {
                "{{instance}}": f"rabbitmq_disk_space_available_bytes{NODE}"
                f" / rabbitmq_disk_space_available_limit_bytes{NODE}"
            },
            unit="none",
        ),
    ),
)

STORE_ROW = Row(
    "Store",
    (
        Panel(
            "Time of a call, 95 of 100",
            "By operation, over ten minutes. Reads and writes of arrays are not in it: they pass the store by. "
            "Rising: the S3 server is busy, or its disks are.",
            {"{{op}}": quantile(0.95, "porelay_store_seconds", "op", WINDOW)},
            unit="s",
        ),
        Panel(
            "Calls per second",
            "By operation, mean of ten minutes.",
            {"{{op}}": f"sum by (op) ({grown(STORE, WINDOW)}) / {WINDOW_S}"},
            unit="ops",
        ),
        Panel(
            "Failed calls",
            "By operation, in ten minutes. Red: see Store calls that failed.",
            {"{{op}}": f"sum by (op) ({grown(FAILED, WINDOW)})"},
            red=1,
        ),
        Panel(
            "Bytes per second",
            "By operation, mean of ten minutes; arrays are not in it (Pipeline has them).",
            {"{{op}}": f"sum by (op) ({grown(f'porelay_store_bytes_total{{{JOB}}}', WINDOW)}) / {WINDOW_S}"},
            unit="Bps",
        ),
    ),
)

BROKER_AND_STORE = Board(
    "broker-and-store",
    "Broker and store",
    "Whether RabbitMQ and the S3 store are well, and how busy.",
    (ALARMS, BROKER_ROW, STORE_ROW),
    (WHICH, BROKER),
)
