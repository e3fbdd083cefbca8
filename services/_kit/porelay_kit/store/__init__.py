"""The store: one truth for all. `base` is the contract, the other modules keep it."""

from porelay_kit.settings import Settings
from porelay_kit.store.base import Store


def open_store(settings: Settings) -> Store:
    """Return the bucket that the settings name, else the home folder."""
    if settings.s3_url:
        from porelay_kit.store.bucket import BucketStore

        return BucketStore.open(settings)
    from porelay_kit.store.folder import FolderStore

    return FolderStore(settings.home)
