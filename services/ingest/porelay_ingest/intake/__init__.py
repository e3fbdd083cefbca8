"""From the inbox to a run: drops are found, completed, checked and started.

`serve` runs beside the ingest worker. It hears of new objects on the queue `intake` and sweeps the inbox now and then,
so that it works with notifications, without any, and on a folder that is watched.
"""

from collections.abc import Callable

from porelay_kit.broker.base import Broker
from porelay_kit.settings import Settings
from porelay_kit.store.base import Store

SETTLE_S = 2.0


def serve(broker: Broker, store: Store, settings: Settings, until: Callable[[], bool]) -> None:
    """Serve the inbox of a store until told to end; nothing that is dropped, and no message, ends it."""
    from porelay_ingest.intake.completeness import Patience
    from porelay_ingest.intake.keeper import Keeper, bucket_of
    from porelay_ingest.intake.taking import Taker
    from porelay_kit import planning

    settle_s = 0.0 if settings.s3_url else SETTLE_S
    patience = Patience(settings.quiet_s, settle_s, settings.sweep_s)
    taker = Taker(broker, store, settings.max_memory_bytes)
    Keeper(taker, patience, planning.shipped(), bucket_of(settings.s3_url)).watch(until)
