"""Plans as the store has them, by their digests."""

from functools import lru_cache

from porelay_kit.store.base import Store
from porelay_schemas.plan import Plan

REMEMBERED = 256


def read_plan(store: Store, digest: str) -> Plan:
    """Return a plan; raise KeyError where there is none, ValueError where it is damaged."""
    return Plan.model_validate_json(store.read(f"plans/{digest}.json"))


class Plans:
    """The plans of a store, each read once while it is asked for: many runs share one. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._read = lru_cache(REMEMBERED)(lambda digest: read_plan(store, digest))

    def __getitem__(self, digest: str) -> Plan:
        return self._read(digest)
