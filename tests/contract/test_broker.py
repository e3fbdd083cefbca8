"""The delivery contract, for every broker there is: the one in memory, and a real RabbitMQ."""

import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pika
import pytest

from porelay_kit.broker.base import DELIVERY_LIMIT, MAX_BODY_BYTES, RETRY_LADDER_S, Delivery, Drop, Unroutable
from porelay_kit.broker.memory import MemoryBroker
from porelay_kit.broker.rabbit import RabbitBroker
from porelay_schemas.errors import BadInput, BadMessage, BrokerUnavailable, Denied, StoreUnavailable

STAGES = ("ingest", "segment")
CANCELS_SINCE = (4, 3)
"""From then on RabbitMQ cancels a consumer that holds a message too long, at once; before, it closes the channel."""


class InMemory:
    """The broker in memory, and a clock that is set by hand."""

    ladder = RETRY_LADDER_S
    soon_s = never_s = 0.0

    def __init__(self) -> None:
        self.now = 0.0
        self.broker = MemoryBroker(STAGES, clock=lambda: self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def step_back(self) -> None:
        """Take nothing any more; here, nobody takes before he is asked to."""

    def dies_with(self, stages: tuple[str, ...]) -> Delivery:
        """Let a worker take a message and die with it."""
        delivery = self.broker.get(stages, 0)
        self.broker.lost(delivery)
        return delivery

    def close(self) -> None:
        self.broker.close()


class OnRabbit:
    """A virtual host of a real server, with a ladder of short delays."""

    ladder = (0.3, 0.4, 0.5, 0.6)
    soon_s, never_s = 5.0, 0.15

    def __init__(self, rabbit) -> None:
        self.url = rabbit.new_vhost(retry_ladder_s=self.ladder)
        self._brokers = []
        self.broker = self.another()

    def another(self, **more) -> RabbitBroker:
        """Connect once more."""
        self._brokers.append(RabbitBroker(self.url, retry_ladder_s=self.ladder, **more))
        return self._brokers[-1]

    def pass_time(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))

    def step_back(self) -> None:
        self.broker.close()
        self.broker = self.another()

    def dies_with(self, stages: tuple[str, ...]) -> Delivery:
        worker = self.another()
        delivery = worker.get(stages, self.soon_s)
        worker.close()
        return delivery

    def close(self) -> None:
        for broker in self._brokers:
            broker.close()


@pytest.fixture(params=["memory", "rabbit"])
def bus(request) -> Iterator[InMemory | OnRabbit]:
    made = InMemory() if request.param == "memory" else OnRabbit(request.getfixturevalue("rabbit"))
    yield made
    made.close()


@pytest.fixture
def on_rabbit(rabbit) -> Iterator[OnRabbit]:
    made = OnRabbit(rabbit)
    yield made
    made.close()


def take(bus, stages=STAGES) -> Delivery:
    """Take a message that must be there."""
    delivery = bus.broker.get(stages, bus.soon_s)
    assert delivery is not None
    return delivery


def nothing(bus, stages=STAGES) -> bool:
    return bus.broker.get(stages, bus.never_s) is None


def test_a_message_reaches_one_worker_of_its_stage_in_order(bus):
    bus.broker.publish("segment", b"1")
    bus.broker.publish("segment", b"2")
    assert nothing(bus, ("ingest",))
    for body in (b"1", b"2"):
        delivery = take(bus)
        assert (delivery.stage, delivery.body, delivery.attempt, delivery.redelivered) == ("segment", body, 1, False)
        assert delivery.first_seen is not None
        bus.broker.ack(delivery)
    assert nothing(bus)


def test_publishing_to_nobody_raises(bus):
    with pytest.raises(Unroutable, match="segmnet"):
        bus.broker.publish("segmnet", b"1")


def test_an_array_does_not_travel_in_a_message(bus):
    with pytest.raises(BadMessage, match=f"limit is {MAX_BODY_BYTES}"):
        bus.broker.publish("segment", b"0" * (MAX_BODY_BYTES + 1))
    bus.broker.publish("segment", b"0" * MAX_BODY_BYTES)
    assert len(take(bus).body) == MAX_BODY_BYTES


