"""Stage 8/10 · Plain counts of a commit: by second, by outcome, by error; and the health of those who measured."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from osbench.common.clock import NS_PER_S
from osbench.common.error import ProtocolError
from osbench.common.outcome import Outcome
from osbench.common.record import BatchHeader
from osbench.coordinator.cells import compact
from osbench.coordinator.columns import FIELDS, BatchColumns, TableColumns
from osbench.coordinator.merge import Integers
from osbench.coordinator.store.values import CounterRow, ErrorRow, HealthSecond, HostSecond, SecondRow

#: No stamp may lie further from the start of its run: 12 days, so that any duration fits 40 bits of microseconds.
MAX_SPAN_NS = 12 * 24 * 3600 * NS_PER_S
MAX_SECOND = MAX_SPAN_NS // NS_PER_S


def seconds_of(run: str, started: Integers, ended: Integers, outcome: Integers | int) -> tuple[SecondRow, ...]:
    """Starts, ends, failures and drops by second; `outcome` is one number where it is that of all rows."""
    if isinstance(outcome, int):
        none = ended[:0]
        failed = none if outcome == Outcome.OK else ended
        which = (none, none, none, ended) if outcome == Outcome.DROPPED else (started, ended, failed, none)
    else:
        ran = outcome != Outcome.DROPPED
        which = (started[ran], ended[ran], ended[ran & (outcome != Outcome.OK)], ended[~ran])
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for at, seconds in enumerate(which):
        if len(seconds):
            first = int(seconds.min())
            present, _, numbers = compact(seconds - first)
            for second, n in zip(present.tolist(), numbers.tolist(), strict=True):
                counts[second + first][at] = n
    return tuple(
        SecondRow(run=run, second=second, started=s, ended=e, failed=f, dropped=d)
        for second, (s, e, f, d) in sorted(counts.items())
    )


def added_counters(rows: Iterable[CounterRow]) -> tuple[CounterRow, ...]:
    sums: dict[tuple[str, str, str, int, int], int] = defaultdict(int)
    for row in rows:
        sums[row.run, row.kind, row.name, row.outcome, row.status] += row.n
    return tuple(
        CounterRow(run=run, kind=kind, name=name, outcome=outcome, status=status, n=n)
        for (run, kind, name, outcome, status), n in sums.items()
    )


def added_errors(rows: Sequence[ErrorRow]) -> tuple[ErrorRow, ...]:
    sums: dict[tuple[str, str, str], ErrorRow] = {}
    for row in rows:
        before = sums.get((row.source, row.kind, row.message), row)
        sums[row.source, row.kind, row.message] = ErrorRow(
            run=row.run,
            source=row.source,
            kind=row.kind,
            message=row.message,
            n=row.n if before is row else before.n + row.n,
            first_second=min(before.first_second, row.first_second),
            last_second=max(before.last_second, row.last_second),
            iteration=min(before.iteration, row.iteration),
        )
    return tuple(sums.values())


def _bounded(header: BatchHeader, second: int) -> int:
    if not -MAX_SECOND <= second <= MAX_SECOND:
        raise ProtocolError(f"batch {header.key}: second {second} of the run; at most {MAX_SECOND} are taken")
    return second


def health_of(batches: Sequence[BatchColumns]) -> Iterator[HealthSecond]:
    """Health rows with whose they are; a row lies in the second of the middle of its span."""
    for header, row in _rows(batches, "health"):
        second = _bounded(header, (row[0] - row[1] // 2 - header.start_ns) // NS_PER_S)
        yield HealthSecond(header.run, header.agent, header.life, header.worker, second, *row[1:])


def hosts_of(batches: Sequence[BatchColumns]) -> Iterator[HostSecond]:
    """Host rows with whose they are; a row lies in the second that it ends."""
    for header, (stamp_ns, *rest) in _rows(batches, "hosts"):
        second = _bounded(header, (stamp_ns - NS_PER_S // 2 - header.start_ns) // NS_PER_S)
        yield HostSecond(header.run, header.agent, header.life, second, *rest)


def _rows(batches: Sequence[BatchColumns], table: str) -> Iterator[tuple[BatchHeader, tuple[int, ...]]]:
    """The rows of a table over some batches, each with the header of its batch."""
    batches = [batch for batch in batches if getattr(batch.header, table)]
    headers = [batch.header for batch in batches for _ in range(getattr(batch.header, table))]
    if headers:
        column = TableColumns(batches, table)
        columns = [column(field).tolist() for field in FIELDS[table]]
        yield from zip(headers, zip(*columns, strict=True), strict=True)
