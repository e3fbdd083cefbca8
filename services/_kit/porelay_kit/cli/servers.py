"""Which store and broker a command works with.

`--home DIR` names a folder; without it the bucket of PORELAY_S3_URL is the store, else the folder of PORELAY_HOME.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from porelay_kit.broker import open_broker
from porelay_kit.broker.base import Broker
from porelay_kit.runner.state import run_ids
from porelay_kit.settings import Settings
from porelay_kit.store import open_store
from porelay_kit.store.base import Store
from porelay_schemas.errors import PorelayError

home_option = click.option(
    "--home", type=click.Path(path_type=Path), help="Folder of the store; also where PORELAY_S3_URL names a bucket."
)


def store_at(home: Path | None) -> Store:
    """Return the store of a command that was given `--home` or not."""
    from porelay_kit.store.folder import FolderStore

    return FolderStore(home.expanduser()) if home else open_store(Settings.from_env())


@contextmanager
def broker_of() -> Iterator[Broker]:
    """Open the broker; raise BadInput where none is named, BrokerUnavailable where it does not answer."""
    with closing(open_broker(Settings.from_env())) as broker:
        yield broker


@contextmanager
def broker_if_any() -> Iterator[Broker | None]:
    """Open the broker, None where none is named or where it does not answer: then that is said."""
    settings = Settings.from_env()
    broker = None
    if settings.amqp_url is not None:
        try:
            broker = open_broker(settings)
        except PorelayError as error:
            without_broker(error)
    try:
        yield broker
    finally:
        if broker is not None:
            broker.close()


def without_broker(error: PorelayError) -> None:
    """Say that the broker does not answer, and that the command does what it can."""
    click.echo(f"porelay: {error}\nGoing by the store alone.", err=True)


def place(store: Store, key: str) -> str:
    """Return where a person finds an object: a path, or a bucket's address."""
    from porelay_kit.store.folder import FolderStore

    return str(store.local(key)) if isinstance(store, FolderStore) else f"{store.url}/{key}"


def known_runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a run."""
    try:
        return [name for name in run_ids(store_at(context.params.get("home"))) if name.startswith(incomplete)]
    except PorelayError:
        return []


run_argument = click.argument("run_id", metavar="RUN", shell_complete=known_runs)