def test_a_message_of_a_dead_worker_comes_again_first_and_is_marked(bus):
    bus.broker.publish("segment", b"1")
    bus.broker.publish("segment", b"2")
    bus.dies_with(("segment",))
    again = take(bus)
    assert (again.body, again.redelivered, again.attempt) == (b"1", True, 1)


def test_a_message_that_kills_its_workers_is_parked_and_the_queue_goes_on(bus):
    bus.broker.publish("segment", b"poison")
    bus.broker.publish("segment", b"good")
    for _ in range(DELIVERY_LIMIT):
        assert bus.dies_with(("segment",)).body == b"poison"
    assert take(bus).body == b"good"
    (letter,) = letters(bus)
    assert letter.body == b"poison" and letter.error == "DeliveryLimit" and letter.at is not None


def letters(bus) -> list:
    """Return the dead letters of `segment`; the server may need a moment to park one."""
    deadline = time.monotonic() + bus.soon_s
    while not (found := bus.broker.dead_letters("segment")) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_what_failed_climbs_the_ladder_of_delays_and_is_then_parked(bus):
    bus.broker.publish("segment", b"1")
    first_seen = None
    for number, delay in enumerate(bus.ladder, start=1):
        delivery = take(bus)
        first_seen = first_seen or delivery.first_seen
        assert (delivery.attempt, delivery.first_seen) == (number, first_seen)
        assert bus.broker.retry(delivery, OSError("not yet"))
        bus.pass_time(delay - 0.2)
        assert bus.broker.get(STAGES, 0) is None
        bus.pass_time(0.21)
    delivery = take(bus)
    assert not bus.broker.retry(delivery, OSError("still not"))
    (letter,) = letters(bus)
    assert (letter.error, letter.text, letter.attempt) == ("OSError", "still not", len(bus.ladder) + 1)


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), Denied("wrong key")])
def test_what_only_has_to_wait_is_never_parked_and_waits_the_last_delay_again(bus, error):
    bus.broker.publish("segment", b"1")
    for number, delay in enumerate([*bus.ladder, bus.ladder[-1], bus.ladder[-1]], start=1):
        delivery = take(bus)
        assert delivery.attempt == number
        assert bus.broker.retry(delivery, error)
        bus.pass_time(delay - 0.2)
        assert bus.broker.get(STAGES, 0) is None
        bus.pass_time(0.21)
    assert take(bus) and not bus.broker.dead_letters("segment")


def test_deaths_of_workers_do_not_cost_attempts_and_attempts_not_returns(bus):
    bus.broker.publish("segment", b"1")
    for _ in range(DELIVERY_LIMIT - 1):
        bus.dies_with(("segment",))
    delivery = take(bus)
    assert delivery.attempt == 1
    assert bus.broker.retry(delivery, OSError("not yet"))
    bus.step_back()
    bus.pass_time(bus.ladder[0] + 0.05)
    for _ in range(DELIVERY_LIMIT - 1):
        assert bus.dies_with(("segment",)).attempt == 2
    assert take(bus).attempt == 2


def test_a_message_that_is_sent_again_goes_to_the_end_as_a_first_attempt(bus):
    bus.broker.publish("segment", b"slice")
    bus.broker.publish("segment", b"other")
    delivery = take(bus)
    bus.broker.again(delivery)
    other = take(bus)
    assert other.body == b"other"
    bus.broker.ack(other)
    once_more = take(bus)
    assert (once_more.body, once_more.attempt, once_more.redelivered) == (b"slice", 1, False)
    assert once_more.first_seen == delivery.first_seen


def test_looking_at_what_waits_costs_no_attempt_and_keeps_all(bus):
    for number in range(3):
        bus.broker.publish("segment", b"%d" % number)
    assert bus.broker.retry(take(bus), OSError("not yet"))
    bus.broker.publish("ingest", b"other")
    bus.step_back()
    for _ in range(2 * DELIVERY_LIMIT):
        assert sorted(bus.broker.waiting("segment")) in ([b"0", b"1", b"2"], [b"1", b"2"])
    bus.pass_time(bus.ladder[0] + 0.05)
    seen = set()
    for _ in range(3):
        delivery = take(bus, ("segment",))
        seen.add((delivery.body, delivery.attempt))
        bus.broker.ack(delivery)
    assert seen == {(b"0", 2), (b"1", 1), (b"2", 1)}
    assert not bus.broker.dead_letters("segment") and not bus.broker.waiting("segment")


