"""Why a drop was not taken: a text beside it. Nothing is moved, nothing deleted."""

from datetime import UTC, datetime

from porelay_kit.runner.drops import AGAIN, REJECTED
from porelay_kit.store.base import Store


def write(store: Store, drop: str, reason: str) -> None:
    """Write the text beside a drop."""
    name = drop.rpartition("/")[2]
    text = (
        f"Porelay did not take {drop}\n\n{reason}\n\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. "
        "Nothing was moved or deleted. "
        f"Put a corrected {name} in its place and it is looked at again; "
        f"to have the same one looked at again, put an empty object {name}{AGAIN} beside it.\n"
    )
    store.write(drop + REJECTED, text.encode())


def remove(store: Store, drop: str) -> None:
    """Delete the text beside a drop: it is past."""
    store.delete(drop + REJECTED)
