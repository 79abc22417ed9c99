"""Batches and what is derived from them, for every adapter of the store."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osbench.common.error import NotFoundError
from osbench.common.record import Batch, BatchIdentity, decode_rows, encode_batch
from osbench.coordinator.ingest import CommitResult, Ingest
from osbench.coordinator.merge import decode_spans
from osbench.coordinator.sample_records import odd_rows, steady_rows
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.values import Derived, StoredBatch

NewRun = Callable[..., str]


def odd_batches(run: str, seed: int, count: int, size: int = 12) -> list[Batch]:
    """Batches of two workers on two agents, with everything in them."""
    random = Random(seed)
    made = []
    for number in range(count):
        agent, worker = random.choice("ab"), random.randrange(2)
        start_ns = {"a": 10**15, "b": 7 * 10**14}[agent]
        identity = BatchIdentity(run=run, agent=agent, life=1, worker=worker, start_ns=start_ns)
        made.append(encode_batch(identity, number + 1, odd_rows(random, start_ns, number * 100, size)))
    return made


def commit(store: Store, batches: Sequence[Batch]) -> CommitResult:
    return Ingest(store).commit([(batch.header, batch.header_bytes, batch.body) for batch in batches])


def derived_rows(store: Store, run: str) -> dict[str, Any]:
    """Everything derived, in an order of its own."""
    return {
        "histograms": sorted(
            store.histogram_iterate(run), key=lambda row: (row.kind, row.name, row.outcome, row.second)
        ),
        "counters": list(store.counter_list(run)),
        "seconds": list(store.second_list(run)),
        "errors": sorted(store.error_list(run), key=lambda row: (row.source, row.kind, row.message)),
        "extent": store.extent_get(run),
        "health": sorted(map(repr, store.health_list(run))),
        "hosts": sorted(map(repr, store.host_list(run))),
    }


# 50 ms each, most of it the disk's.
@settings(max_examples=settings().max_examples // 8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_derived_rows_are_what_the_blobs_say(
    store: Store, new_run: NewRun, worked_out: Callable[..., Any], seed: int
) -> None:
    """Without this a report shows other numbers than the records it is made of."""
    run = new_run(store, str(uuid4()))
    batches = odd_batches(run, seed, 9)
    for begin in range(0, 9, 3):
        assert not commit(store, batches[begin : begin + 3]).rejected
    slow = worked_out(store.batch_iterate(run))

    histograms = {}
    for row in store.histogram_iterate(run):
        counts = dict(zip(*(numbers.tolist() for numbers in decode_spans(row.spans)), strict=True))
        histograms[row.kind, row.name, row.outcome, row.second] = (row.n, row.sum_us, row.min_us, row.max_us, counts)
        if row.kind == "action":
            assert row.ordinal == slow.ordinals[row.kind, row.name, row.outcome]
    assert histograms == slow.histograms()
    assert {(r.kind, r.name, r.outcome, r.status): r.n for r in store.counter_list(run)} == dict(slow.counters)
    seconds = {row.second: [row.started, row.ended, row.failed, row.dropped] for row in store.second_list(run)}
    assert seconds == dict(slow.seconds)
    for error in store.error_list(run):
        met = slow.errors.pop((error.source, error.kind, error.message))
        assert error.n == len(met)
        assert (error.first_second, error.last_second) == (min(met)[0], max(met)[0])
        assert error.iteration == min(iteration for _, iteration in met)
    assert not slow.errors


def test_the_order_and_company_of_batches_leave_no_trace(store: Store, new_run: NewRun) -> None:
    """Without this two runs of the same records differ by how the network felt."""
    one, other = new_run(store, "one"), new_run(store, "other")
    commit(store, odd_batches(one, 5, 8))
    shuffled = odd_batches(other, 5, 8)
    Random(1).shuffle(shuffled)
    for batch in shuffled:
        commit(store, [batch])
    commit(store, shuffled)

    assert repr(derived_rows(store, other)).replace(other, one) == repr(derived_rows(store, one))


def test_a_duplicate_is_acknowledged_and_has_no_effect(store: Store, new_run: NewRun) -> None:
    run = new_run(store)
    batches = odd_batches(run, 3, 4)
    commit(store, batches[:3])
    before = derived_rows(store, run)
    again = commit(store, batches[:3])

    assert derived_rows(store, run) == before
    assert again.acks == tuple(batch.header.key for batch in batches[:3])
    assert again.committed.batches == ()
    assert again.committed.derived == Derived()


def test_a_commit_of_old_and_new_batches_adds_the_new(store: Store, new_run: NewRun) -> None:
    one, other = new_run(store, "one"), new_run(store, "other")
    batches = odd_batches(one, 3, 4)
    commit(store, batches[:2])
    result = commit(store, [*batches, batches[3]])
    commit(store, odd_batches(other, 3, 4))

    assert [batch.seq for batch in result.committed.batches] == [3, 4]
    assert repr(derived_rows(store, other)).replace(other, one) == repr(derived_rows(store, one))


def test_batches_come_back_as_they_were(store: Store, new_run: NewRun) -> None:
    run = new_run(store)
    batches = odd_batches(run, 8, 40)
    commit(store, batches)

    assert list(store.batch_iterate(run)) == [(batch.header, batch.body) for batch in batches]
    assert decode_rows(*next(store.batch_iterate(run))) == decode_rows(batches[0].header, batches[0].body)


def test_totals_count_each_worker_and_show_holes(store: Store, new_run: NewRun) -> None:
    run = new_run(store)
    identity = BatchIdentity(run=run, agent="a", life=4, worker=2, start_ns=0)
    made = {seq: encode_batch(identity, seq, steady_rows(Random(seq), 0, seq, seq * 10, 10)) for seq in (1, 2, 5)}
    commit(store, list(made.values()))
    (totals,) = store.batch_totals(run)

    assert (totals.agent, totals.life, totals.worker) == ("a", 4, 2)
    assert (totals.batches, totals.last_seq, totals.iterations, totals.calls) == (3, 5, 30, 30)
    assert totals.body_bytes == sum(len(batch.body) for batch in made.values())
    assert list(store.batch_seqs(run, "a", 4, 2)) == [1, 2, 5]


def test_what_is_derived_goes_with_the_transaction(store: Store, new_run: NewRun) -> None:
    """A batch without its histograms, or the other way round, could never be mended."""
    run = new_run(store)
    (batch,) = odd_batches(run, 3, 1)

    def fail(_new: Sequence[int]) -> Derived:
        raise RuntimeError("derive is broken")

    with pytest.raises(RuntimeError, match="derive is broken"):
        store.batches_add([StoredBatch(batch.header, batch.body)], fail)

    assert list(store.batch_iterate(run)) == []
    assert commit(store, [batch]).committed.batches


def test_a_run_that_is_not_there_is_refused_whole(store: Store, new_run: NewRun) -> None:
    run = new_run(store)
    (known,), (unknown,) = odd_batches(run, 3, 1), odd_batches("gone", 3, 1)

    with pytest.raises(NotFoundError, match="gone"):
        store.batches_add([StoredBatch(b.header, b.body) for b in (known, unknown)], lambda new: Derived())
    assert list(store.batch_iterate(run)) == []


def test_batches_of_a_deleted_run_are_rejected_and_the_others_taken(store: Store, new_run: NewRun) -> None:
    """Without this one deleted task stops the records of all others."""
    deleted, kept = new_run(store, "one"), new_run(store, "other")
    ingest = Ingest(store)
    first, second = odd_batches(deleted, 3, 2)
    ingest.commit([(first.header, first.header_bytes, first.body)])
    store.task_delete(store.run_get(deleted).task)
    (other,) = odd_batches(kept, 3, 1)
    result = ingest.commit([(b.header, b.header_bytes, b.body) for b in (second, other)])

    assert result.acks == (other.header.key,)
    assert [rejected.key for rejected in result.rejected] == [second.header.key]
    assert list(store.histogram_iterate(deleted)) == []


def test_histograms_of_some_kinds_and_from_a_second_on(store: Store, new_run: NewRun) -> None:
    run = new_run(store)
    commit(store, odd_batches(run, 2, 6))
    every = list(store.histogram_iterate(run))
    wanted = [row for row in every if row.kind in ("lag", "call") and row.second >= 2]

    assert wanted
    assert list(store.histogram_iterate(run, kinds=("lag", "call"), first_second=2)) == wanted


def test_stored_rows_are_there_after_reopening(reopen: Callable[[], Store], new_run: NewRun) -> None:
    first = reopen()
    run = new_run(first)
    batches = odd_batches(run, 2, 6)
    commit(first, batches[:3])
    first.close()
    second = reopen()
    commit(second, batches)
    other = new_run(second, "other")
    commit(second, odd_batches(other, 2, 6))

    assert repr(derived_rows(second, other)).replace(other, run) == repr(derived_rows(second, run))
