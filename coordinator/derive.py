"""Stage 8/10 · What batches add to the numbers of a run: histograms by second, counters, errors, health.

Rules: pure, and commutative: derive(a + b) adds up to derive(a) and derive(b), so batches may come in any order and in
any company. All batches of a commit are looked at together, because an array operation costs as much for one batch as
for twenty.

The second of a row is floor((stamp - start of the run) / 1 s) on the clock that stamped it. Values count at the second
in which they ended, except lag, which counts at the second in which the iteration started: that is when it was late.
A dropped iteration was never started: it is counted, and has no duration.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import cast

import numpy as np

from osbench.common.clock import NS_PER_S
from osbench.common.error import ProtocolError
from osbench.common.histogram import BUCKETS
from osbench.common.outcome import Outcome
from osbench.common.record import CALL_RENEWAL, MAX_ACTIONS, MAX_DEPTH, CallHistogram
from osbench.coordinator.cells import Cells, compact, compact_pairs
from osbench.coordinator.columns import BatchColumns, TableColumns
from osbench.coordinator.histogram_rows import add_rows, row_of
from osbench.coordinator.merge import Histogram, Integers, Whole
from osbench.coordinator.store.values import (
    ACTION,
    CALL,
    CALL_FIRST_BYTE,
    IDLE,
    ITERATION,
    LAG,
    NAME_CHARACTERS,
    RENEWAL,
    RESPONSE,
    STATUS_UNKNOWN,
    TOTAL,
    CounterRow,
    Derived,
    ErrorRow,
    ExtentRow,
    HistogramRow,
    SecondRow,
)
from osbench.coordinator.tally import (
    MAX_SECOND,
    MAX_SPAN_NS,
    added_counters,
    added_errors,
    health_of,
    hosts_of,
    seconds_of,
)

#: Bounds of one histogram out of the tail of a batch.
_MAX_COUNT = 1 << 32
_MAX_VALUE_US = 1 << 40
_OUTCOMES = 8
_WRITTEN = frozenset({Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN, Outcome.DROPPED})


def derive(batches: Sequence[BatchColumns]) -> Derived:
    """All that some batches add.

    Raises:
        ProtocolError: a batch does not hold together: a stamp, outcome, name or parent out of bounds.
    """
    by_run: dict[str, list[BatchColumns]] = defaultdict(list)
    for batch in batches:
        by_run[batch.header.run].append(batch)
    parts = [_RunPart(run, members).derived() for run, members in by_run.items()]
    if len(parts) == 1:
        return parts[0]
    return Derived(
        **{field: tuple(row for part in parts for row in getattr(part, field)) for field in Derived.__struct_fields__}
    )


class _RunPart:
    """The batches of one run within a commit."""

    def __init__(self, run: str, batches: Sequence[BatchColumns]) -> None:
        self.run = run
        self.batches = batches
        self.names: dict[str, int] = {}
        self.histograms: list[HistogramRow] = []
        self.counters: list[CounterRow] = []
        self.errors: list[ErrorRow] = []
        self.seconds: tuple[SecondRow, ...] = ()
        self.extents: tuple[ExtentRow, ...] = ()

    def derived(self) -> Derived:
        self._iterations([batch for batch in self.batches if batch.header.iterations])
        self._actions([batch for batch in self.batches if batch.header.actions])
        self._calls([batch for batch in self.batches if batch.header.calls])
        self._given_up()
        return Derived(
            histograms=tuple(self.histograms),
            counters=added_counters(self.counters),
            seconds=self.seconds,
            errors=added_errors(self.errors),
            extents=self.extents,
            health=tuple(health_of(self.batches)),
            hosts=tuple(hosts_of(self.batches)),
        )

    def _iterations(self, batches: list[BatchColumns]) -> None:
        if not batches:
            return
        column = TableColumns(batches, "iterations")
        starts = _starts(batches)
        outcome, idle = column.value_or_all("outcome"), column.value_or_all("idle_ns")
        started, ended = column("started_ns", less=starts), column("ended_ns", less=starts)
        _check_stamps(batches, started, ended)
        _check_between(batches, "idle_ns", idle, 0, MAX_SPAN_NS)
        for code, n in _outcomes(batches, outcome, column.total):
            self.counters.append(CounterRow(run=self.run, kind=ITERATION, name="", outcome=code, status=0, n=n))
        ended_second = ended // NS_PER_S
        self._errors(ITERATION, batches, column, ended_second)
        self.seconds = seconds_of(self.run, started // NS_PER_S, ended_second, outcome)
        scheduled = column.value_or_all("scheduled_ns")
        if not isinstance(scheduled, int) or scheduled >= 0:
            self._open_loop(
                batches,
                np.full(column.total, scheduled),
                started,
                ended,
                np.full(column.total, outcome),
                np.repeat(starts, column.counts),
            )
        if isinstance(outcome, int):
            if outcome == Outcome.DROPPED:
                return
        else:
            ran = outcome != Outcome.DROPPED
            if not ran.any():
                return
            started, ended, outcome, ended_second = started[ran], ended[ran], outcome[ran], ended_second[ran]
            idle = idle if isinstance(idle, int) else idle[ran]
        first, last = int(started.min()), int(ended.max())
        self.extents = (ExtentRow(run=self.run, first_started_ns=first, last_ended_ns=last),)
        cells = Cells(outcome, ended_second)
        named = self._outcome_series(cells)
        total = cells.histograms(_us(ended - started))
        self._add(TOTAL, named, total)
        # Where no iteration idled, the two durations are the same values.
        has_idled = bool(np.any(idle))
        self._add(ITERATION, named, cells.histograms(_us(ended - started - idle)) if has_idled else total)
        self._add(IDLE, named, cells.histograms(_us(np.full(len(ended), idle))) if has_idled else cells.zeros())

    def _open_loop(
        self,
        batches: list[BatchColumns],
        scheduled: Integers,
        started: Integers,
        ended: Integers,
        outcome: Integers,
        starts: Integers,
    ) -> None:
        """Response time and lag of the iterations that were scheduled and ran; `starts` is by row."""
        due = (scheduled >= 0) & (outcome != Outcome.DROPPED)
        if due.any():
            scheduled = (scheduled - starts)[due]
            started, ended, outcome = started[due], ended[due], outcome[due]
            _check_between(batches, "scheduled_ns", scheduled, -MAX_SPAN_NS, MAX_SPAN_NS)
            cells = Cells(outcome, ended // NS_PER_S)
            self._add(RESPONSE, self._outcome_series(cells), cells.histograms(_us(ended - scheduled)))
            cells = Cells(outcome, started // NS_PER_S)
            self._add(LAG, self._outcome_series(cells), cells.histograms(_us(started - scheduled)))

    @staticmethod
    def _outcome_series(cells: Cells) -> list[tuple[str, int, int, int]]:
        """Name, outcome, ordinal and second of each cell, where the series is nothing but an outcome."""
        pairs = zip(cells.series.tolist(), cells.seconds.tolist(), strict=True)
        return [("", outcome, 0, second) for outcome, second in pairs]

    def _add(self, kind: str, named: list[tuple[str, int, int, int]], histograms: list[Histogram]) -> None:
        for (name, outcome, ordinal, second), histogram in zip(named, histograms, strict=True):
            self.histograms.append(row_of(self.run, kind, name, outcome, ordinal, second, histogram))

    def _actions(self, batches: list[BatchColumns]) -> None:
        if not batches:
            return
        column = TableColumns(batches, "actions")
        starts = _starts(batches)
        outcome, ordinal = column.value_or_all("outcome"), column.value_or_all("ordinal")
        started, ended = column("started_ns", less=starts), column("ended_ns", less=starts)
        _check_stamps(batches, started, ended)
        _outcomes(batches, outcome, column.total)
        _check_between(batches, "ordinal", ordinal, 0, MAX_ACTIONS - 1)
        paths = self._name_numbers(batches, column)
        parent = column.value_or_all("parent")
        if not isinstance(parent, int) or parent != -1:
            paths = self._nested_paths(
                batches,
                np.full(column.total, paths),
                column("iteration"),
                column("ordinal"),
                column("parent"),
            )
        texts = list(self.names)
        series = paths * _OUTCOMES + outcome
        first_seen = np.full(len(texts) * _OUTCOMES, MAX_ACTIONS)
        if isinstance(series, int):
            first_seen[series] = np.min(ordinal)
        else:
            np.minimum.at(first_seen, series, ordinal)
        cells = Cells(series, ended // NS_PER_S)
        named = [
            (texts[code // _OUTCOMES], code % _OUTCOMES, int(first_seen[code]), second)
            for code, second in zip(cells.series.tolist(), cells.seconds.tolist(), strict=True)
        ]
        self._add(ACTION, named, cells.histograms(_us(ended - started)))

    def _nested_paths(
        self, batches: Sequence[BatchColumns], names: Integers, iteration: Integers, ordinal: Integers, parent: Integers
    ) -> Integers:
        """Join each name to its parent's path, outermost first.

        A parent has a smaller ordinal than its child, so that no chain has a loop, and is in the same batch.
        """
        if ((parent >= ordinal) | (parent < -1)).any():
            raise _bad(batches, "an action's parent does not come before it")
        # All actions of an iteration are in one batch; should two batches name the same iteration, they are kept apart.
        counts = [batch.header.actions for batch in batches]
        of_iteration = compact_pairs(np.repeat(np.arange(len(batches)), counts), iteration)
        keys, wanted = of_iteration * MAX_ACTIONS + ordinal, of_iteration * MAX_ACTIONS + parent
        order = np.argsort(keys, kind="stable")
        at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        parent_row = order[at]
        paths = names.copy()
        pending = np.flatnonzero(parent >= 0)
        if (keys[parent_row] != wanted)[pending].any():
            raise _bad(batches, "the action around an action is not in the same batch")
        is_done = parent < 0
        for _ in range(MAX_DEPTH):
            if not len(pending):
                return paths
            ready = is_done[parent_row[pending]]
            rows = pending[ready]
            paths[rows] = self._joined(paths[parent_row[rows]], names[rows])
            is_done[rows] = True
            pending = pending[~ready]
        raise _bad(batches, f"actions nest deeper than {MAX_DEPTH}")

    def _joined(self, outer: Integers, inner: Integers) -> Integers:
        """Numbers of the paths `outer/inner`."""
        bound = len(self.names)
        texts = list(self.names)
        present, positions, _ = compact(outer * bound + inner)
        numbers = []
        for code in present.tolist():
            path = f"{texts[code // bound]}/{texts[code % bound]}"[:NAME_CHARACTERS]
            numbers.append(self.names.setdefault(path, len(self.names)))
        joined: Integers = np.array(numbers, np.int64)[positions]
        return joined

    def _name_numbers(self, batches: Sequence[BatchColumns], column: TableColumns) -> Integers | int:
        """The batches' own numbers of names, in the rows of a table, as numbers in `self.names`."""
        tables: list[Integers] = []
        known: list[dict[int, str]] = []
        which = []
        for batch in batches:
            # Workers of one run mostly number their names alike.
            if batch.texts.names not in known:
                known.append(batch.texts.names)
                tables.append(self._numbers(batch))
            which.append(known.index(batch.texts.names))
        numbers = column.value_or_all("name")
        found: Integers | int
        if len(tables) > 1:
            sizes = np.array([len(table) for table in tables])
            begins = np.cumsum(sizes) - sizes
            places = np.minimum(numbers, np.repeat(sizes[which] - 1, column.counts))
            found = np.concatenate(tables).take(places + np.repeat(begins[which], column.counts))
        elif isinstance(numbers, int):
            found = int(tables[0][min(numbers, len(tables[0]) - 1)])
        else:
            found = tables[0].take(np.minimum(numbers, len(tables[0]) - 1))
        if int(np.min(found)) < 0:
            raise _bad(batches, f"a name is used in {column.table} that is not among the texts")
        return found

    def _numbers(self, batch: BatchColumns) -> Integers:
        """By a batch's own number of a name its number in `self.names`; -1 where there is none, and at the end."""
        names = batch.texts.names
        size = max(names, default=0) + 1
        if min(names, default=0) < 0 or size > 65_536:
            raise ProtocolError(f"batch {batch.header.key}: names are numbered 0 to 65535, found {size - 1}")
        numbers = np.full(size + 1, -1)
        for number, text in names.items():
            numbers[number] = self.names.setdefault(_clean(text)[:NAME_CHARACTERS], len(self.names))
        return numbers

    def _calls(self, batches: list[BatchColumns]) -> None:
        if not batches:
            return
        column = TableColumns(batches, "calls")
        starts = _starts(batches)
        outcome, status = column.value_or_all("outcome"), column.value_or_all("status")
        started, ended = column("started_ns", less=starts), column("ended_ns", less=starts)
        _check_stamps(batches, started, ended)
        _outcomes(batches, outcome, column.total)
        # The lowest bit of the flags: 0 or 1.
        renewal = column.value_or_all("flags") & CALL_RENEWAL
        names = self._name_numbers(batches, column)
        series = cast("Integers | int", (names * 2 + renewal) * _OUTCOMES + outcome)
        texts = list(self.names)
        second = ended // NS_PER_S
        self._call_counters(series, status, column.total, texts)
        self._errors(CALL, batches, column, second)
        first_byte = column("first_byte_us")
        self._call_histograms((CALL, RENEWAL), series, second, _us(ended - started), texts)
        answered = (first_byte > 0) & (renewal == 0)
        if answered.any():
            if not answered.all():
                series = series if isinstance(series, int) else series[answered]
                second, first_byte = second[answered], first_byte[answered]
            self._call_histograms((CALL_FIRST_BYTE, ""), series, second, first_byte, texts)

    def _call_histograms(
        self,
        kinds: tuple[str, str],
        series: Integers | int,
        second: Integers,
        values_us: Whole,
        texts: list[str],
    ) -> None:
        """Histograms of calls; `kinds` are those of the load's calls and of renewals."""
        cells = Cells(series, second)
        places = zip(cells.series.tolist(), cells.seconds.tolist(), cells.histograms(values_us), strict=True)
        for code, at_second, histogram in places:
            name, outcome, kind = code // (2 * _OUTCOMES), code % _OUTCOMES, kinds[code // _OUTCOMES % 2]
            self.histograms.append(row_of(self.run, kind, texts[name], outcome, 0, at_second, histogram))

    def _call_counters(self, series: Integers | int, status: Integers | int, rows: int, texts: list[str]) -> None:
        if isinstance(series, int) and isinstance(status, int):
            statuses, places = [status], [(series, rows)]
        else:
            found, status_at, _ = compact(np.full(rows, status))
            present, _, counts = compact(series * len(found) + status_at)
            statuses, places = found.tolist(), list(zip(present.tolist(), counts.tolist(), strict=True))
        for code, n in places:
            of_series, at = divmod(code, len(statuses))
            kind = RENEWAL if of_series // _OUTCOMES % 2 else CALL
            name = texts[of_series // (2 * _OUTCOMES)]
            outcome = of_series % _OUTCOMES
            self.counters.append(
                CounterRow(run=self.run, kind=kind, name=name, outcome=outcome, status=statuses[at], n=n)
            )

    def _errors(self, source: str, batches: list[BatchColumns], column: TableColumns, second: Integers) -> None:
        """Count the errors; few rows have one, so the loop is over distinct errors."""
        error = column("error")
        if not error.any():
            return
        iteration = column("iteration")
        begin = 0
        for batch in batches:
            end = begin + getattr(batch.header, column.table)
            numbers = error[begin:end]
            for number in np.unique(numbers[numbers != 0]).tolist():
                if number not in batch.texts.errors:
                    raise ProtocolError(f"batch {batch.header.key}: error {number} is used and not among its texts")
                kind, message = batch.texts.errors[number]
                rows = begin + np.flatnonzero(numbers == number)
                seconds = second[rows]
                self.errors.append(
                    ErrorRow(
                        run=self.run,
                        source=source,
                        kind=_clean(kind)[:128],
                        message=_clean(message),
                        n=len(rows),
                        first_second=int(seconds.min()),
                        last_second=int(seconds.max()),
                        iteration=int(iteration[rows].min()),
                    )
                )
            begin = end

    def _given_up(self) -> None:
        """Calls of which only histograms are left: they count like the others, with an unknown status."""
        given_up = [(batch, entry) for batch in self.batches for entry in batch.texts.histograms]
        if not given_up:
            return
        rows = {(row.kind, row.name, row.outcome, row.second): row for row in self.histograms}
        for batch, entry in given_up:
            name, histogram = _checked(batch, entry)
            row = row_of(self.run, CALL, name, entry.outcome, 0, entry.second, histogram)
            key = (row.kind, row.name, row.outcome, row.second)
            rows[key] = add_rows(rows[key], row) if key in rows else row
            self.counters.append(
                CounterRow(
                    run=self.run, kind=CALL, name=name, outcome=entry.outcome, status=STATUS_UNKNOWN, n=histogram.n
                )
            )
        self.histograms = list(rows.values())


def _us(span_ns: Integers) -> Whole:
    """Whole microseconds; a span that ended before it began counts as 0."""
    least, most = int(span_ns.min()), int(span_ns.max())
    if least >= 0 and most < 1 << 32:
        # Divided as 32 bits it takes a third of the time.
        return span_ns.astype(np.uint32) // np.uint32(1_000)
    microseconds: Integers = np.maximum(span_ns // 1_000, 0)
    return microseconds


def _clean(text: str) -> str:
    """NUL does not go into a text column of every database."""
    return text.replace("\x00", "\ufffd")


def _starts(batches: Sequence[BatchColumns]) -> Integers:
    """Start of the run on each batch's own clock."""
    return np.array([batch.header.start_ns for batch in batches], np.int64)


def _bad(batches: Sequence[BatchColumns], reason: str) -> ProtocolError:
    whose = f"batch {batches[0].header.key}" if len(batches) == 1 else f"one of {len(batches)} batches"
    return ProtocolError(f"{whose}: {reason}")


def _check_between(batches: Sequence[BatchColumns], field: str, values: Integers | int, low: int, high: int) -> None:
    least, most = int(np.min(values)), int(np.max(values))
    if least < low or most > high:
        raise _bad(batches, f"{field} is between {least} and {most}; {low} to {high} are taken")


def _check_stamps(batches: Sequence[BatchColumns], *stamps: Integers) -> None:
    for values in stamps:
        _check_between(batches, "a stamp after the start of the run, in ns,", values, -MAX_SPAN_NS, MAX_SPAN_NS)


def _outcomes(batches: Sequence[BatchColumns], outcome: Integers | int, rows: int) -> list[tuple[int, int]]:
    """How often each outcome occurs, checked."""
    if isinstance(outcome, int):
        found = [(outcome, rows)]
    else:
        found = [(code, n) for code, n in enumerate(np.bincount(outcome).tolist()) if n]
    strange = sorted({code for code, _ in found} - _WRITTEN)
    if strange:
        raise _bad(batches, f"outcomes {strange} are not written by an agent")
    return found


def _checked(batch: BatchColumns, entry: CallHistogram) -> tuple[str, Histogram]:
    """Name and counts of a histogram from a tail, within their bounds."""
    pairs = sorted(zip(entry.spans[::2], entry.spans[1::2], strict=True))
    buckets = [bucket for bucket, _ in pairs]
    n = sum(count for _, count in pairs)
    fine = (
        0 < n <= _MAX_COUNT
        and min(count for _, count in pairs) > 0
        and len(set(buckets)) == len(buckets)
        and buckets[0] >= 0
        and buckets[-1] < BUCKETS
        and entry.outcome in _WRITTEN
        and -MAX_SECOND <= entry.second <= MAX_SECOND
        and 0 <= entry.min_us <= entry.max_us <= _MAX_VALUE_US
        and n * entry.min_us <= entry.sum_us <= n * entry.max_us
        and entry.name in batch.texts.names
    )
    if not fine:
        raise ProtocolError(f"batch {batch.header.key}: a histogram of its tail is out of bounds: {entry!r:.200}")
    counts = np.array([count for _, count in pairs], np.int64)
    histogram = Histogram(np.array(buckets, np.int64), counts, n, entry.sum_us, entry.min_us, entry.max_us)
    return _clean(batch.texts.names[entry.name])[:NAME_CHARACTERS], histogram
