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
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT

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

#: SQLite numbers rows by itself only where the key is INTEGER.
_Number = BigInteger().with_variant(Integer(), "sqlite")
_Blob = LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")
_LongText = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
_Id = String(36)
_Word = String(24)
_Agent = String(128)
#: Series' names: four bytes a character times this stays under the 3,072 bytes of an InnoDB index key.
_Name = String(NAME_CHARACTERS)


def _number() -> Column[int]:
    return Column("number", _Number, primary_key=True, autoincrement=True)


def _of_run(*, primary_key: bool = False) -> Column[str]:
    return Column("run", _Id, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", _Blob, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    _number(),
    Column("id", _Id, nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("engine", String(64), nullable=False),
    Column("status", _Word, nullable=False),
    Column("parent", _Id, ForeignKey("deployments.id")),
    Column("failure", Text, nullable=False),
    _count("created_ns"),
    _count("updated_ns"),
    Column("started_ns", BigInteger),
    Column("completed_ns", BigInteger),
    Column("spec", _Blob, nullable=False),
    Column("credentials", _Blob),
)

tasks = Table(
    "tasks",
    metadata,
    _number(),
    Column("id", _Id, nullable=False, unique=True),
    Column("deployment", _Id, ForeignKey("deployments.id"), nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("status", _Word, nullable=False),
    Column("failure", Text, nullable=False),
    _count("created_ns"),
    _count("updated_ns"),
    Column("ended_ns", BigInteger),
    Column("spec", _LongText, nullable=False),
    Column("source", _LongText, nullable=False),
    # NULL in rows of schema 0001: a column that may be empty is added without making the table anew.
    Column("options", _LongText),
)

task_tags = Table(
    "task_tags",
    metadata,
    _number(),
    Column("task", _Id, ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("tag", String(255), nullable=False, index=True),
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
    Column("phase", String(64), nullable=False),
    Column("start_wall_ns", BigInteger),
    _count("created_ns"),
    Column("ended_ns", BigInteger),
    Column("workload", _LongText, nullable=False),
    Column("plan", _LongText),
    Column("accounting", _LongText, nullable=False),
    Column("verdict", _LongText, nullable=False),
    Column("contexts", _Blob),
    Column("snapshot", _Blob),
    UniqueConstraint("task", "ordinal"),
)

resources = Table(
    "resources",
    metadata,
    _number(),
    Column("id", _Id, nullable=False, unique=True),
    Column("kind", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("cloud_id", String(255), nullable=False),
    # Empty, not NULL, and without a foreign key: the row has to outlive whatever it points to.
    Column("deployment", _Id, nullable=False, index=True),
    Column("task", _Id, nullable=False, index=True),
    Column("run", _Id, nullable=False, index=True),
    Column("provider", String(64), nullable=False),
    _count("created_ns"),
    Column("info", _Blob),
)

events = Table(
    "events",
    metadata,
    _number(),
    _of_run(),
    Column("kind", String(64), nullable=False),
    Column("agent", _Agent, nullable=False),
    Column("worker", Integer, nullable=False),
    _count("at_ns"),
    _count("wall_ns"),
    Column("text", Text, nullable=False),
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
    Column("version", String(64), nullable=False),
    Column("protocol", Integer, nullable=False),
    Column("workers", Integer, nullable=False),
    Column("cores", Integer, nullable=False),
    _count("memory_bytes"),
    _count("nofile"),
    Column("labels", Text, nullable=False),
    Column("state", String(64), nullable=False),
    Column("public_key", String(64), nullable=False),
    _count("seen_ns"),
)

agent_keys = Table(
    "agent_keys",
    metadata,
    _number(),
    Column("public_key", String(64), nullable=False, unique=True),
    Column("name", _Agent, nullable=False, index=True),
    _count("created_ns"),
    Column("revoked_ns", BigInteger),
)

invites = Table(
    "invites",
    metadata,
    _number(),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", _Agent, nullable=False),
    _count("created_ns"),
    _count("expires_ns"),
    # Empty before it is used.
    Column("used_key", String(64), nullable=False),
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
    Column("body", _Blob, nullable=False),
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
    Column("series", _Number, ForeignKey("series.number", ondelete="CASCADE"), primary_key=True),
    Column("second", Integer, primary_key=True, autoincrement=False),
    _count("n"),
    _count("sum_us"),
    _count("min_us"),
    _count("max_us"),
    Column("spans", _Blob, nullable=False),
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
    Column("digest", String(32), primary_key=True),
    Column("kind", String(128), nullable=False),
    Column("message", Text, nullable=False),
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