def test_looking_at_a_dead_letter_does_not_destroy_it(bus):
    bus.broker.publish("segment", b"1")
    bus.broker.park(take(bus), ValueError("bad"))
    seen = {tuple(letter.text for letter in bus.broker.dead_letters("segment")) for _ in range(100)}
    assert seen == {("bad",)}
    assert nothing(bus)


def test_dead_letters_are_sent_again_destroyed_or_kept_one_by_one(bus):
    for body in (b"again", b"drop", b"keep"):
        bus.broker.publish("segment", body)
        bus.broker.park(take(bus), ValueError("bad"))
    verdicts = {b"again": b"mended", b"drop": Drop, b"keep": None}
    assert bus.broker.sift("segment", lambda letter: verdicts[letter.body]) == 2
    assert [letter.body for letter in bus.broker.dead_letters("segment")] == [b"keep"]
    delivery = take(bus)
    assert (delivery.body, delivery.attempt) == (b"mended", 1)


def test_a_delivery_is_settled_once(bus):
    bus.broker.publish("segment", b"1")
    delivery = take(bus)
    bus.broker.ack(delivery)
    for settle in (bus.broker.ack, bus.broker.again, lambda held: bus.broker.park(held, ValueError("bad"))):
        with pytest.raises(KeyError):
            settle(delivery)
    assert nothing(bus) and not bus.broker.dead_letters("segment")


def test_events_and_commands_reach_those_who_listen_for_them(bus):
    heard, wanted = [], {"run.a.segment.done", "control.run.a", "run.a.segment.last"}
    bus.broker.subscribe("run.a.", lambda *event: heard.append(event))
    bus.broker.subscribe("control.", lambda *event: heard.append(event))
    for key in ("run.b.segment.done", "run.a.segment.done", "control.run.a", "worker.x.alive", "run.a.segment.last"):
        bus.broker.emit(key, key.encode())
    deadline = time.monotonic() + 5
    while len(heard) < len(wanted) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(bus.never_s)
    assert sorted(heard) == sorted((key, key.encode()) for key in wanted)


def test_who_listens_at_once_hears_each_event_once(on_rabbit):
    for _ in range(10):
        heard = []
        broker = on_rabbit.another()
        broker.subscribe("run.", lambda *event, heard=heard: heard.append(event))
        broker.emit("run.a.segment.done", b"1")
        deadline = time.monotonic() + 5
        while not heard and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert heard == [("run.a.segment.done", b"1")]


def test_closing_gives_back_what_is_held(bus):
    bus.broker.publish("segment", b"1")
    take(bus)
    bus.broker.close()
    if isinstance(bus, OnRabbit):
        bus.broker = bus.another()
    assert take(bus).redelivered


def test_a_waiting_worker_wakes_when_a_message_comes(bus):
    if isinstance(bus, InMemory):
        bus.broker = MemoryBroker(STAGES)
    threading.Timer(0.05, bus.broker.publish, ("segment", b"1")).start()
    assert bus.broker.get(STAGES, 5.0).body == b"1"


def test_no_two_workers_hold_one_message(bus):
    workers = [bus.another() for _ in range(4)] if isinstance(bus, OnRabbit) else [bus.broker] * 8
    for number in range(200):
        bus.broker.publish("segment", str(number).encode())
    taken, lock = [], threading.Lock()

    def work(broker):
        while (delivery := broker.get(STAGES, 2 * bus.never_s)) is not None:
            with lock:
                taken.append(delivery.body)
            broker.ack(delivery)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(number).encode() for number in range(200)]


def test_a_cut_connection_is_made_again_and_what_was_held_comes_again(on_rabbit, rabbit):
    broker, heard = on_rabbit.broker, threading.Event()
    broker.subscribe("run.", lambda key, body: heard.set())
    broker.publish("segment", b"1")
    delivery = take(on_rabbit)
    rabbit.cut(on_rabbit.url)
    again = broker.get(STAGES, 15)
    assert again.body == b"1" and again.redelivered
    with pytest.raises(KeyError):
        broker.ack(delivery)
    broker.ack(again)
    deadline = time.monotonic() + 5
    while not heard.wait(0.1):  # an event may be lost; listening goes on
        assert time.monotonic() < deadline
        broker.emit("run.a.segment.done", b"1")
    pulse = broker.pulse()
    assert pulse.connected and pulse.consuming and pulse.tick_age_s < 5


