"""Made-up records, as a fleet would write them: for tests, benchmarks and golden files.

Rules: everything is drawn from the generator handed in, so the same seed gives the same bytes. `steady_rows` is what a
healthy closed-loop run writes; `odd_rows` has everything in it that a batch may hold.
"""

from random import Random

from osbench.common.clock import NS_PER_MS, NS_PER_S, NS_PER_US
from osbench.common.histogram import bucket_of
from osbench.common.outcome import Outcome
from osbench.common.record import (
    CALL_RENEWAL,
    ActionRow,
    CallHistogram,
    CallRow,
    HealthRow,
    HostRow,
    IterationRow,
    Rows,
)

NAMES = {1: "nova.boot_server", 2: "nova.wait", 3: "nova POST /servers", 4: "nova GET /servers/{id}", 9: "nova.delete"}
ERRORS = {1: ("HttpError", "500 on POST /servers"), 2: ("Timeout", "server stayed in BUILD"), 5: ("Quota", "cores")}


def steady_rows(random: Random, start_ns: int, second: int, first: int, rate: int = 1_000) -> Rows:
    """One second of a worker: `rate` iterations that end in it, each of one action and one call, all OK.

    Args:
        start_ns: start of the run on the worker's clock. second: of the run. first: index of the first iteration.
    """
    iterations, actions, calls = [], [], []
    for index in range(rate):
        ended_ns = start_ns + second * NS_PER_S + (index * NS_PER_S + random.randrange(NS_PER_S)) // rate
        duration_ns = int(random.lognormvariate(17.2, 0.5))  # median 30 ms
        started_ns = ended_ns - duration_ns
        before_ns, after_ns = random.randrange(15_000, 60_000), random.randrange(15_000, 60_000)
        iterations.append(IterationRow(first + index, -1, started_ns, ended_ns, 0, 0, 0))
        actions.append(ActionRow(first + index, 0, -1, 1, started_ns + before_ns // 2, ended_ns - after_ns // 2, -1, 0))
        calls.append(
            CallRow(
                iteration=first + index,
                action=0,
                name=4,
                started_ns=started_ns + before_ns,
                ended_ns=ended_ns - after_ns,
                outcome=0,
                status=200,
                error=0,
                attempt=0,
                flags=0,
                wait_us=random.randrange(3, 40),
                lookup_us=0,
                connect_us=0,
                tls_us=0,
                first_byte_us=max((duration_ns - before_ns - after_ns) // 1_000 - random.randrange(20, 90), 1),
                sent_bytes=random.randrange(300, 330),
                received_bytes=random.randrange(1_800, 2_000),
            )
        )
    end_ns = start_ns + (second + 1) * NS_PER_S
    health = HealthRow(end_ns, NS_PER_S, random.randrange(NS_PER_MS), 10**7, 4 * 10**8, 10**5, 0, 30, rate, rate)
    return Rows(
        iterations=iterations, actions=actions, calls=calls, health=[health], names=NAMES, errors={}, request_ids={}
    )


def _outcome(random: Random) -> int:
    return random.choices((Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN), (8, 2, 1))[0].value


def odd_rows(random: Random, start_ns: int, first: int, size: int) -> Rows:
    """Up to `size` rows a table: nested actions, errors, drops, open loop, idling, renewals, calls without rows."""
    iterations, actions, calls = [], [], []
    for index in range(first, first + random.randrange(size + 1)):
        started_ns = start_ns + random.randrange(-NS_PER_MS, 6 * NS_PER_S)
        ended_ns = started_ns + int(random.lognormvariate(random.choice((8, 16, 20)), 1.5))
        outcome = Outcome.DROPPED.value if random.random() < 0.1 else _outcome(random)
        scheduled_ns = random.choice((-1, started_ns - random.randrange(50 * NS_PER_MS)))
        idle_ns = random.choice((0, 0, random.randrange(ended_ns - started_ns + 1)))
        error = 0 if outcome == Outcome.OK else random.choice((0, 1, 2, 5))
        iterations.append(IterationRow(index, scheduled_ns, started_ns, ended_ns, idle_ns, outcome, error))
        for ordinal in range(random.randrange(5)):
            parent = random.randrange(-1, ordinal)
            begin_ns = started_ns + random.randrange(NS_PER_MS)
            end_ns = begin_ns + random.randrange(3 * NS_PER_S)
            actions.append(
                ActionRow(index, ordinal, parent, random.choice((1, 2, 9)), begin_ns, end_ns, -1, _outcome(random))
            )
    for _ in range(random.randrange(size + 1)):
        begin_ns = start_ns + random.randrange(5 * NS_PER_S)
        span_us = random.randrange(1, 10 ** random.randrange(1, 8))
        calls.append(
            CallRow(
                iteration=random.randrange(first, first + size + 1),
                action=-1,
                name=random.choice((3, 4)),
                started_ns=begin_ns,
                ended_ns=begin_ns + span_us * NS_PER_US,
                outcome=_outcome(random),
                status=random.choice((200, 202, 404, 500, 0)),
                error=random.choice((0, 0, 0, 1, 5)),
                attempt=random.randrange(3),
                flags=random.choice((0, 0, 0, CALL_RENEWAL, 8)),
                wait_us=random.randrange(100),
                lookup_us=0,
                connect_us=random.randrange(1_000),
                tls_us=0,
                first_byte_us=random.choice((0, span_us // 2)),
                sent_bytes=200,
                received_bytes=random.randrange(10_000),
            )
        )
    stamps = [
        start_ns + second * NS_PER_S + random.randrange(9 * NS_PER_MS) for second in range(1, random.randrange(2, 5))
    ]
    health = [
        HealthRow(
            stamp, NS_PER_S, *(random.randrange(NS_PER_S) for _ in range(5)), *(random.randrange(99) for _ in "abc")
        )
        for stamp in stamps
    ]
    hosts = [HostRow(stamp, *(random.randrange(1_001) for _ in range(7))) for stamp in stamps]
    return Rows(
        iterations=iterations,
        actions=actions,
        calls=calls,
        health=health,
        hosts=hosts,
        names=NAMES,
        errors=ERRORS,
        request_ids={row: f"req-{row}" for row in range(0, len(calls), 7)},
        histograms=[_given_up(random) for _ in range(random.randrange(3))],
    )


def _given_up(random: Random) -> CallHistogram:
    values = [random.randrange(10**6) for _ in range(random.randrange(1, 9))]
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    spans = tuple(number for pair in counts.items() for number in pair)
    return CallHistogram(3, _outcome(random), random.randrange(6), sum(values), min(values), max(values), spans)
