"""Bring a database to the schema of this release, or refuse it.

Rules: an empty or older database is upgraded when it is opened, in one transaction where the database can do so; a
newer one is refused and left as it is. Alembic is imported only if there is something to do.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from osbench.common.error import StoreError
from osbench.coordinator.store.database import Database
from osbench.coordinator.store.schema import SCHEMA_VERSION, metadata

MIGRATIONS = Path(__file__).parent / "migrations"


def schema_version(connection: Connection) -> str | None:
    """Version of the schema in the database; None if it has none of our tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def upgrade(database: Database, to: str = SCHEMA_VERSION) -> str | None:
    """Bring the schema to a version: that of this release, unless a test wants one before.

    Returns:
        The version before, if something had to be done; None otherwise. An empty database is version `0000`.

    Raises:
        StoreError: the database is newer than this release, or not one of ours.
    """
    with database.reading() as connection:
        if schema_version(connection) == to:
            return None
    with database.writing() as connection:
        # Looked at again under the write lock: another process may have been faster.
        found = schema_version(connection)
        if found == to:
            return None
        _check(database, connection, found)
        _run_alembic(connection, to)
    return found or "0000"


def _check(database: Database, connection: Connection, found: str | None) -> None:
    if found is None:
        tables = inspect(connection).get_table_names()
        if "alembic_version" in tables and set(tables) <= {"alembic_version", *metadata.tables}:
            raise StoreError(
                f"database {database.where}: making its tables was cut off, and it holds nothing yet; "
                "drop the database and create it anew"
            )
        if tables:
            raise StoreError(f"database {database.where} has tables of something else ({', '.join(tables[:3])}…)")
    elif not (found.isdigit() and len(found) == len(SCHEMA_VERSION)) or found > SCHEMA_VERSION:
        raise StoreError(
            f"database {database.where} has schema version {found}, this release knows up to {SCHEMA_VERSION}: "
            "use the release that wrote it, or a newer one"
        )


def _run_alembic(connection: Connection, to: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # The configuration expands %, which may stand in a path.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
