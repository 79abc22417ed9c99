"""`osbench-coordinator db`: what an operator does with the database itself.

Rules: a password comes from the environment or a file of the driver's (~/.pgpass), never from the command line, and is in
no message.
"""

import os

import click

from osbench.common.error import InputError
from osbench.coordinator.home import ENVIRONMENT_DATABASE, open_home

EPILOG = """\b
Examples:
  osbench-coordinator db upgrade
  osbench-coordinator db upgrade --database postgresql://osbench@db.example.org/osbench
  OSBENCH_DATABASE=mariadb://osbench:SECRET@127.0.0.1/osbench osbench-coordinator db upgrade

\b
Without OSBENCH_DATABASE the database is the SQLite file in the home. Set the same for start and for osbench.
An upgrade is done by whatever opens an older database, too; on MariaDB it is not one transaction: copy it before.
"""


@click.group("db", epilog=EPILOG)
def db() -> None:
    """Work on the database: SQLite, PostgreSQL or MariaDB."""


@db.command(epilog=EPILOG)
@click.option("--database", metavar="URL", help="File or URL without a password.  [env: OSBENCH_DATABASE]")
@click.pass_context
def upgrade(context: click.Context, database: str | None) -> None:
    """Bring the database's schema to this release's, and say from what to what."""
    from osbench.coordinator.store.database import Database, has_password
    from osbench.coordinator.store.migrate import upgrade as upgrade_schema
    from osbench.coordinator.store.schema import SCHEMA_VERSION

    if database is not None and has_password(database):
        raise InputError(
            f"--database has a password in it, which every user of this machine can see; set {ENVIRONMENT_DATABASE}"
        )
    opened = Database(database or open_home(context.obj, os.environ).database)
    try:
        before = upgrade_schema(opened)
    finally:
        opened.close()
    if before is None:
        click.echo(f"Database {opened.where} has schema {SCHEMA_VERSION} already.")
    else:
        click.echo(f"Database {opened.where} upgraded from schema {before} to {SCHEMA_VERSION}.")
