"""`porelay submit`: a stack goes into the inbox, and workers run it."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import click
from pydantic import ValidationError

from porelay_kit import planning
from porelay_kit.broker.base import Broker
from porelay_kit.cli import json_option, print_json
from porelay_kit.cli.run import recipe_options
from porelay_kit.cli.servers import broker_if_any, home_option, store_at
from porelay_kit.cli.watch import POLL_S, watch_to_the_end
from porelay_kit.runner import drops
from porelay_kit.runner.history import history
from porelay_kit.runner.reconcile import take_up
from porelay_kit.runner.state import RunState, content_files, file_digest, folder_digest, identity, run_id_for
from porelay_kit.settings import Settings
from porelay_kit.store.base import Store
from porelay_schemas.errors import BadInput, Retryable
from porelay_schemas.intake import Intake, intake_key
from porelay_schemas.plan import Plan
from porelay_schemas.volumes import StackRef

SILENCE_S = 30.0
"""After how long without an intake the waiting user is told what may be missing."""

SENDERS = 8
"""Slices that are sent at once."""


@dataclass(frozen=True)
class Upload:
    """A file or folder of slices of this machine, and what it is called in the inbox, relative to the plan's folder."""

    path: Path
    name: str
    digests: dict[str, str]
    """SHA-256 of its files, by their path relative to it; `""` for a single file."""

    @classmethod
    def of(cls, path: Path, name: str) -> "Upload":
        """Look at a file or folder; raise BadInput where there is nothing to read."""
        path = path.expanduser()
        if not path.exists():
            raise BadInput(f"stack {str(path)!r}: no such file or folder. Check the path.")
        files = content_files(path)
        named = {"" if file == path else file.relative_to(path).as_posix(): file for file in files}
        return cls(path, name, {inner: file_digest(file) for inner, file in named.items()})

    @property
    def ref(self) -> StackRef:
        """The reference that the intake makes of it."""
        size = sum(self.local(inner).stat().st_size for inner in self.digests)
        sha256 = folder_digest(self.digests) if self.is_folder else self.digests[""]
        return StackRef(uri=self.path.resolve().as_uri(), name=self.name, sha256=sha256, size_bytes=size)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of slices."""
        return "" not in self.digests

    def key(self, inner: str) -> str:
        """Return the name of one of its files in the inbox."""
        return f"{self.name}/{inner}" if inner else self.name

    def local(self, inner: str) -> Path:
        """Return the path of one of its files on this machine."""
        return self.path / inner if inner else self.path

    def sums(self) -> dict[str, str]:
        """Return the digests of its files by their names in the inbox."""
        return {self.key(inner): digest for inner, digest in self.digests.items()}


@dataclass(frozen=True)
class Drop:
    """A stack that is to lie in the inbox, with all that belongs to it."""

    plan: Plan
    stack: Upload
    truth: Upload | None = None

    @property
    def identity(self) -> str:
        """What tells it from others of its name."""
        return identity(self.plan, self.stack.ref, self.truth.ref if self.truth else None)

    @property
    def folder(self) -> str:
        """The plan's folder in the inbox."""
        return f"{drops.INBOX}/{self.plan.name}"

    @property
    def key(self) -> str:
        """Where the stack lies in the store."""
        return f"{self.folder}/{self.stack.name}"

    @property
    def run_id(self) -> str:
        """The run that the intake makes of it."""
        return run_id_for(self.plan, self.stack.ref, self.truth.ref if self.truth else None)

    @property
    def claim(self) -> bytes:
        """The checksums of all of it: who writes them first has the name."""
        sums = self.stack.sums() | (self.truth.sums() if self.truth else {})
        sums[self.stack.name + drops.PLAN] = drops.digest(self.recipe)
        return drops.sums_text(sums).encode()

    @property
    def recipe(self) -> bytes:
        """The plan as it lies beside the stack."""
        return planning.dump(self.plan).encode()

    def called(self, name: str) -> "Drop":
        """Return the same under another name."""
        truth = self.truth and replace(self.truth, name=drops.truth_name(name, self.truth.path.name))
        return replace(self, stack=replace(self.stack, name=name), truth=truth)


def drop_of(plan: Plan, stack: Path, truth: Path | None) -> Drop:
    """Look at the files of a drop; raise BadInput where they cannot be read or hold nothing."""
    name = drops.key_name(stack.expanduser().resolve().name)
    drop = Drop(plan, Upload.of(stack, name), Upload.of(truth, drops.truth_name(name, truth.name)) if truth else None)
    if not drop.stack.ref.size_bytes:
        raise BadInput(f"stack {str(stack)!r}: 0 bytes, wanted an image stack. Check that it was written to its end.")
    return drop


def put(store: Store, drop: Drop) -> tuple[Drop, bool]:
    """Upload a drop unless it is there; return it under the name that it has got, and whether it was new.

    A name that another stack, or the same under another plan, has is given a digest: `stack-1a2b3c4d.tif`.
    """
    name = drop.stack.name
    candidates = [drop.called(each) for each in (name, drops.with_identity(name, drop.identity))]
    for candidate in candidates:
        if _run_of(store, candidate):
            return candidate, False
    for candidate in candidates:
        first = _claimed(store, candidate)
        if first is not None:
            _upload(store, candidate, there={} if first else _there(store, candidate))
            return candidate, first
    raise BadInput(f"drop {candidates[-1].key!r}: the inbox has another stack of that name. Rename the file.")


def _run_of(store: Store, drop: Drop) -> bool:
    """Return whether the run of a drop was begun from the inbox, and what it needs is still there."""
    state = RunState(store, drop.run_id)
    if not store.exists(f"{state.prefix}/run.json"):
        return False
    uri = state.run().stack.uri
    return uri == drop.key and (bool(state.notes().done) or _lies(store, uri))


