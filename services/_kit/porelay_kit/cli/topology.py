"""`porelay topology`: what broker and bucket must have, what they lack, and the files that set them up."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from porelay_kit.cli import FAILED, json_option, print_json
from porelay_kit.settings import Settings
from porelay_kit.steps import Step
from porelay_schemas.errors import BadInput

OLDEST = (3, 10)
STYLES = {"+": "green", "~": "yellow", "=": "dim", "!": "bold red", "-": "cyan"}
PLAIN_WIDTH = 120
PLANNED = {"+": "to create", "~": "to change", "=": "as wanted", "!": "not to be done from here", "-": "left out"}
DONE = {"+": "created", "~": "changed", "=": "as wanted before", "!": "not to be done from here", "-": "left out"}
MISSING = {"+": "missing", "~": "different", "!": "not to be mended from here", "-": "left out"}

notify_option = click.option(
    "--notify-url",
    metavar="URL",
    help="The broker as the S3 server shall reach it: amqp[s]://user:password@host/vhost. For Ceph's notifications.",
)


@click.group()
def topology() -> None:
    """Plan, apply and check exchanges, queues, policies and the bucket's notifications."""


@topology.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write users, rights and set-up there.")
@notify_option
@json_option
def plan(out: Path | None, notify_url: str | None, as_json: bool) -> None:
    """Show what `apply` would change; with --out, write the files of both servers."""
    settings = Settings.from_env()
    found = list(_steps(settings, notify_url, apply=False)) if out is None or _servers(settings) else []
    written = _write(settings, out) if out else []
    if as_json:
        print_json({"steps": [asdict(step) for step in found], "written": [str(path) for path in written]})
        return
    _print(found, PLANNED, "Run `porelay topology apply` to have it so.")
    for path in written:
        click.echo(f"wrote {path}")
    if out and not written:
        click.echo(f"{out}: all files are as wanted")


@topology.command()
@notify_option
@json_option
def apply(notify_url: str | None, as_json: bool) -> None:
    """Create and change what is missing. What is as wanted stays untouched; nothing is ever deleted."""
    found = list(_steps(Settings.from_env(), notify_url, apply=True))
    if as_json:
        print_json([asdict(step) for step in found])
    else:
        _print(found, DONE, "")
    if any(step.mark == "!" for step in found):
        sys.exit(FAILED)


@topology.command()
@json_option
def check(as_json: bool) -> None:
    """Tell what is missing or different; exit code 1 where anything is."""
    found = [step for step in _steps(Settings.from_env(), None, apply=False) if step.mark != "="]
    missing = [step for step in found if step.mark != "-"]
    if as_json:
        print_json([asdict(step) for step in found])
    else:
        _print(found, MISSING, "Run `porelay topology apply`." if missing else "")
    if missing:
        sys.exit(FAILED)


def _servers(settings: Settings) -> bool:
    return settings.amqp_url is not None or bool(settings.s3_url)


def _steps(settings: Settings, notify_url: str | None, *, apply: bool) -> Iterator[Step]:
    if not _servers(settings):
        raise BadInput(
            "topology: neither PORELAY_AMQP_URL nor PORELAY_S3_URL is set, so there is no server to look at. Set them, "
            "or write the files alone with `porelay topology plan --out DIR`."
        )
    if settings.amqp_url is not None:
        yield from _broker(settings, apply=apply)
    if settings.s3_url:
        yield from _bucket(settings, notify_url, apply=apply)


def _broker(settings: Settings, *, apply: bool) -> Iterator[Step]:
    from porelay_kit.broker import changes
    from porelay_kit.broker.topology import Topology

    with _live(settings) as live:
        yield from changes.steps(Topology(), live, apply=apply)


@contextmanager
def _live(settings: Settings) -> Iterator[Any]:
    """Open the broker; raise BrokerUnavailable or BadInput where it does not answer, or does not let us."""
    import pika
    from pika.exceptions import AMQPError, ChannelClosedByBroker

    from porelay_kit.broker import link
    from porelay_kit.broker.changes import Live
    from porelay_kit.broker.management import Management
    from porelay_kit.broker.topology import version_of

    url = settings.amqp_url.get_secret_value() if settings.amqp_url else ""
    found = link.parameters(url, link.Tls(settings.amqp_ca_file, settings.amqp_cert_file, settings.amqp_key_file))
    try:
        with closing(pika.BlockingConnection(found)) as connection:
            version = version_of(_text(connection._impl.server_properties["version"]))
            yield Live(connection, found.virtual_host, version, Management.open(settings))
    except ChannelClosedByBroker as error:
        raise BadInput(
            f"broker {link.where(found)}: {error.reply_text}. Run it as an administrator, who may declare."
        ) from error
    except (AMQPError, OSError) as error:
        raise link.refused(error, found) from error


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bucket(settings: Settings, notify_url: str | None, *, apply: bool) -> Iterator[Step]:
    from porelay_kit.store import setup
    from porelay_kit.store.wire import Refused, Wire

    wire = Wire.open(settings)
    try:
        yield from setup.steps(wire, notify_url, apply=apply)
    except Refused as error:
        raise BadInput(
            f"bucket {wire.server}/{wire.bucket}: the server refuses ({error}). Use the keys of the bucket's owner."
        ) from error


def _write(settings: Settings, out: Path) -> list[Path]:
    from porelay_kit import security
    from porelay_kit.broker.topology import Topology

    amqp_url = settings.amqp_url.get_secret_value() if settings.amqp_url else ""
    site = security.Site.of(amqp_url, settings.s3_url or "")
    return security.write(out, site, Topology().definitions(site.vhost, _version(settings)))


def _version(settings: Settings) -> tuple[int, ...]:
    """Return the version of the broker, or where none is named the oldest: its policies hold everywhere."""
    if settings.amqp_url is None:
        return OLDEST
    with _live(settings) as live:
        version: tuple[int, ...] = live.version
    return version


def _print(steps: list[Step], words: dict[str, str], hint: str) -> None:
    """Print what is not as wanted, and a line that counts."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False, soft_wrap=True)
    for step in steps:
        console.print(Text(f"{step.mark} {step.what}", style=STYLES[step.mark]))
        if step.road:
            console.print(Text(f"    -> {step.road}"))
    counts = {mark: sum(step.mark == mark for step in steps) for mark in STYLES}
    if counts["="] == len(steps):
        console.print(f"{len(steps)} things, all as wanted" if steps else "nothing is missing")
        return
    told = [f"{counts[mark]} {word}" for mark, word in words.items() if counts[mark]]
    console.print(f"{', '.join(told)}. {hint}".rstrip())
