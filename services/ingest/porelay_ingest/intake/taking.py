"""A drop that is all there becomes a run: its content is fetched, digested, checked, and its first stage asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from porelay_ingest.headers import check_links
from porelay_ingest.intake import sidecar
from porelay_ingest.intake.completeness import COMPLETE, DONE, Marker, Told, marker
from porelay_ingest.intake.drops import Drop
from porelay_ingest.preflight import preflight
from porelay_ingest.sandbox import Limits
from porelay_kit.broker.base import Broker
from porelay_kit.runner import drops as names
from porelay_kit.runner.asking import begin
from porelay_kit.runner.state import RunState, content_files, file_digest, folder_digest, run_id_for, start
from porelay_kit.store.base import ObjectInfo, Store
from porelay_schemas.errors import BadInput
from porelay_schemas.volumes import StackRef

MOST_TOLD_BYTES = 2**26


@dataclass(frozen=True)
class Taker:
    """Makes runs of drops."""

    broker: Broker
    store: Store
    max_memory_bytes: int
    limits: Limits = field(default_factory=Limits)

    def told(self, drop: Drop) -> Told:
        """Return what marker, checksums and plan's file tell of a folder; raise BadInput where they cannot be read."""
        if not drop.folder:
            return Told()
        inside = drop.names
        found = marker(self._small(inside[COMPLETE]), drop.name) if COMPLETE in inside else None
        beginning = drop.name + "/"
        listed = [name.removeprefix(beginning) for name in self._sums(drop) if name.startswith(beginning)]
        return Told(found, DONE in inside, self._sidecar(drop).count, tuple(listed))

    def take(self, drop: Drop) -> RunState:
        """Start the run of a drop and return it.

        Raises BadInput, UnknownMethod or TooLarge where the drop cannot be taken, StoreUnavailable or
        BrokerUnavailable where it must be tried again.
        """
        plan = sidecar.plan_of(drop, self._sidecar(drop))
        sums = self._sums(drop)
        told = self.told(drop)
        stack = self._content(drop.key, folder=drop.folder, sums=sums, told=told.marker)
        truth = self._beside(drop, names.TRUTH, sums)
        planes = {axis: ref for axis in drop.plane_axes if (ref := self._beside(drop, names.PLANE + axis, sums))}
        known = self.store.exists(f"runs/{run_id_for(plan, stack, truth, planes)}/run.json")
        state = start(self.store, plan, stack, truth, planes)
        self._ask(state, again=drop.again is not None, known=known)
        return state

    def _ask(self, state: RunState, *, again: bool, known: bool) -> None:
        if again and known:
            from porelay_kit.runner.reconcile import take_up

            take_up(state, self.broker)
        elif "ingest" not in state.notes().done:
            begin(state, self.broker)

    def _beside(self, drop: Drop, part: str, sums: dict[str, str]) -> StackRef | None:
        """Fetch an image that lies beside a stack, None where there is none."""
        key = drop.part_key(part)
        return self._content(key, folder=drop.parts[part][0].key != key, sums=sums) if key else None

    def _content(self, key: str, *, folder: bool, sums: dict[str, str], told: Marker | None = None) -> StackRef:
        """Fetch a file or folder, check it and return its reference."""
        name = key.rpartition("/")[2]
        path = self.store.local_folder(key) if folder else self.store.local(key)
        check_links(path)
        digests = {_relative(path, file): file_digest(file) for file in content_files(path)}
        for part, digest in digests.items():
            _check_digest(f"{name}/{part}" if folder else name, digest, sums)
        for entry in (told.files if told else None) or ():
            if entry.sha256 is not None:
                _check_digest(entry.name, digests.get(entry.name, ""), {entry.name: entry.sha256})
        preflight(path, name, self.max_memory_bytes, self.limits)
        size = sum(file.stat().st_size for file in content_files(path))
        whole = folder_digest(digests) if folder else next(iter(digests.values()))
        return StackRef(uri=key, name=name, sha256=whole, size_bytes=size)

    def _sums(self, drop: Drop) -> dict[str, str]:
        return names.sums(_text(self._small(drop.sums), drop.name + names.SUMS)) if drop.sums else {}

    def _sidecar(self, drop: Drop) -> sidecar.Sidecar:
        if drop.plan_file is None:
            return sidecar.Sidecar()
        return sidecar.read(self._small(drop.plan_file), drop.name + names.PLAN)

    def _small(self, item: ObjectInfo) -> bytes:
        if item.size_bytes > MOST_TOLD_BYTES:
            raise BadInput(f"{item.key}: {item.size_bytes:,} bytes, wanted at most {MOST_TOLD_BYTES:,}. Shorten it.")
        path = self.store.local(item.key)
        check_links(path)
        return path.read_bytes()


def _relative(path: Path, file: Path) -> str:
    return "" if file == path else file.relative_to(path).as_posix()


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"{source}: not a text. Write it anew, with `sha256sum`.") from error


def _check_digest(name: str, found: str, wanted: dict[str, str]) -> None:
    if name in wanted and wanted[name] != found:
        raise BadInput(
            f"{name}: damaged in transfer: its SHA-256 is {found[:12]}..., sent was {wanted[name][:12]}... "
            "Send it again."
        )
