"""Stage 8/10 · Batches and what is derived from them in SQL.

Rules: `batches_add` is one transaction. What it adds to is read and written under the lock of the run's row (on SQLite
under the database's write lock), so two ingests at once add up.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any

from msgspec.structs import asdict, astuple, replace
from sqlalchemy import BigInteger, Connection, bindparam, cast, func, select, tuple_

from osbench.common.clock import Clock
from osbench.common.error import NotFoundError
from osbench.common.record import BatchHeader
from osbench.coordinator.histogram_rows import add_rows
from osbench.coordinator.store.database import Database
from osbench.coordinator.store.schema import (
    batches,
    counters,
    errors,
    extents,
    health,
    histograms,
    hosts,
    runs,
    seconds,
    series,
)
from osbench.coordinator.store.secrets import Vault
from osbench.coordinator.store.sql_part import SqlPart, columns_of
from osbench.coordinator.store.values import (
    BatchTotals,
    CounterRow,
    Derived,
    ErrorRow,
    ExtentRow,
    HealthSecond,
    HistogramRow,
    HostSecond,
    SecondRow,
    StoredBatch,
)

#: Rows fetched at a time by the iterators, each time in a transaction of its own.
PAGE_BATCHES = 32
PAGE_HISTOGRAMS = 2_000
#: Distinct errors kept apart in a run; what comes after them is counted under FURTHER.
MAX_ERRORS = 5_000
FURTHER = "(further messages)"

_Key = tuple[str, str, str, int]


class _Insert:
    """An insert of many rows of plain values in the driver's own words, which spares SQLAlchemy's work on each row."""

    def __init__(self, database: Database, insert: Any, fields: Sequence[str]) -> None:
        self.text, order = database.in_driver_words(insert, fields)
        self._fields = fields
        self._sorted = None if order is None or order == tuple(fields) else itemgetter(*map(fields.index, order))
        self._is_named = order is None

    def rows(self, values: Iterable[Sequence[Any]]) -> list[Any]:
        """Rows for the driver; `values` are in the order of the fields."""
        if self._is_named:
            return [dict(zip(self._fields, row, strict=True)) for row in values]
        return list(values) if self._sorted is None else list(map(self._sorted, values))

    def run(self, connection: Connection, values: Iterable[Sequence[Any]]) -> None:
        connection.exec_driver_sql(self.text, self.rows(values))


class _Statements:
    """The statements of a commit, built once: building one takes longer than running it."""

    def __init__(self, database: Database) -> None:
        up = database.add_up
        self.batches = _Insert(database, database.insert_new(batches), (*BatchHeader._fields, "body"))
        self.series = database.insert_new(series)
        self.histograms = _Insert(
            database, database.replace(histograms), [column.name for column in histograms.columns]
        )
        self.errors = up(errors, sums=("n",), least=("first_second", "iteration"), most=("last_second",))
        self.counters = _Insert(database, up(counters, sums=("n",)), CounterRow.__struct_fields__)
        sums = ("started", "ended", "failed", "dropped")
        self.seconds = _Insert(database, up(seconds, sums=sums), SecondRow.__struct_fields__)
        extent = up(extents, least=("first_started_ns",), most=("last_ended_ns",))
        self.extents = _Insert(database, extent, ExtentRow.__struct_fields__)
        self.health = _Insert(database, health.insert(), HealthSecond.__struct_fields__)
        self.hosts = _Insert(database, hosts.insert(), HostSecond.__struct_fields__)
        self.stored = select(*histograms.columns).where(
            histograms.c.series.in_(bindparam("numbers", expanding=True)),
            histograms.c.second.between(bindparam("first"), bindparam("last")),
        )


class SqlRecords(SqlPart):
    """The verbs of contract.Records."""

    def __init__(self, database: Database, clock: Clock, vault: Vault) -> None:
        super().__init__(database, clock, vault)
        self._statements = _Statements(database)
        #: Numbers of series by (run, kind, name, outcome), with the ordinal stored: only what was committed.
        self._series: dict[_Key, tuple[int, int]] = {}

    def batches_add(self, added: Sequence[StoredBatch], derive: Callable[[Sequence[int]], Derived]) -> Sequence[int]:
        learned: dict[_Key, tuple[int, int]] = {}
        with self._database.writing() as connection:
            of = sorted({batch.header.run for batch in added})
            locked = connection.execute(select(runs.c.id).where(runs.c.id.in_(of)).with_for_update()).scalars().all()
            if len(locked) < len(of):
                raise NotFoundError(f"runs {sorted(set(of) - set(locked))} are not in the store")
            new = self._insert_new(connection, added)
            if new:
                self._add_derived(connection, derive(new), learned)
        self._series.update(learned)
        return new

    def _insert_new(self, connection: Connection, added: Sequence[StoredBatch]) -> list[int]:
        """Insert those that are not there; their positions.

        All at once, which is right when all are new; where some are not, undone and one by one, to learn which.
        """
        text = self._statements.batches.text
        rows = self._statements.batches.rows((*batch.header, batch.body) for batch in added)
        savepoint = connection.begin_nested()
        if connection.exec_driver_sql(text, rows).rowcount == len(rows):
            savepoint.commit()
            return list(range(len(rows)))
        savepoint.rollback()
        return [position for position, row in enumerate(rows) if connection.exec_driver_sql(text, row).rowcount == 1]

    def _add_derived(self, connection: Connection, derived: Derived, learned: dict[_Key, tuple[int, int]]) -> None:
        self._add_histograms(connection, derived.histograms, learned)
        for statement, rows in (
            (self._statements.counters, derived.counters),
            (self._statements.seconds, derived.seconds),
            (self._statements.extents, derived.extents),
            (self._statements.health, derived.health),
            (self._statements.hosts, derived.hosts),
        ):
            if rows:
                statement.run(connection, map(astuple, rows))
        if derived.errors:
            self._add_errors(connection, derived.errors)

    def _add_histograms(
        self, connection: Connection, rows: Sequence[HistogramRow], learned: dict[_Key, tuple[int, int]]
    ) -> None:
        """Add to the rows that are there, insert the others."""
        places = [((self._series_number(connection, row, learned), row.second), row) for row in rows]
        if not places:
            return
        numbers = {number for (number, _), _ in places}
        first, last = min(second for (_, second), _ in places), max(second for (_, second), _ in places)
        wanted = {"numbers": sorted(numbers), "first": first, "last": last}
        before = {(row.series, row.second): row for row in connection.execute(self._statements.stored, wanted)}
        merged = []
        for (number, second), row in places:
            old = before.get((number, second))
            total = row if old is None else add_rows(row, _stored_histogram(row, old))
            merged.append((number, second, total.n, total.sum_us, total.min_us, total.max_us, total.spans))
        self._statements.histograms.run(connection, merged)

    def _series_number(self, connection: Connection, row: HistogramRow, learned: dict[_Key, tuple[int, int]]) -> int:
        key = (row.run, row.kind, row.name, row.outcome)
        known = learned.get(key) or self._series.get(key)
        if known is not None and known[1] <= row.ordinal:
            return known[0]
        fields = {"run": row.run, "kind": row.kind, "name": row.name, "outcome": row.outcome}
        connection.execute(self._statements.series, {**fields, "ordinal": row.ordinal})
        wanted = [series.c[name] == value for name, value in fields.items()]
        number, ordinal = connection.execute(select(series.c.number, series.c.ordinal).where(*wanted)).one()
        if ordinal > row.ordinal:
            ordinal = row.ordinal
            connection.execute(series.update().where(series.c.number == number).values(ordinal=ordinal))
        learned[key] = (number, ordinal)
        return int(number)

    def _add_errors(self, connection: Connection, rows: Sequence[ErrorRow]) -> None:
        for run in sorted({row.run for row in rows}):
            of_run = select(errors.c.source, errors.c.digest).where(errors.c.run == run)
            known = {tuple(row) for row in connection.execute(of_run)}
            for row in map(_without_nul, (row for row in rows if row.run == run)):
                digest = _digest(row.kind, row.message)
                if (row.source, digest) not in known and len(known) >= MAX_ERRORS:
                    row = ErrorRow(**{**asdict(row), "kind": FURTHER, "message": FURTHER})
                    digest = _digest(FURTHER, FURTHER)
                known.add((row.source, digest))
                connection.execute(self._statements.errors, {**asdict(row), "digest": digest})

    def runs_known(self, wanted: Sequence[str]) -> frozenset[str]:
        with self._database.reading() as connection:
            return frozenset(connection.execute(select(runs.c.id).where(runs.c.id.in_(wanted))).scalars())

    def batch_totals(self, run: str) -> Sequence[BatchTotals]:
        b = batches.c
        # Sums are decimals on some databases.
        statement = (
            select(
                b.agent,
                b.life,
                b.worker,
                func.count().label("batches"),
                func.max(b.seq).label("last_seq"),
                *(cast(func.sum(b[name]), BigInteger).label(name) for name in ("iterations", "actions", "calls")),
                cast(func.sum(func.length(b.body)), BigInteger).label("body_bytes"),
            )
            .where(b.run == run)
            .group_by(b.agent, b.life, b.worker)
            .order_by(b.agent, b.life, b.worker)
        )
        with self._database.reading() as connection:
            return [BatchTotals(**row._mapping) for row in connection.execute(statement)]

    def batch_seqs(self, run: str, agent: str, life: int, worker: int) -> Sequence[int]:
        b = batches.c
        wanted = (b.run == run, b.agent == agent, b.life == life, b.worker == worker)
        with self._database.reading() as connection:
            return connection.execute(select(b.seq).where(*wanted).order_by(b.seq)).scalars().all()

    def batch_iterate(self, run: str) -> Iterator[StoredBatch]:
        columns = [batches.c[field] for field in BatchHeader._fields]
        last = -1
        while True:
            statement = (
                select(batches.c.number, batches.c.body, *columns)
                .where(batches.c.run == run, batches.c.number > last)
                .order_by(batches.c.number)
                .limit(PAGE_BATCHES)
            )
            with self._database.reading() as connection:
                page = connection.execute(statement).all()
            for number, body, *fields in page:
                last = number
                yield StoredBatch(BatchHeader(*fields), body)
            if len(page) < PAGE_BATCHES:
                return

    def histogram_iterate(
        self, run: str, *, kinds: Sequence[str] | None = None, first_second: int | None = None
    ) -> Iterator[HistogramRow]:
        wanted: list[Any] = [series.c.run == run]
        if kinds is not None:
            wanted.append(series.c.kind.in_(kinds))
        if first_second is not None:
            wanted.append(histograms.c.second >= first_second)
        columns = (series.c.kind, series.c.name, series.c.outcome, series.c.ordinal)
        values = [column for column in histograms.columns if column.name != "series"]
        place = (histograms.c.series, histograms.c.second)
        last: tuple[int, int] | None = None
        while True:
            statement = select(histograms.c.series, *columns, *values).join(series).where(*wanted).order_by(*place)
            if last is not None:
                statement = statement.where(tuple_(*place) > last)
            with self._database.reading() as connection:
                page = connection.execute(statement.limit(PAGE_HISTOGRAMS)).all()
            for row in page:
                fields = dict(row._mapping)
                last = (fields.pop("series"), row.second)
                yield HistogramRow(run=run, **fields)
            if len(page) < PAGE_HISTOGRAMS:
                return

    def counter_list(self, run: str) -> Sequence[CounterRow]:
        c = counters.c
        statement = select(*counters.columns).where(c.run == run).order_by(c.kind, c.name, c.outcome, c.status)
        with self._database.reading() as connection:
            return [CounterRow(**row._mapping) for row in connection.execute(statement)]

    def second_list(self, run: str) -> Sequence[SecondRow]:
        statement = select(*seconds.columns).where(seconds.c.run == run).order_by(seconds.c.second)
        with self._database.reading() as connection:
            return [SecondRow(**row._mapping) for row in connection.execute(statement)]

    def error_list(self, run: str) -> Sequence[ErrorRow]:
        e = errors.c
        statement = select(*columns_of(errors, "digest")).where(e.run == run).order_by(e.n.desc(), e.source, e.digest)
        with self._database.reading() as connection:
            return [ErrorRow(**row._mapping) for row in connection.execute(statement)]

    def extent_get(self, run: str) -> ExtentRow | None:
        with self._database.reading() as connection:
            row = connection.execute(select(*extents.columns).where(extents.c.run == run)).first()
            return None if row is None else ExtentRow(**row._mapping)

    def health_list(self, run: str) -> Sequence[HealthSecond]:
        h = health.c
        statement = select(*columns_of(health)).where(h.run == run)
        with self._database.reading() as connection:
            rows = connection.execute(statement.order_by(h.second, h.agent, h.life, h.worker, h.number))
            return [HealthSecond(**row._mapping) for row in rows]

    def host_list(self, run: str) -> Sequence[HostSecond]:
        h = hosts.c
        statement = select(*columns_of(hosts)).where(h.run == run)
        with self._database.reading() as connection:
            rows = connection.execute(statement.order_by(h.second, h.agent, h.life, h.number))
            return [HostSecond(**row._mapping) for row in rows]


def _without_nul(row: ErrorRow) -> ErrorRow:
    """PostgreSQL's texts cannot hold NUL: what a cloud says in its errors must not stop the batch it came with."""
    if "\0" not in row.kind + row.message:
        return row
    return replace(row, kind=row.kind.replace("\0", "\ufffd"), message=row.message.replace("\0", "\ufffd"))


def _stored_histogram(row: HistogramRow, old: Any) -> HistogramRow:
    """A stored row of the same series and second."""
    return HistogramRow(
        run=row.run,
        kind=row.kind,
        name=row.name,
        outcome=row.outcome,
        ordinal=row.ordinal,
        second=row.second,
        n=old.n,
        sum_us=old.sum_us,
        min_us=old.min_us,
        max_us=old.max_us,
        spans=old.spans,
    )


def _digest(kind: str, message: str) -> str:
    return blake2b(f"{kind}\x00{message}".encode(), digest_size=16).hexdigest()
