"""One database, whichever it is: connections, transactions, and the few statements that differ between databases.

Rules: the only module that asks for the dialect. Every transaction goes through `reading` or `writing`; an error of the
driver leaves them as a StoreError. Everywhere a reader sees one state of the database, and a writer takes the one write
lock when it begins, so writers never fail half way for having read before, nor lock one another up. SQLite: WAL,
synchronous=FULL, foreign keys on. PostgreSQL: an advisory lock of the transaction. MariaDB: a named lock of the session,
which also holds while a migration commits by itself.
"""

import os
import sqlite3
import time
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
#: Backend to the driver it gets where the URL names none, and the extra that installs it.
DRIVERS: Mapping[str, tuple[str, str]] = {
    "postgresql": ("psycopg", "postgresql"),
    "mysql": ("pymysql", "mariadb"),
    "mariadb": ("pymysql", "mariadb"),
}
#: "osbench" in ASCII: advisory locks are numbers, one set for each database.
_LOCK_NUMBER = int.from_bytes(b"osbench", "big")
#: Named locks are the whole server's, so the database is part of the name; 64 characters at most.
_LOCK_NAME = "CONCAT('osbench.', MD5(DATABASE()))"
#: MariaDB's errors where a packet was too large: said so, or only a connection cut while it was sent.
_PACKET_ERRORS = (1153, 2006, 2013)


class Database:
    """An open database.

    Attributes:
        path: of the SQLite file; None for a server.
        where: the URL without its password, for messages.
    """

    def __init__(self, url: str | Path) -> None:
        parsed = _parse(url)
        self.where = parsed.set(query={}).render_as_string(hide_password=True)
        self._extra = DRIVERS.get(parsed.get_backend_name(), ("", ""))[1]
        self.path = Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
        with self._translated():
            if parsed.get_backend_name() == "sqlite":
                if self.path is None:
                    raise StoreError(f"database {self.where}: name a file; what is only in memory is not kept")
                _make_private(self.path)
                self.engine = create_engine(parsed)
                _prepare_sqlite(self.engine)
            else:
                self.engine = _create_server_engine(parsed)
        self.dialect = self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads: one consistent view."""
        with self._translated(), self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; committed and durable at its end, undone by any exception."""
        with (
            self._translated(),
            self.engine.connect().execution_options(osbench_begin="BEGIN IMMEDIATE") as connection,
            self._alone(connection),
        ):
            yield connection

    @contextmanager
    def _alone(self, connection: Connection) -> Iterator[None]:
        """A transaction under the write lock, which is freed after the commit."""
        if self.dialect not in ("mysql", "mariadb"):
            with connection.begin():
                if self.dialect == "postgresql":
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_TIMEOUT_MS}")
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})")
                yield
            return
        try:
            with connection.begin():
                locked = f"SELECT GET_LOCK({_LOCK_NAME}, {BUSY_TIMEOUT_MS // 1_000})"
                if connection.exec_driver_sql(locked).scalar() != 1:
                    raise StoreError(f"database {self.where}: another writer did not end within {BUSY_TIMEOUT_MS} ms")
                yield
        finally:
            # A connection that was cut has lost its lock with it.
            if not connection.invalidated:
                connection.exec_driver_sql(f"SELECT RELEASE_LOCK({_LOCK_NAME})")

    @contextmanager
    def outside(self) -> Iterator[Connection]:
        """A connection without a transaction, for the statements that must not be in one."""
        with self._translated(), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT", osbench_begin=None)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (NoSuchModuleError, ImportError) as error:
            cure = f"; pip install 'osbench[{self._extra}]'" if self._extra else ""
            raise StoreError(f"database {self.where}: its driver is not installed ({error}){cure}") from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            # Only the driver's own words: the statement's parameters may hold anything.
            cause = getattr(error, "orig", None) or type(error).__name__
            raise StoreError(f"database {self.where}: {cause}{_packet_cure(cause)}") from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def insert_new(self, table: Table) -> Insert:
        """An insert that leaves a row with the same unique key alone; rowcount tells."""
        insert: Insert
        if self.dialect == "sqlite":
            insert = sqlite.insert(table).on_conflict_do_nothing()
        elif self.dialect == "postgresql":
            # Inline: without asking for the key, which would make rowcount that of the answer.
            insert = postgresql.insert(table).on_conflict_do_nothing().inline()
        else:
            insert = mysql.insert(table).prefix_with("IGNORE")
        return insert.execution_options(preserve_rowcount=True)

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
        parsed = make_url(url)
    except ArgumentError:
        # Not shown: it may hold a password.
        raise StoreError("the database URL cannot be read; it is like sqlite:////path or postgresql://…") from None
    if parsed.drivername in DRIVERS:
        parsed = parsed.set(drivername=f"{parsed.drivername}+{DRIVERS[parsed.drivername][0]}")
    return parsed


def _set_wal(cursor: Any) -> None:
    """Of two that open a new file at once SQLite turns one away here without waiting, whatever the timeout."""
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1_000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def has_password(url: str) -> bool:
    """Whether a database's URL holds a password, wherever it may stand in it."""
    parsed = _parse(url)
    return parsed.password is not None or bool({"password", "passwd"} & {key.lower() for key in parsed.query})


def _create_server_engine(url: URL) -> Engine:
    """An engine that takes no setting that matters from how the server happens to be configured."""
    if url.get_backend_name() not in ("mysql", "mariadb"):
        return create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED")
    # Repeatable read: one consistent view. Traditional: what does not fit a column is an error, never cut off.
    words = {"charset": "utf8mb4", "sql_mode": "TRADITIONAL"} if url.get_driver_name() == "pymysql" else {}
    return create_engine(url, pool_pre_ping=True, isolation_level="REPEATABLE READ", connect_args=words)


def _packet_cure(cause: Any) -> str:
    number = cause.args[0] if isinstance(cause, Exception) and cause.args else None
    if number not in _PACKET_ERRORS:
        return ""
    return "; if it was while a large batch was stored, raise the server's max_allowed_packet (64M is plenty)"


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
        _set_wal(cursor)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get("osbench_begin", "BEGIN")
        if statement is not None:
            connection.exec_driver_sql(statement)