def test_confirmed_messages_outlive_a_crash_of_the_server_and_publishing_waits_for_it(on_rabbit, rabbit):
    for number in range(20):
        on_rabbit.broker.publish("segment", b"%d" % number)
    rabbit.kill()
    restart = threading.Thread(target=rabbit.start)
    restart.start()
    on_rabbit.broker.publish("segment", b"20")
    restart.join()
    bodies = []
    for _ in range(21):
        delivery = on_rabbit.broker.get(STAGES, 15)
        bodies.append(int(delivery.body))
        on_rabbit.broker.ack(delivery)
    assert bodies == list(range(21))


def test_a_broker_that_stays_away_is_an_error_in_words_without_the_password(rabbit):
    bus = OnRabbit(rabbit)
    broker = bus.another(patience_s=1.0)
    broker._parameters.port = 1  # where nobody listens: it cannot come back
    rabbit.cut(bus.url, connections=2)
    with pytest.raises(BrokerUnavailable, match=r"no answer .*PORELAY_AMQP_URL") as caught:
        broker.publish("segment", b"1")
    assert "guest" not in str(caught.value)
    assert broker.get(STAGES, 0.1) is None and not broker.pulse().connected
    bus.close()


def test_who_is_not_let_in_and_what_does_not_answer_are_told_apart(rabbit):
    with pytest.raises(BadInput, match="does not let user 'guest' in") as caught:
        RabbitBroker(rabbit.url.replace("guest:guest@", "guest:wrong@"))
    assert "wrong" not in str(caught.value)
    with pytest.raises(BrokerUnavailable, match="no answer"):
        RabbitBroker("amqp://guest:guest@127.0.0.1:1")
    with pytest.raises(BadInput, match="wanted amqp"):
        RabbitBroker("http://guest:guest@127.0.0.1:1")


