"""The relay goes on until it is told to stop, whatever happens on the way."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from conftest import entities, events, relay, store

EVENT = events.event_of(
    "north",
    entities.ENTITY_TYPES[0],
    entities.Record(
        "id-1", 1, "secret name", {"a": "secret"}, *[datetime(2030, 1, 1, tzinfo=UTC)] * 2
    ),
    "created",
    datetime(2030, 1, 1, tzinfo=UTC),
)


class Outbox:
    """Answers each delivery with the next of `outcomes`; the relay is stopped before the last."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.stop = asyncio.Event()
        self.limits = []

    async def deliver(self, publish, *, limit):
        self.limits.append(limit)
        outcome = self.outcomes.pop(0)
        if len(self.outcomes) == 1:
            self.stop.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def run(loop, outbox, interval_s):
    work = relay.relay_events(outbox, events.LogPublisher(), outbox.stop, interval_s=interval_s)
    loop(asyncio.wait_for(work, 10))


def test_a_full_batch_is_followed_by_the_next_at_once(loop):
    full, few = store.Delivery(relay.BATCH, 0), store.Delivery(3, 0)
    outbox = Outbox(full, full, few, few)
    run(loop, outbox, interval_s=3600)
    assert outbox.limits == [relay.BATCH] * 4


def test_what_is_left_is_published_once_more_when_it_stops(loop):
    outbox = Outbox(store.Delivery(0, 0), store.Delivery(1, 0))
    run(loop, outbox, interval_s=3600)
    assert outbox.outcomes == []


def test_a_failure_ends_nothing(loop, caplog):
    outbox = Outbox(OSError("gone"), *[store.Delivery(0, 0)] * 2)
    run(loop, outbox, interval_s=0.01)
    assert outbox.outcomes == []
    assert "the outbox could not be read" in caplog.text


def test_the_log_tells_of_an_event_without_what_it_holds(loop, caplog):
    with caplog.at_level(logging.INFO):
        loop(events.LogPublisher().publish(EVENT))
    [record] = caplog.records
    assert EVENT.type in record.getMessage()
    assert "secret" not in str(vars(record))
    assert vars(record)["tenant.id"] == "north"


def test_attempts_are_ever_further_apart_up_to_a_bound():
    waits = [store.retry_after(attempts) for attempts in range(1, 40)]
    assert waits == sorted(waits)
    assert (waits[0], waits[1], waits[-1]) == (
        store.RETRY_FIRST,
        2 * store.RETRY_FIRST,
        store.RETRY_LONGEST,
    )
