"""`intake/<digest>.json`: what the intake knows of one drop in the inbox."""

import hashlib
from typing import Literal

from pydantic import AwareDatetime

from porelay_schemas.base import Closed

PREFIX = "intake"

DropState = Literal["waiting", "started", "ingested", "rejected"]
"""Not complete yet; its run was asked for; its run has its volume; not taken, or its ingest failed."""


class Intake(Closed):
    """One drop: its key, how far it is and why in `text`, and the run that it became.

    `version` is a digest of what was listed of it, `since` when that was listed first, `at` when this was written.
    """

    schema_version: Literal[1] = 1
    drop: str
    state: DropState
    text: str = ""
    plan: str
    version: str
    objects: int
    size_bytes: int
    since: AwareDatetime
    at: AwareDatetime
    run_id: str | None = None


def intake_key(drop: str) -> str:
    """Return the store's key of what is known of a drop; names that users chose are never keys of ours."""
    return f"{PREFIX}/{hashlib.sha256(drop.encode()).hexdigest()}.json"
