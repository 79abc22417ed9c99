"""One database, whichever it is: connections, transactions, and the few statements that differ between databases.

Rules: the only module that asks for the dialect. Every transaction goes through `reading` or `writing`; an error of the
driver leaves them as a StoreError. SQLite: WAL, synchronous=FULL, foreign keys on; a writer takes the write lock when
it begins, so it never fails half way for having read before.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, make_url
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.sql.dml import Insert

from osbench.common.error import StoreError

#: How long a writer waits for another process's transaction.
BUSY_TIMEOUT_MS = 30_000
#: Pages larger than the default make blobs of some 10 kB cheaper; it only takes effect in a new file.
PAGE_BYTES = 8_192


class Database:
    """An open database.

    Attributes:
        path: of the SQLite file; None for a server.
        where: the URL without its password, for messages.
    """

    def __init__(self, url: str | Path) -> None:
        parsed = _parse(url)
        self.where = parsed.render_as_string(hide_password=True)
        self.path = Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
        with _translated(self.where):
            if parsed.get_backend_name() == "sqlite":
                if self.path is None:
                    raise StoreError(f"database {self.where}: name a file; what is only in memory is not kept")
                _make_private(self.path)
                self.engine = create_engine(parsed)
                _prepare_sqlite(self.engine)
            else:
                self.engine = create_engine(parsed, pool_pre_ping=True)
        self.dialect = self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads: one consistent view."""
        with _translated(self.where), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; committed and durable at its end, undone by any exception."""
        with (
            _translated(self.where),
            self.engine.connect().execution_options(osbench_begin="BEGIN IMMEDIATE") as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def outside(self) -> Iterator[Connection]:
        """A connection without a transaction, for the statements that must not be in one."""
        with _translated(self.where), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT", osbench_begin=None)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def insert_new(self, table: Table) -> Insert:
        """An insert that leaves a row with the same unique key alone; rowcount tells."""
        if self.dialect == "sqlite":
            return sqlite.insert(table).on_conflict_do_nothing()
        if self.dialect == "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing()
        return mysql.insert(table).prefix_with("IGNORE")

    def in_driver_words(self, insert: Insert, columns: Sequence[str]) -> tuple[str, tuple[str, ...] | None]:
        """An insert for `exec_driver_sql`, which takes rows as they are: for many rows of plain values.

        Args:
            columns: those that are given a value.

        Returns:
            The text, and the order of the values in a row; None where rows are dicts.
        """
        compiled = insert.compile(self.engine, column_keys=list(columns))
        return str(compiled), None if compiled.positiontup is None else tuple(compiled.positiontup)

    def add_up(
        self, table: Table, *, sums: Sequence[str] = (), least: Sequence[str] = (), most: Sequence[str] = ()
    ) -> Insert:
        """An insert that, where the primary key is there, adds to it, or takes the smaller or the larger value."""
        return self._upsert(
            table, {**dict.fromkeys(sums, "+"), **dict.fromkeys(least, "<"), **dict.fromkeys(most, ">")}
        )

    def replace(self, table: Table) -> Insert:
        """An insert that, where the primary key is there, replaces all other columns."""
        keys = {column.name for column in table.primary_key}
        return self._upsert(table, {column.name: "=" for column in table.columns if column.name not in keys})

    def _upsert(self, table: Table, columns: Mapping[str, str]) -> Insert:
        if self.dialect in ("mysql", "mariadb"):
            statement = mysql.insert(table)
            return statement.on_duplicate_key_update(
                {name: self._joined(table.c[name], statement.inserted[name], how) for name, how in columns.items()}
            )
        insert: Any = sqlite.insert if self.dialect == "sqlite" else postgresql.insert
        conflicting = insert(table)
        values = {name: self._joined(table.c[name], conflicting.excluded[name], how) for name, how in columns.items()}
        found: Insert = conflicting.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)
        return found

    def _joined(self, old: Any, new: Any, how: str) -> Any:
        if how == "=":
            return new
        if how == "+":
            return old + new
        if self.dialect == "sqlite":
            return func.min(old, new) if how == "<" else func.max(old, new)
        return func.least(old, new) if how == "<" else func.greatest(old, new)


def _parse(url: str | Path) -> URL:
    if isinstance(url, Path) or "://" not in url:
        return URL.create("sqlite", database=str(url))
    try:
        return make_url(url)
    except ArgumentError:
        # Not shown: it may hold a password.
        raise StoreError("the database URL cannot be read; it is like sqlite:////path or postgresql://…") from None


def _make_private(path: Path) -> None:
    """The file is there before SQLite opens it, readable by its owner alone; its WAL gets the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"database {path} cannot be opened: {error.strerror}") from error


def _prepare_sqlite(engine: Engine) -> None:
    """Have SQLAlchemy begin transactions itself: the driver's own way begins them too late and cannot say IMMEDIATE."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get("osbench_begin", "BEGIN")
        if statement is not None:
            connection.exec_driver_sql(statement)


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except (NoSuchModuleError, ImportError) as error:
        raise StoreError(f"database {where}: its driver is not installed ({error})") from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        # Only the driver's own words: the statement's parameters may hold anything.
        cause = getattr(error, "orig", None) or type(error).__name__
        raise StoreError(f"database {where}: {cause}") from error
