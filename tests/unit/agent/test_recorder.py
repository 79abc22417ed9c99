"""The recorder: rows in, batches out."""

from osbench.agent.recorder import BATCH_ITERATIONS, Recorder, cut
from osbench.common.histogram import bucket_of
from osbench.common.record import BatchIdentity, CallHistogram, Rows, decode_rows

IDENTITY = BatchIdentity(run="run", agent="a", life=7, worker=2, start_ns=0)
MS = 1_000_000


def call(duration_ns: int, outcome: int = 0, name: int = 1) -> tuple[int, ...]:
    return (0, 0, name, 0, duration_ns, outcome, 200, 0, 1, 0, 0, 0, 0, 0, 0, 10, 20)


def decoded(recorder: Recorder) -> Rows:
    batch = recorder.make_batch()
    return decode_rows(batch.header, batch.body)


def test_the_same_name_has_the_same_number_in_every_batch() -> None:
    recorder = Recorder(identity=IDENTITY)
    number = recorder.name_id("nova.boot_server")
    decoded(recorder)

    assert recorder.name_id("nova.boot_server") == number
    assert decoded(recorder).names == {number: "nova.boot_server"}


def test_each_batch_carries_the_errors_its_rows_point_to() -> None:
    recorder = Recorder(identity=IDENTITY)
    recorder.error_id("HTTP 500", "no")
    decoded(recorder)
    number = recorder.error_id("HTTP 503", "busy")

    assert decoded(recorder).errors == {number: ("HTTP 503", "busy")}


def test_ids_are_kept_of_failures_of_the_slowest_and_of_a_share() -> None:
    recorder = Recorder(identity=IDENTITY)
    for number in range(5):
        recorder.add_call(call(number % 3 * MS, outcome=number == 3), f"req-{number}")

    assert decoded(recorder).request_ids == {0: "req-0", 2: "req-2", 3: "req-3"}


def test_no_ids_are_kept_where_none_are_asked_for() -> None:
    recorder = Recorder(identity=IDENTITY, request_ids="none")
    recorder.add_call(call(MS, outcome=1), "req-0")

    assert decoded(recorder).request_ids == {}


def test_a_full_spool_gives_up_rows_of_calls_and_keeps_their_histogram() -> None:
    recorder = Recorder(identity=IDENTITY, keeps_calls=False)
    for duration_ms in (1, 1, 5):
        recorder.add_call(call(duration_ms * MS), None)

    rows = decoded(recorder)

    spans = (bucket_of(1_000), 2, bucket_of(5_000), 1)
    assert rows.calls == []
    assert rows.histograms == (CallHistogram(1, 0, 0, 7_000, 1_000, 5_000, spans),)
    assert recorder.calls_given_up == 3


def test_a_batch_is_due_at_its_bound_and_not_one_before() -> None:
    recorder = Recorder(identity=IDENTITY)
    for number in range(BATCH_ITERATIONS - 1):
        recorder.add_iteration((number, -1, 0, 1, 0, 0, 0))
    assert not recorder.is_due

    recorder.add_iteration((BATCH_ITERATIONS, -1, 0, 1, 0, 0, 0))

    assert recorder.is_due


def test_a_text_is_cut_at_its_bound_without_breaking_a_character() -> None:
    assert cut("ä" * 10, 20) == "ä" * 10
    assert len(cut("ä" * 11, 20).encode()) <= 20