def test_a_consumer_that_the_server_cancels_is_noticed_and_started_again(on_rabbit):
    broker = on_rabbit.broker
    broker.publish("segment", b"1")
    broker.ack(take(on_rabbit))
    connection = pika.BlockingConnection(pika.URLParameters(on_rabbit.url))
    channel = connection.channel()
    channel.queue_delete("segment.v1")
    deadline = time.monotonic() + 10
    while broker.pulse().consuming:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    channel.queue_declare("segment.v1", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind("segment.v1", "work", "segment.v1")
    connection.close()
    broker.publish("segment", b"2")
    assert broker.get(("segment",), 15).body == b"2"


def test_a_message_that_nobody_takes_costs_nothing_that_is_held(on_rabbit):
    broker = on_rabbit.broker
    broker.publish("segment", b"1")
    held = take(on_rabbit)
    with pytest.raises(Unroutable):
        broker.publish("segmnet", b"2")
    broker.ack(held)
    assert nothing(on_rabbit) and not broker.waiting("segment")


def test_an_exchange_that_is_missing_is_told_and_costs_nothing_that_is_held(on_rabbit):
    broker = RabbitBroker(on_rabbit.url, retry_ladder_s=(77.0,))
    broker.publish("segment", b"1")
    held = broker.get(("segment",), 5)
    with pytest.raises(Unroutable, match=r"retry\.77s.*topology apply"):
        broker.retry(held, OSError("not yet"))
    broker.ack(held)
    broker.close()
    assert not on_rabbit.broker.waiting("segment")


def test_a_channel_that_the_server_closes_in_silence_is_noticed_and_what_was_held_comes_again(on_rabbit):
    broker = on_rabbit.broker
    broker.publish("segment", b"1")
    held = take(on_rabbit)
    channel = broker._hands.held(held).channel
    broker._link.post(lambda: channel.basic_ack(999))  # as after its time-out: the channel is closed, nothing else
    again = take(on_rabbit)
    assert again.redelivered and again.body == b"1"
    with pytest.raises(KeyError):
        broker.ack(held)
    broker.ack(again)


def test_a_message_that_is_held_longer_than_the_server_allows_comes_again(on_rabbit, rabbit):
    if rabbit.version < CANCELS_SINCE:
        pytest.skip("before 4.3 RabbitMQ looks once a minute and closes the channel, which another test does")
    path = f"policies/{urlsplit(on_rabbit.url).path[1:]}/work"
    policy = rabbit.ask("GET", path).json()
    policy["definition"]["consumer-timeout"] = 10_000
    rabbit.ask("PUT", path, {name: policy[name] for name in ("pattern", "definition", "apply-to")})
    broker = on_rabbit.broker
    broker.publish("segment", b"1")
    broker.publish("segment", b"2")
    held = take(on_rabbit)
    again = broker.get(("segment",), 40)
    assert (again.body, again.redelivered) == (b"1", True)
    with pytest.raises(KeyError):
        broker.ack(held)
    broker.ack(again)
    assert take(on_rabbit).body == b"2"


def test_who_is_long_busy_with_one_stage_keeps_no_message_of_another_from_others(on_rabbit):
    for stage in STAGES:
        on_rabbit.broker.publish(stage, stage.encode())
    held = take(on_rabbit)
    other = next(stage for stage in STAGES if stage != held.stage)
    idle = on_rabbit.another()
    delivery = idle.get((other,), 10)
    assert (delivery.body, delivery.redelivered) == (other.encode(), False)
    idle.close()
    on_rabbit.broker.ack(held)
    assert take(on_rabbit).body == other.encode()


def test_an_alarm_of_the_server_is_told_to_clients_and_waited_for_by_who_holds_a_message(on_rabbit, rabbit):
    worker, client = on_rabbit.broker, on_rabbit.another(patience_s=1.0)
    worker.publish("segment", b"1")
    held = take(on_rabbit)
    with rabbit.alarm():
        with pytest.raises(BrokerUnavailable, match=r"it has an alarm .*memory"):
            client.publish("ingest", b"given up")
        passing_on = threading.Thread(target=lambda: (worker.publish("ingest", b"2"), worker.ack(held)))
        passing_on.start()
        time.sleep(1.5)
        assert passing_on.is_alive() and worker.pulse().connected and worker.pulse().tick_age_s < 1.5
    passing_on.join(20)
    assert nothing(on_rabbit, ("segment",)) and take(on_rabbit, ("ingest",)).body in (b"given up", b"2")


def test_a_command_without_a_connection_is_an_error_and_an_event_is_lost(rabbit):
    broker = RabbitBroker(rabbit.new_vhost(retry_ladder_s=()))
    broker.close()
    broker.emit("run.a.segment.progress", b"1")
    with pytest.raises(BrokerUnavailable):
        broker.emit("control.run.a", b"stop")


def test_a_listener_that_fails_does_not_silence_the_others(on_rabbit, caplog):
    failed, heard = threading.Event(), threading.Event()

    def fail(key, body):
        failed.set()
        raise ZeroDivisionError

    on_rabbit.broker.subscribe("run.a", fail)
    on_rabbit.broker.subscribe("run.b", lambda key, body: heard.set())
    on_rabbit.broker.emit("run.a.segment.done", b"1")
    assert failed.wait(5)
    on_rabbit.broker.emit("run.b.segment.done", b"2")
    assert heard.wait(5) and "a listener failed on run.a.segment.done" in caplog.text


def test_a_message_that_is_too_big_to_be_ours_is_parked_with_its_reason(on_rabbit):
    connection = pika.BlockingConnection(pika.URLParameters(on_rabbit.url))
    connection.channel().basic_publish("work", "segment.v1", b"x" * (MAX_BODY_BYTES + 1))
    connection.channel().basic_publish("work", "segment.v1", b"good")
    connection.close()
    assert take(on_rabbit).body == b"good"
    (letter,) = letters(on_rabbit)
    assert letter.error == "BadMessage" and str(MAX_BODY_BYTES) in letter.text


def test_how_many_notifications_wait_is_told_where_nobody_else_may_look_at_them(on_rabbit):
    for number in range(3):
        on_rabbit.broker.publish("intake", b"%d" % number)
    for _ in range(2):
        with pytest.raises(BadInput, match=r"intake\.v1: 3 notifications wait there.*`porelay status`"):
            on_rabbit.broker.waiting("intake")
    assert take(on_rabbit, ("intake",)).body == b"0"
