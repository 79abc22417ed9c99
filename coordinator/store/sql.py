"""Stage 8/10 · The store in SQL: SQLite embedded, PostgreSQL and MariaDB by URL.

Rules: the parts are one module for each kind of thing; this one puts them together and opens the database.
"""

from pathlib import Path

from sqlalchemy import text

from osbench.common.clock import Clock
from osbench.coordinator.store.database import Database
from osbench.coordinator.store.migrate import upgrade
from osbench.coordinator.store.secrets import Vault
from osbench.coordinator.store.sql_agent_keys import SqlAgentKeys
from osbench.coordinator.store.sql_deployments import SqlDeployments
from osbench.coordinator.store.sql_records import SqlRecords
from osbench.coordinator.store.sql_resources import SqlResources
from osbench.coordinator.store.sql_runs import SqlRuns
from osbench.coordinator.store.sql_tasks import SqlTasks


class SqlStore(SqlDeployments, SqlTasks, SqlRuns, SqlResources, SqlAgentKeys, SqlRecords):
    """The adapter of contract.Store, and of contract.Compacting on SQLite."""

    @property
    def path(self) -> Path | None:
        """The SQLite file; None for a server."""
        return self._database.path

    def close(self) -> None:
        self._database.close()

    def compact(self) -> int:
        if self._database.path is None:
            return 0
        with self._database.outside() as connection:
            connection.execute(text("VACUUM"))
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        return self._database.path.stat().st_size


def open_store(url: str | Path, *, clock: Clock, key_file: Path | None = None) -> SqlStore:
    """Open a database and bring its schema to this release's.

    Args:
        url: path of a SQLite file (made, 0600, if it is not there), or a URL of SQLAlchemy.
        clock: gives the wall time of rows.
        key_file: of the secrets; by default beside the SQLite file, `<file>.key`. A server needs one to be named, as
            soon as a secret is to be stored.

    Raises:
        StoreError: it cannot be opened, or its schema is newer than this release.
    """
    database = Database(url)
    if key_file is None and database.path is not None:
        key_file = database.path.with_name(database.path.name + ".key")
    try:
        upgrade(database)
    except BaseException:
        database.close()
        raise
    return SqlStore(database, clock, Vault(key_file))
