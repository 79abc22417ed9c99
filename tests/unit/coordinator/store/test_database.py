"""The SQLite file, its secrets and its schema; and what other databases are told."""

import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import copy

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect

from osbench.common.clock import ManualClock
from osbench.common.error import StoreError
from osbench.common.record import BatchIdentity, encode_batch
from osbench.common.task import Subtask, TaskSpec, Workload
from osbench.coordinator.ingest import Ingest
from osbench.coordinator.sample_records import odd_rows
from osbench.coordinator.store import schema
from osbench.coordinator.store.database import Database
from osbench.coordinator.store.migrate import upgrade
from osbench.coordinator.store.sql import SqlStore, open_store
from osbench.coordinator.store.values import AgentKey, Event, KnownAgent, Redemption
from osbench.coordinator.task_state import TaskOptions

GOLDEN = Path(__file__).parents[3] / "golden"
RUN = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
PASSWORD = "hunter2-very-secret"
KEY = "0123456789" * 4
OPTIONS = TaskOptions(runner="daemon", agents=2, labels=("rack-1",))
MYSQL: Dialect = mysql.dialect()
POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

Open = Callable[[Path], SqlStore]


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Open:
    """Opens stores and closes them in the end."""

    def open_one(path: Path) -> SqlStore:
        store = open_store(path, clock=ManualClock())
        request.addfinalizer(store.close)
        return store

    return open_one


def fill(store: SqlStore) -> None:
    """A little of everything, always the same; also what the golden file of each schema version is made of."""
    deployment = store.deployment_create(name="cloud", engine="existing", spec={"password": PASSWORD})
    workload = Workload(scenario="Dummy.dummy", position=0)
    spec = TaskSpec(title="golden", format_version=2, subtasks=(Subtask(title="one", workloads=(workload,)),))
    task = store.task_create(deployment=deployment.id, spec=spec, tags=("gold",), options=OPTIONS)
    store.run_create(task=task.id, workload=workload, run=RUN)
    store.run_update(RUN, phase="done", snapshot=b"snapshot", accounting={"stored": 3})
    store.run_contexts_update(RUN, {"users": [PASSWORD]})
    store.event_add(RUN, [Event(kind="hook", text="restarted", at_ns=5, wall_ns=6)])
    store.resource_create(kind="server", name="s_osb_x", run=RUN, info={"password": PASSWORD})
    store.agent_upsert(KnownAgent(name="a", life=1, seen_ns=5))
    for digest, key in (("d1", KEY), ("d2", KEY[::-1])):
        store.invite_create(digest=digest, name="a", expires_ns=2**62)
        store.invite_redeem(digest=digest, name="a", public_key=key, now_ns=9)
    store.invite_create(digest="d3", name="b", expires_ns=2**62)
    random = Random(1)
    ingest = Ingest(store)
    for seq in (1, 2, 3):
        identity = BatchIdentity(run=RUN, agent="a", life=1, worker=0, start_ns=10**15)
        batch = encode_batch(identity, seq, odd_rows(random, 10**15, seq * 100, 10))
        ingest.commit([(batch.header, batch.header_bytes, batch.body)])
    ingest.close()


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_the_golden_file_of_each_schema_stays_readable(tmp_path: Path, opened: Open, version: str) -> None:
    """A release that cannot read the databases of those before it loses all that was measured."""
    copy(GOLDEN / f"store-{version}.db", tmp_path / "store.db")
    copy(GOLDEN / f"store-{version}.db.key", tmp_path / "store.db.key")
    store = opened(tmp_path / "store.db")
    run = store.run_get(RUN)

    assert (run.phase, run.accounting, store.run_snapshot(RUN)) == ("done", {"stored": 3}, b"snapshot")
    assert store.run_contexts(RUN) == {"users": [PASSWORD]}
    assert store.deployment_secrets(store.deployment_get("cloud").id).spec == {"password": PASSWORD}
    assert store.task_get(run.task).tags == ("gold",)
    assert [event.text for event in store.event_list(RUN)] == ["restarted"]
    assert store.resource_list(run=RUN)[0].info == {"password": PASSWORD}
    assert [agent.name for agent in store.agent_list()] == ["a"]
    assert [batch.header.seq for batch in store.batch_iterate(RUN)] == [1, 2, 3]
    assert (len(list(store.histogram_iterate(RUN))), len(store.counter_list(RUN))) == (111, 18)
    assert (len(store.second_list(RUN)), len(store.error_list(RUN)), len(store.health_list(RUN))) == (8, 4, 5)
    if version == "0001":
        assert store.task_get(run.task).options == TaskOptions()
        assert (store.agent_key_list(active=False), store.invite_list()) == ([], [])
    else:
        assert store.task_get(run.task).options == OPTIONS
        assert store.agent_key_list() == [AgentKey(public_key=KEY[::-1], name="a", created_ns=9)]
        assert [key.revoked_ns for key in store.agent_key_list(active=False)] == [9, None]
        assert [invite.used_key for invite in store.invite_list()] == [KEY, KEY[::-1], ""]


