"""What a worker's probes and metrics say of a real broker."""

import json
from contextlib import closing, suppress

import pytest
import urllib3

from porelay_kit.broker.rabbit import RabbitBroker
from porelay_kit.meter import Meter
from porelay_kit.monitor import Health, show
from porelay_schemas.errors import BrokerUnavailable

from .conftest import eventually

BLOCKED = "porelay_broker_blocked"


@pytest.mark.slow
def test_a_broker_that_takes_no_messages_is_said_by_readyz_and_a_metric(rabbit, store):
    with closing(RabbitBroker(rabbit.new_vhost(), patience_s=2)) as broker:
        broker.get(("ingest",), 0.1)
        meter = Meter(("ingest",), broker.pulse)
        server = show(0, meter, Health(broker.pulse, store, lambda: False))

        def ready() -> tuple[int, str]:
            answer = urllib3.request("GET", f"http://127.0.0.1:{server.server_port}/readyz", retries=False)
            return answer.status, " ".join(json.loads(answer.data)["wrong"])

        eventually("it is ready", lambda: ready() == (200, ""), within_s=10)
        assert meter.registry.get_sample_value(BLOCKED) == 0
        with rabbit.alarm():
            with suppress(BrokerUnavailable):
                broker.publish("ingest", b"{}")
            eventually("the alarm is heard", lambda: ready()[0] == 503, within_s=10)
            assert "takes no messages, for it has an alarm (low on memory)" in ready()[1]
            assert meter.registry.get_sample_value(BLOCKED) == 1
        eventually("it is ready again", lambda: ready() == (200, ""), within_s=20)
        assert meter.registry.get_sample_value(BLOCKED) == 0
        server.shutdown()
