"""The delivery contract, for every broker there is."""

import threading

import pytest

from porelay_kit.broker.base import DELIVERY_LIMIT, MAX_BODY_BYTES, RETRY_LADDER_S, Unroutable
from porelay_kit.broker.memory import MemoryBroker

STAGES = ("ingest", "segment")


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=[MemoryBroker])
def broker(request, clock):
    return request.param(STAGES, clock=clock)


def test_a_message_reaches_one_worker_of_its_stage_in_order(broker):
    broker.publish("segment", b"1")
    broker.publish("segment", b"2")
    assert broker.get(("ingest",), 0) is None
    first, second = broker.get(STAGES, 0), broker.get(STAGES, 0)
    assert (first.body, second.body) == (b"1", b"2")
    assert broker.get(STAGES, 0) is None
    broker.ack(first)
    broker.ack(second)
    assert broker.idle()


def test_publishing_to_nobody_raises(broker):
    with pytest.raises(Unroutable, match="segmnet"):
        broker.publish("segmnet", b"1")


def test_an_array_does_not_travel_in_a_message(broker):
    with pytest.raises(ValueError, match=f"limit is {MAX_BODY_BYTES}"):
        broker.publish("segment", b"0" * (MAX_BODY_BYTES + 1))


def test_a_message_of_a_dead_worker_comes_again_first_and_is_marked(broker):
    broker.publish("segment", b"1")
    broker.publish("segment", b"2")
    broker.lost(broker.get(STAGES, 0))
    again = broker.get(STAGES, 0)
    assert (again.body, again.redelivered, again.attempt) == (b"1", True, 1)


def test_a_message_that_kills_its_workers_is_parked_and_the_queue_goes_on(broker):
    broker.publish("segment", b"poison")
    broker.publish("segment", b"good")
    for _ in range(DELIVERY_LIMIT):
        delivery = broker.get(STAGES, 0)
        assert delivery.body == b"poison"
        broker.lost(delivery)
    assert broker.get(STAGES, 0).body == b"good"
    (letter,) = broker.dead_letters("segment")
    assert letter.body == b"poison" and letter.error == "DeliveryLimit"


def test_what_failed_climbs_the_ladder_of_delays_and_is_then_parked(broker, clock):
    broker.publish("segment", b"1")
    for number, delay in enumerate(RETRY_LADDER_S, start=1):
        delivery = broker.get(STAGES, 0)
        assert delivery.attempt == number
        assert broker.retry(delivery, OSError("not yet"))
        clock.now += delay - 0.01
        assert broker.get(STAGES, 0) is None
        clock.now += 0.02
    delivery = broker.get(STAGES, 0)
    assert not broker.retry(delivery, OSError("still not"))
    (letter,) = broker.dead_letters("segment")
    assert (letter.error, letter.text, letter.attempt) == ("OSError", "still not", len(RETRY_LADDER_S) + 1)


def test_looking_at_a_dead_letter_does_not_destroy_it(broker):
    broker.publish("segment", b"1")
    broker.park(broker.get(STAGES, 0), ValueError("bad"))
    for _ in range(100):
        assert [letter.text for letter in broker.dead_letters("segment")] == ["bad"]
    assert broker.idle()


def test_a_delivery_is_settled_once(broker):
    broker.publish("segment", b"1")
    delivery = broker.get(STAGES, 0)
    broker.ack(delivery)
    with pytest.raises(KeyError):
        broker.ack(delivery)


def test_events_reach_those_who_listen_for_them(broker):
    heard = []
    broker.subscribe("run.a.", lambda key, body: heard.append((key, body)))
    broker.emit("run.a.segment.done", b"1")
    broker.emit("run.b.segment.done", b"2")
    assert heard == [("run.a.segment.done", b"1")]


def test_a_waiting_worker_wakes_when_a_message_comes():
    broker = MemoryBroker(STAGES)
    threading.Timer(0.05, broker.publish, ("segment", b"1")).start()
    assert broker.get(STAGES, 5.0).body == b"1"


def test_no_two_workers_hold_one_message():
    broker = MemoryBroker(STAGES)
    for number in range(500):
        broker.publish("segment", str(number).encode())
    taken, lock = [], threading.Lock()

    def work():
        while (delivery := broker.get(STAGES, 0)) is not None:
            with lock:
                taken.append(delivery.body)
            broker.ack(delivery)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(taken, key=int) == [str(number).encode() for number in range(500)]