def test_a_database_of_schema_1_is_used_like_a_new_one(tmp_path: Path, opened: Open) -> None:
    copy(GOLDEN / "store-0001.db", tmp_path / "store.db")
    store = opened(tmp_path / "store.db")
    store.invite_create(digest="d", name="a", expires_ns=2**62)

    assert store.invite_redeem(digest="d", name="a", public_key=KEY, now_ns=1) is Redemption.ENROLLED
    task = store.task_get(store.run_get(RUN).task)
    again = store.task_create(deployment=task.deployment, spec=task.spec, options=OPTIONS)
    assert store.task_get(again.id).options == OPTIONS


def test_the_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db")

    assert upgrade(database) == "0000"
    assert upgrade(database) is None
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    database.close()


def test_a_newer_schema_is_refused_with_both_versions_and_left_alone(tmp_path: Path, opened: Open) -> None:
    opened(tmp_path / "x.db").close()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.close()
    with pytest.raises(StoreError, match="has schema version 0999, this release knows up to 0002"):
        opened(tmp_path / "x.db")


def test_a_database_of_something_else_is_refused(tmp_path: Path, opened: Open) -> None:
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE cats (name TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="tables of something else"):
        opened(tmp_path / "x.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 500)
    with pytest.raises(StoreError, match="not a database"):
        opened(tmp_path / "x.db")
    with pytest.raises(StoreError, match="cannot be opened"):
        opened(tmp_path / "x.db" / "deeper.db")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "name a file"),
        ("oracle9://u:hunter2@h/d", "driver is not installed"),
        ("mysql+mysqldb://u:hunter2@h/d", r"pip install 'osbench\[mariadb\]'"),
        ("http//:@:x://", "cannot be read"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as raised:
        open_store(url, clock=ManualClock())
    assert "hunter2" not in str(raised.value)


def test_the_files_are_readable_by_their_owner_alone(tmp_path: Path, opened: Open) -> None:
    fill(opened(tmp_path / "deep" / "x.db"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep").iterdir()}

    assert {"x.db", "x.db.key"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_no_secret_is_in_the_file(tmp_path: Path, opened: Open) -> None:
    store = opened(tmp_path / "x.db")
    fill(store)
    store.compact()

    for path in tmp_path.iterdir():
        assert PASSWORD.encode() not in path.read_bytes()


def test_sqlite_is_set_so_that_a_commit_survives_power_loss(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.db")
    with database.reading() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    database.close()

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_missing_key_is_named_and_no_new_one_is_made(tmp_path: Path, opened: Open) -> None:
    """A new key would make the old secrets unreadable for ever, and nobody would know why."""
    fill(opened(tmp_path / "x.db"))
    (tmp_path / "x.db.key").rename(tmp_path / "elsewhere")
    store = opened(tmp_path / "x.db")
    for use in (lambda: store.run_contexts(RUN), lambda: store.run_contexts_update(RUN, {})):
        with pytest.raises(StoreError, match=r"key file .*x.db.key is missing .* put it back"):
            use()

    assert store.run_get(RUN).phase == "done"
    assert not (tmp_path / "x.db.key").exists()


def test_another_key_is_refused(tmp_path: Path, opened: Open) -> None:
    fill(opened(tmp_path / "x.db"))
    fill(opened(tmp_path / "y.db"))
    copy(tmp_path / "y.db.key", tmp_path / "x.db.key")
    store = opened(tmp_path / "x.db")
    for use in (lambda: store.run_contexts(RUN), lambda: store.run_contexts_update(RUN, {})):
        with pytest.raises(StoreError, match="not the one that database"):
            use()


def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "x.db.key").write_text("hello\n")
    with pytest.raises(StoreError, match="does not hold a key"):
        fill(opened(tmp_path / "x.db"))


def test_compacting_gives_back_space(tmp_path: Path, opened: Open) -> None:
    store = opened(tmp_path / "x.db")
    fill(store)
    store.run_update(RUN, snapshot=bytes(10**6))
    before = store.compact()
    store.task_delete(store.run_get(RUN).task, force=True)

    assert store.compact() < before


@pytest.mark.parametrize(
    ("dialect", "new", "add"),
    [
        (sqlite.dialect(), "ON CONFLICT DO NOTHING", "n = (counters.n + excluded.n)"),
        (POSTGRESQL, "ON CONFLICT DO NOTHING", "n = (counters.n + excluded.n)"),
        (MYSQL, "INSERT IGNORE INTO", "n = (counters.n + VALUES(n))"),
    ],
    ids=["sqlite", "postgresql", "mysql"],
)
def test_each_database_is_told_in_its_own_words(tmp_path: Path, dialect: Dialect, new: str, add: str) -> None:
    database = Database(tmp_path / "x.db")
    database.dialect = dialect.name

    assert new in str(database.insert_new(schema.counters).compile(dialect=dialect))
    assert add in str(database.add_up(schema.counters, sums=("n",)).compile(dialect=dialect))
    least = str(database.add_up(schema.extents, least=("first_started_ns",)).compile(dialect=dialect)).lower()
    assert ("min(" if dialect.name == "sqlite" else "least(") in least
    assert "last_ended_ns" in str(database.replace(schema.extents).compile(dialect=dialect))
    database.close()
