"""Schema 0001: deployments, tasks, runs and their records.

Rules: frozen once released; a later change of schema.py has its own migration.
"""

import sqlalchemy as sa
from alembic import op

from osbench.coordinator.store.column_types import BLOB, LONG_TEXT, NUMBER, words

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables, those first that others refer to."""
    _agents()
    _deployments()
    _meta()
    _resources()
    _tasks()
    _runs()
    _task_tags()
    _batches()
    _clock_fits()
    _counters()
    _errors()
    _events()
    _extents()
    _health()
    _hosts()
    _seconds()
    _series()
    _histograms()


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("name", words(128), nullable=False),
        sa.Column("life", sa.BigInteger(), nullable=False),
        sa.Column("version", words(64), nullable=False),
        sa.Column("protocol", sa.Integer(), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("nofile", sa.BigInteger(), nullable=False),
        sa.Column("labels", LONG_TEXT, nullable=False),
        sa.Column("state", words(64), nullable=False),
        sa.Column("public_key", words(64), nullable=False),
        sa.Column("seen_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_agents")),
    )


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", words(36), nullable=False),
        sa.Column("name", words(255), nullable=False),
        sa.Column("engine", words(64), nullable=False),
        sa.Column("status", words(24), nullable=False),
        sa.Column("parent", words(36), nullable=True),
        sa.Column("failure", LONG_TEXT, nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.Column("started_ns", sa.BigInteger(), nullable=True),
        sa.Column("completed_ns", sa.BigInteger(), nullable=True),
        sa.Column("spec", BLOB, nullable=False),
        sa.Column("credentials", BLOB, nullable=True),
        sa.ForeignKeyConstraint(["parent"], ["deployments.id"], name=op.f("fk_deployments_parent")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_deployments")),
        sa.UniqueConstraint("id", name=op.f("uq_deployments_id")),
        sa.UniqueConstraint("name", name=op.f("uq_deployments_name")),
    )


def _meta() -> None:
    op.create_table(
        "meta",
        sa.Column("name", words(64), nullable=False),
        sa.Column("value", BLOB, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )


def _resources() -> None:
    op.create_table(
        "resources",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", words(36), nullable=False),
        sa.Column("kind", words(64), nullable=False),
        sa.Column("name", words(255), nullable=False),
        sa.Column("cloud_id", words(255), nullable=False),
        sa.Column("deployment", words(36), nullable=False),
        sa.Column("task", words(36), nullable=False),
        sa.Column("run", words(36), nullable=False),
        sa.Column("provider", words(64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("info", BLOB, nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_resources")),
        sa.UniqueConstraint("id", name=op.f("uq_resources_id")),
    )
    op.create_index(op.f("ix_resources_deployment"), "resources", ["deployment"], unique=False)
    op.create_index(op.f("ix_resources_run"), "resources", ["run"], unique=False)
    op.create_index(op.f("ix_resources_task"), "resources", ["task"], unique=False)


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", words(36), nullable=False),
        sa.Column("deployment", words(36), nullable=False),
        sa.Column("title", LONG_TEXT, nullable=False),
        sa.Column("status", words(24), nullable=False),
        sa.Column("failure", LONG_TEXT, nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.Column("spec", LONG_TEXT, nullable=False),
        sa.Column("source", LONG_TEXT, nullable=False),
        sa.ForeignKeyConstraint(["deployment"], ["deployments.id"], name=op.f("fk_tasks_deployment")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_tasks")),
        sa.UniqueConstraint("id", name=op.f("uq_tasks_id")),
    )
    op.create_index(op.f("ix_tasks_deployment"), "tasks", ["deployment"], unique=False)


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", words(36), nullable=False),
        sa.Column("task", words(36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("phase", words(64), nullable=False),
        sa.Column("start_wall_ns", sa.BigInteger(), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.Column("workload", LONG_TEXT, nullable=False),
        sa.Column("plan", LONG_TEXT, nullable=True),
        sa.Column("accounting", LONG_TEXT, nullable=False),
        sa.Column("verdict", LONG_TEXT, nullable=False),
        sa.Column("contexts", BLOB, nullable=True),
        sa.Column("snapshot", BLOB, nullable=True),
        sa.ForeignKeyConstraint(["task"], ["tasks.id"], name=op.f("fk_runs_task"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
        sa.UniqueConstraint("task", "ordinal", name=op.f("uq_runs_task_ordinal")),
    )


def _task_tags() -> None:
    op.create_table(
        "task_tags",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("task", words(36), nullable=False),
        sa.Column("tag", words(255), nullable=False),
        sa.ForeignKeyConstraint(["task"], ["tasks.id"], name=op.f("fk_task_tags_task"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_task_tags")),
        sa.UniqueConstraint("task", "tag", name=op.f("uq_task_tags_task_tag")),
    )
    op.create_index(op.f("ix_task_tags_tag"), "task_tags", ["tag"], unique=False)


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", words(36), nullable=False),
        sa.Column("agent", words(128), nullable=False),
        sa.Column("life", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("first_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_ns", sa.BigInteger(), nullable=False),
        sa.Column("iterations", sa.Integer(), nullable=False),
        sa.Column("actions", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("health", sa.Integer(), nullable=False),
        sa.Column("hosts", sa.Integer(), nullable=False),
        sa.Column("codec", sa.SmallInteger(), nullable=False),
        sa.Column("raw_bytes", sa.Integer(), nullable=False),
        sa.Column("body", BLOB, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_batches_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_batches")),
        sa.UniqueConstraint("run", "agent", "life", "worker", "seq", name="uq_batches_key"),
    )


def _clock_fits() -> None:
    op.create_table(
        "clock_fits",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", words(36), nullable=False),
        sa.Column("agent", words(128), nullable=False),
        sa.Column("life", sa.BigInteger(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("offset_ns", sa.BigInteger(), nullable=False),
        sa.Column("error_ns", sa.BigInteger(), nullable=False),
        sa.Column("start_error_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_clock_fits_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_clock_fits")),
    )
    op.create_index(op.f("ix_clock_fits_run"), "clock_fits", ["run"], unique=False)


def _counters() -> None:
    op.create_table(
        "counters",
        sa.Column("run", words(36), nullable=False),
        sa.Column("kind", words(24), nullable=False),
        sa.Column("name", words(512), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_counters_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "kind", "name", "outcome", "status", name=op.f("pk_counters")),
    )


def _errors() -> None:
    op.create_table(
        "errors",
        sa.Column("run", words(36), nullable=False),
        sa.Column("source", words(24), nullable=False),
        sa.Column("digest", words(32), nullable=False),
        sa.Column("kind", words(128), nullable=False),
        sa.Column("message", LONG_TEXT, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("first_second", sa.Integer(), nullable=False),
        sa.Column("last_second", sa.Integer(), nullable=False),
        sa.Column("iteration", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_errors_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "source", "digest", name=op.f("pk_errors")),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", words(36), nullable=False),
        sa.Column("kind", words(64), nullable=False),
        sa.Column("agent", words(128), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("text", LONG_TEXT, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_events_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_run"), "events", ["run"], unique=False)


def _extents() -> None:
    op.create_table(
        "extents",
        sa.Column("run", words(36), nullable=False),
        sa.Column("first_started_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_ended_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_extents_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_extents")),
    )


def _health() -> None:
    op.create_table(
        "health",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", words(36), nullable=False),
        sa.Column("agent", words(128), nullable=False),
        sa.Column("life", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=False),
        sa.Column("second", sa.Integer(), nullable=False),
        sa.Column("span_ns", sa.BigInteger(), nullable=False),
        sa.Column("stall_ns", sa.BigInteger(), nullable=False),
        sa.Column("run_queue_ns", sa.BigInteger(), nullable=False),
        sa.Column("cpu_ns", sa.BigInteger(), nullable=False),
        sa.Column("gc_ns", sa.BigInteger(), nullable=False),
        sa.Column("lag_max_ns", sa.BigInteger(), nullable=False),
        sa.Column("in_flight", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_health_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_health")),
    )
    op.create_index(op.f("ix_health_run_second"), "health", ["run", "second"], unique=False)


def _hosts() -> None:
    op.create_table(
        "hosts",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", words(36), nullable=False),
        sa.Column("agent", words(128), nullable=False),
        sa.Column("life", sa.BigInteger(), nullable=False),
        sa.Column("second", sa.Integer(), nullable=False),
        sa.Column("core_max_permille", sa.Integer(), nullable=False),
        sa.Column("cpu_permille", sa.Integer(), nullable=False),
        sa.Column("memory_permille", sa.Integer(), nullable=False),
        sa.Column("sent_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("steal_permille", sa.Integer(), nullable=False),
        sa.Column("spool_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_hosts_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_hosts")),
    )
    op.create_index(op.f("ix_hosts_run_second"), "hosts", ["run", "second"], unique=False)


def _seconds() -> None:
    op.create_table(
        "seconds",
        sa.Column("run", words(36), nullable=False),
        sa.Column("second", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_seconds_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "second", name=op.f("pk_seconds")),
    )


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run", words(36), nullable=False),
        sa.Column("kind", words(24), nullable=False),
        sa.Column("name", words(512), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_series_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_series")),
        sa.UniqueConstraint("run", "kind", "name", "outcome", name="uq_series_key"),
    )


def _histograms() -> None:
    op.create_table(
        "histograms",
        sa.Column("series", NUMBER, nullable=False),
        sa.Column("second", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("sum_us", sa.BigInteger(), nullable=False),
        sa.Column("min_us", sa.BigInteger(), nullable=False),
        sa.Column("max_us", sa.BigInteger(), nullable=False),
        sa.Column("spans", BLOB, nullable=False),
        sa.ForeignKeyConstraint(["series"], ["series.number"], name=op.f("fk_histograms_series"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("series", "second", name=op.f("pk_histograms")),
    )