def _lies(store: Store, key: str) -> bool:
    return store.exists(key) or next(iter(store.list(key)), None) is not None


def _claimed(store: Store, drop: Drop) -> bool | None:
    """Take the name of a drop: True where nobody had it, False where the same drop has, None where another has."""
    key = drop.key + drops.SUMS
    if not store.exists(key) and (_lies(store, drop.key) or store.exists(drop.key + drops.PLAN)):
        return None
    if store.write_new(key, drop.claim):
        return True
    return False if store.read(key) == drop.claim else None


def _there(store: Store, drop: Drop) -> dict[str, int]:
    """Return the sizes of what an upload that was broken off has left."""
    return {one.key: one.size_bytes for one in store.beginning(drop.key)}


def _upload(store: Store, drop: Drop, there: dict[str, int]) -> None:
    """Write truth, plan and stack, in this order; the stack's last object says that all of it is there."""
    store.delete(drop.key + drops.REJECTED)
    if drop.truth:
        _send(store, drop.folder, drop.truth, there)
    store.write(drop.key + drops.PLAN, drop.recipe)
    _send(store, drop.folder, drop.stack, there)


def _send(store: Store, folder: str, upload: Upload, there: dict[str, int]) -> None:
    sizes = {inner: upload.local(inner).stat().st_size for inner in upload.digests}
    missing = [inner for inner, size in sizes.items() if there.get(f"{folder}/{upload.key(inner)}") != size]
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(lambda inner: store.upload(upload.local(inner), f"{folder}/{upload.key(inner)}"), missing))
    if upload.is_folder:
        files = {inner: (sizes[inner], digest) for inner, digest in upload.digests.items()}
        store.write(f"{folder}/{upload.name}/{drops.COMPLETE}", drops.marker(files))


def _again(state: RunState, drop: Drop, broker: Broker | None) -> list[str]:
    """Let what was dropped before go on: a stopped or failed run, or a rejected drop; return the stages asked for."""
    if broker is not None and state.store.exists(f"{state.prefix}/run.json"):
        return take_up(state, broker)
    state.resume()
    state.store.delete(drop.key + drops.REJECTED)
    state.store.write(drop.key + drops.AGAIN, b"again\n")
    return []


@click.command()
@recipe_options
@click.option("--wait", is_flag=True, help="Show progress until the run has ended; then its table and exit code.")
@home_option
@json_option
def submit(
    stack: Path,
    plan: str,
    voxel_um: tuple[float, float, float] | None,
    changes: tuple[str, ...],
    seed: int | None,
    truth: Path | None,
    wait: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Put STACK into the inbox, where workers take it.

    STACK is a file or a folder of slices. The plan is checked first, as `porelay run` does, and lies beside it. Prints
    the name of the run. Submitted again with the same words it goes on where it was: a cancelled or failed run is taken
    up, a finished one is only told.
    """
    chosen = planning.load(plan, changes, voxel_um=voxel_um, seed=seed)
    store = _inbox_of(home)
    drop = drop_of(chosen, stack, truth)
    if not as_json:
        size = drop.stack.ref.size_bytes + (drop.truth.ref.size_bytes if drop.truth else 0)
        click.echo(f"{drop.stack.path} -> {store.url}/{drop.folder} ({size / 1e6:,.1f} MB)", err=True)
    drop, new = put(store, drop)
    state = RunState(store, drop.run_id)
    with broker_if_any() as broker:
        ended = not new and store.exists(f"{state.prefix}/run.json") and history(state, times=False).state == "done"
        asked = [] if new or ended else _again(state, drop, broker)
        words = "dropped" if new else "done" if ended else "taken up again" if asked else "on its way"
        if as_json and not wait:
            print_json({"run_id": drop.run_id, "drop": drop.key, "state": words, "asked": asked})
        elif not as_json:
            click.echo(f"{drop.key}: {words}" + (f", asked for {', '.join(asked)}" if asked else ""), err=True)
            click.echo(drop.run_id)
        if wait:
            _wait_for_intake(state, drop, quiet=as_json)
            watch_to_the_end(state, broker, as_json=as_json)


def _inbox_of(home: Path | None) -> Store:
    """Return the store; raise BadInput where nothing was said of one: no worker looks into this folder."""
    if home is None and not {"home", "s3_url", "amqp_url"} & Settings.from_env().model_fields_set:
        raise BadInput(
            "submit: neither PORELAY_S3_URL nor PORELAY_HOME nor --home names the store of the workers. "
            "Set one, or use `porelay run`, which needs no worker."
        )
    return store_at(home)


def _wait_for_intake(state: RunState, drop: Drop, *, quiet: bool, poll_s: float = POLL_S / 4) -> None:
    """Wait until the intake has made a run of the drop; raise BadInput where it was rejected."""
    start, told = time.monotonic(), False
    while not _taken(state, drop):
        if not (told or quiet) and time.monotonic() - start > SILENCE_S:
            told = True
            click.echo("No intake has taken it yet. Is `porelay serve ingest` running, on this store?", err=True)
        time.sleep(poll_s)


def _taken(state: RunState, drop: Drop) -> bool:
    try:
        if state.store.exists(f"{state.prefix}/run.json"):
            return True
        if not state.store.exists(drop.key + drops.REJECTED):
            return False
        raise BadInput(f"drop {drop.key!r} was rejected: {_reason(state.store, drop)}")
    except Retryable:
        return False


def _reason(store: Store, drop: Drop) -> str:
    try:
        return Intake.model_validate_json(store.read(intake_key(drop.key))).text
    except (KeyError, ValidationError):
        return store.read(drop.key + drops.REJECTED).decode(errors="replace").strip()
