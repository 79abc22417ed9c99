"""The tables, for every database: what they are in the newest schema version.

Rules: migrations/ makes these tables; a test holds the two together. A change here needs a new migration, a new
`SCHEMA_VERSION` and a golden file of the version before. Blobs come last in their table, so that SQLite reads the
columns before them without touching the blob's pages.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from osbench.coordinator.store.column_types import BLOB, LONG_TEXT, NUMBER, words
from osbench.coordinator.store.values import NAME_CHARACTERS

#: Revision of the newest migration; revisions are four digits and grow.
SCHEMA_VERSION = "0002"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Id = words(36)
_Word = words(24)
_Agent = words(128)
#: Series' names: four bytes a character times this stays under the 3,072 bytes of an InnoDB index key.
_Name = words(NAME_CHARACTERS)


def _number() -> Column[int]:
    return Column("number", NUMBER, primary_key=True, autoincrement=True)


def _of_run(*, primary_key: bool = False) -> Column[str]:
    return Column("run", _Id, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


meta = Table(
    "meta",
    metadata,
    Column("name", words(64), primary_key=True),
    Column("value", BLOB, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    _number(),
    Column("id", _Id, nullable=False, unique=True),
    Column("name", words(255), nullable=False, unique=True),
    Column("engine", words(64), nullable=False),
    Column("status", _Word, nullable=False),
    Column("parent", _Id, ForeignKey("deployments.id")),
    Column("failure", LONG_TEXT, nullable=False),
    _count("created_ns"),
    _count("updated_ns"),
    Column("started_ns", BigInteger),
    Column("completed_ns", BigInteger),
    Column("spec", BLOB, nullable=False),
    Column("credentials", BLOB),
)

tasks = Table(
    "tasks",
    metadata,
    _number(),
    Column("id", _Id, nullable=False, unique=True),
    Column("deployment", _Id, ForeignKey("deployments.id"), nullable=False, index=True),
    Column("title", LONG_TEXT, nullable=False),
    Column("status", _Word, nullable=False),
    Column("failure", LONG_TEXT, nullable=False),
    _count("created_ns"),
    _count("updated_ns"),
    Column("ended_ns", BigInteger),
    Column("spec", LONG_TEXT, nullable=False),
    Column("source", LONG_TEXT, nullable=False),
    # NULL in rows of schema 0001: a column that may be empty is added without making the table anew.
    Column("options", LONG_TEXT),
)

task_tags = Table(
    "task_tags",
    metadata,
    _number(),
    Column("task", _Id, ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("tag", words(255), nullable=False, index=True),
    UniqueConstraint("task", "tag"),
)

runs = Table(
    "runs",
    metadata,
    _number(),
    Column("id", _Id, nullable=False, unique=True),
    Column("task", _Id, ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("phase", words(64), nullable=False),
    Column("start_wall_ns", BigInteger),
    _count("created_ns"),
    Column("ended_ns", BigInteger),
    Column("workload", LONG_TEXT, nullable=False),
    Column("plan", LONG_TEXT),
    Column("accounting", LONG_TEXT, nullable=False),
    Column("verdict", LONG_TEXT, nullable=False),
    Column("contexts", BLOB),
    Column("snapshot", BLOB),
    UniqueConstraint("task", "ordinal"),
)

resources = Table(
    "resources",
    metadata,
    _number(),
    Column("id", _Id, nullable=False, unique=True),
    Column("kind", words(64), nullable=False),
    Column("name", words(255), nullable=False),
    Column("cloud_id", words(255), nullable=False),
    # Empty, not NULL, and without a foreign key: the row has to outlive whatever it points to.
    Column("deployment", _Id, nullable=False, index=True),
    Column("task", _Id, nullable=False, index=True),
    Column("run", _Id, nullable=False, index=True),
    Column("provider", words(64), nullable=False),
    _count("created_ns"),
    Column("info", BLOB),
)

events = Table(
    "events",
    metadata,
    _number(),
    _of_run(),
    Column("kind", words(64), nullable=False),
    Column("agent", _Agent, nullable=False),
    Column("worker", Integer, nullable=False),
    _count("at_ns"),
    _count("wall_ns"),
    Column("text", LONG_TEXT, nullable=False),
    Index(None, "run"),
)

clock_fits = Table(
    "clock_fits",
    metadata,
    _number(),
    _of_run(),
    Column("agent", _Agent, nullable=False),
    _count("life"),
    _count("at_ns"),
    _count("offset_ns"),
    _count("error_ns"),
    _count("start_error_ns"),
    Index(None, "run"),
)

agents = Table(
    "agents",
    metadata,
    Column("name", _Agent, primary_key=True),
    _count("life"),
    Column("version", words(64), nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("workers", Integer, nullable=False),
    Column("cores", Integer, nullable=False),
    _count("memory_bytes"),
    _count("nofile"),
    Column("labels", LONG_TEXT, nullable=False),
    Column("state", words(64), nullable=False),
    Column("public_key", words(64), nullable=False),
    _count("seen_ns"),
)

agent_keys = Table(
    "agent_keys",
    metadata,
    _number(),
    Column("public_key", words(64), nullable=False, unique=True),
    Column("name", _Agent, nullable=False, index=True),
    _count("created_ns"),
    Column("revoked_ns", BigInteger),
)

invites = Table(
    "invites",
    metadata,
    _number(),
    Column("digest", words(64), nullable=False, unique=True),
    Column("name", _Agent, nullable=False),
    _count("created_ns"),
    _count("expires_ns"),
    # Empty before it is used.
    Column("used_key", words(64), nullable=False),
    Column("used_ns", BigInteger),
)

batches = Table(
    "batches",
    metadata,
    _number(),
    _of_run(),
    Column("agent", _Agent, nullable=False),
    _count("life"),
    Column("worker", Integer, nullable=False),
    _count("seq"),
    Column("version", SmallInteger, nullable=False),
    _count("start_ns"),
    _count("first_ns"),
    _count("last_ns"),
    Column("iterations", Integer, nullable=False),
    Column("actions", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("health", Integer, nullable=False),
    Column("hosts", Integer, nullable=False),
    Column("codec", SmallInteger, nullable=False),
    Column("raw_bytes", Integer, nullable=False),
    Column("body", BLOB, nullable=False),
    UniqueConstraint("run", "agent", "life", "worker", "seq", name="uq_batches_key"),
)

series = Table(
    "series",
    metadata,
    _number(),
    _of_run(),
    Column("kind", _Word, nullable=False),
    Column("name", _Name, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    UniqueConstraint("run", "kind", "name", "outcome", name="uq_series_key"),
)

histograms = Table(
    "histograms",
    metadata,
    Column("series", NUMBER, ForeignKey("series.number", ondelete="CASCADE"), primary_key=True),
    Column("second", Integer, primary_key=True, autoincrement=False),
    _count("n"),
    _count("sum_us"),
    _count("min_us"),
    _count("max_us"),
    Column("spans", BLOB, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    _of_run(primary_key=True),
    Column("kind", _Word, primary_key=True),
    Column("name", _Name, primary_key=True),
    Column("outcome", SmallInteger, primary_key=True, autoincrement=False),
    Column("status", Integer, primary_key=True, autoincrement=False),
    _count("n"),
)

seconds = Table(
    "seconds",
    metadata,
    _of_run(primary_key=True),
    Column("second", Integer, primary_key=True, autoincrement=False),
    _count("started"),
    _count("ended"),
    _count("failed"),
    _count("dropped"),
)

errors = Table(
    "errors",
    metadata,
    _of_run(primary_key=True),
    Column("source", _Word, primary_key=True),
    # Of kind and message: a text of any length is no key on MariaDB.
    Column("digest", words(32), primary_key=True),
    Column("kind", words(128), nullable=False),
    Column("message", LONG_TEXT, nullable=False),
    _count("n"),
    Column("first_second", Integer, nullable=False),
    Column("last_second", Integer, nullable=False),
    _count("iteration"),
)

extents = Table(
    "extents",
    metadata,
    _of_run(primary_key=True),
    _count("first_started_ns"),
    _count("last_ended_ns"),
)

health = Table(
    "health",
    metadata,
    _number(),
    _of_run(),
    Column("agent", _Agent, nullable=False),
    _count("life"),
    Column("worker", Integer, nullable=False),
    Column("second", Integer, nullable=False),
    _count("span_ns"),
    _count("stall_ns"),
    _count("run_queue_ns"),
    _count("cpu_ns"),
    _count("gc_ns"),
    _count("lag_max_ns"),
    _count("in_flight"),
    _count("started"),
    _count("ended"),
    Index(None, "run", "second"),
)

hosts = Table(
    "hosts",
    metadata,
    _number(),
    _of_run(),
    Column("agent", _Agent, nullable=False),
    _count("life"),
    Column("second", Integer, nullable=False),
    Column("core_max_permille", Integer, nullable=False),
    Column("cpu_permille", Integer, nullable=False),
    Column("memory_permille", Integer, nullable=False),
    _count("sent_bytes"),
    _count("received_bytes"),
    Column("steal_permille", Integer, nullable=False),
    _count("spool_bytes"),
    Index(None, "run", "second"),
)
