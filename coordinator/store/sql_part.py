"""What the parts of the SQL adapter share: the database, the clock, the vault, and rows to values."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from sqlalchemy import Column, Connection, Table, select

from osbench.common.clock import Clock
from osbench.common.error import NotFoundError, StoreError
from osbench.coordinator.store.database import Database
from osbench.coordinator.store.schema import meta
from osbench.coordinator.store.secrets import Vault

Value = TypeVar("Value")

_KEY_MARK = "key_mark"


class SqlPart:
    """Base of the parts: verbs over one database."""

    def __init__(self, database: Database, clock: Clock, vault: Vault) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault

    def _open_vault(self, connection: Connection, *, to_seal: bool) -> Vault:
        """The vault, with the key of this database.

        Raises:
            StoreError: the key file is missing or is not the one this database was begun with.
        """
        stored = connection.execute(select(meta.c.value).where(meta.c.name == _KEY_MARK)).scalar()
        mark = self._vault.mark(may_make=stored is None and to_seal)
        if stored is None and to_seal:
            connection.execute(meta.insert().values(name=_KEY_MARK, value=mark))
        elif stored != mark:
            raise StoreError(f"the key file is not the one that database {self._database.where} was begun with")
        return self._vault

    def _seal(self, connection: Connection, value: Mapping[str, Any]) -> bytes:
        return self._open_vault(connection, to_seal=True).seal(value)

    def _unseal(self, connection: Connection, token: bytes | None) -> dict[str, Any]:
        if token is None:
            return {}
        found: dict[str, Any] = self._open_vault(connection, to_seal=False).unseal(token)
        return found


def new_id() -> str:
    """A new id: uuid4."""
    return str(uuid4())


def to_json(value: Any) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()


def from_json(text: str, kind: type[Value]) -> Value:
    """JSON text from the database to a value.

    Raises:
        StoreError: it is not such a value; the row was written by something else.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise StoreError(f"a stored {kind.__name__} cannot be read: {error}") from error


def columns_of(table: Table, *left_out: str) -> list[Column[Any]]:
    """All columns but some: blobs that are not asked for, and the row's own number."""
    return [column for column in table.columns if column.name not in (*left_out, "number")]


#: What the command line lists.
LISTED = ("deployment", "task")


def found(row: Value | None, what: str, reference: str) -> Value:
    """The row.

    Raises:
        NotFoundError: there is none.
    """
    if row is None:
        cure = f"; `osbench {what} list` shows all" if what in LISTED else ""
        raise NotFoundError(f"{what} {reference!r:.80} is not in the store{cure}")
    return row


def run_number_check(connection: Connection, runs: Table, run: str) -> None:
    """Refuse a run that is not there.

    Raises:
        NotFoundError: it is not there.
    """
    found(connection.execute(select(runs.c.number).where(runs.c.id == run)).first(), "run", run)


def conditions(table: Table, wanted: Mapping[str, str | None]) -> Sequence[Any]:
    """Equality with all that is not None."""
    return [table.c[name] == value for name, value in wanted.items() if value is not None]
