"""What the intake knows of each drop, in the store: it survives the intake, and `porelay status` shows it."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from pydantic import ValidationError

from porelay_ingest.intake.drops import Drop
from porelay_kit.store.base import Store
from porelay_schemas.intake import PREFIX, DropState, Intake, intake_key


class Ledger:
    """The records of all drops. Every method reads or writes at once: nothing is remembered."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock

    def now(self) -> datetime:
        """Return the time that records carry."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def of(self, drop: str) -> Intake | None:
        """Return the record of the drop of that key, None where there is none of this version."""
        return self.read(intake_key(drop))

    def all(self) -> Iterator[Intake]:
        """Yield all records."""
        for key in list(self._store.list(PREFIX)):
            record = self.read(key)
            if record is not None:
                yield record

    def read(self, key: str) -> Intake | None:
        """Return the record of that key, None where there is none of this version."""
        try:
            return Intake.model_validate_json(self._store.read(key))
        except (KeyError, ValidationError):
            return None

    def note(self, drop: Drop, state: DropState, text: str = "", *, run_id: str | None = None) -> Intake:
        """Write down how far a drop is; the version's first time stays, where the record is of the same version."""
        now, before, version = self.now(), self.of(drop.key), drop.version
        record = Intake(
            drop=drop.key,
            state=state,
            text=text,
            plan=drop.plan,
            version=version,
            objects=len(drop.objects),
            size_bytes=drop.size_bytes,
            since=before.since if before and before.version == version else now,
            at=now,
            run_id=run_id,
        )
        if before is None or before.model_copy(update={"at": now}) != record:
            self._write(record)
        return record

    def change(self, record: Intake, state: DropState, text: str = "") -> None:
        """Write down what became of the run of a drop."""
        self._write(record.model_copy(update={"state": state, "text": text, "at": self.now()}))

    def forget(self, record: Intake) -> None:
        """Delete a record: its drop is not there any more."""
        self._store.delete(intake_key(record.drop))

    def _write(self, record: Intake) -> None:
        self._store.write(intake_key(record.drop), record.model_dump_json(indent=1).encode())
