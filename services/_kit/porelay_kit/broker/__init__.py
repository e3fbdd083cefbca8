"""The bus. `base` is the delivery contract; the other modules keep it."""

from porelay_kit.broker.base import Broker
from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput


def open_broker(settings: Settings) -> Broker:
    """Return the broker that the settings name; raise BadInput where they name none."""
    if settings.amqp_url is None:
        raise BadInput(
            "settings: PORELAY_AMQP_URL is not set, wanted the broker's address. "
            "Set it to amqp://user:password@host:5672/, or use `porelay run`, which needs no server."
        )
    from porelay_kit.broker.rabbit import RabbitBroker

    return RabbitBroker.open(settings)
