"""What is different in each database, and must not be seen above the store: types, names, locks, migrations."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from lab.database_servers import Server
from sqlalchemy import insert, select

from osbench.common.clock import ManualClock
from osbench.common.error import NotFoundError, StoreError
from osbench.common.record import BatchHeader
from osbench.coordinator.store import schema
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.database import Database
from osbench.coordinator.store.migrate import schema_version, upgrade
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.store.values import Derived, ErrorRow, KnownAgent, StoredBatch

MB = 1024 * 1024
LONG = "ä€😀\\'\"%s" * 20_000
UPGRADER = """
import sys
from osbench.coordinator.store.database import Database
from osbench.coordinator.store.migrate import upgrade
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(upgrade(database), flush=True)
database.close()
"""


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


def batch(run: str, size: int) -> StoredBatch:
    numbers = dict.fromkeys(BatchHeader._fields, 1)
    return StoredBatch(BatchHeader(**{**numbers, "run": run, "agent": "a"}), Random(size).randbytes(size))  # type: ignore[arg-type]


def test_a_batch_of_5_mb_is_stored_and_read(store: Store, new_run: Callable[..., str]) -> None:
    run = new_run(store)
    stored = batch(run, 5 * MB)

    assert list(store.batches_add([stored], lambda new: Derived())) == [0]
    assert list(store.batches_add([stored], lambda new: Derived())) == []
    assert list(store.batch_iterate(run)) == [stored]
    assert store.batch_totals(run)[0].body_bytes == 5 * MB


def test_names_are_the_same_only_where_every_character_is(store: Store) -> None:
    """MariaDB's default takes a and A and ä, and "a" and "a ", for one name."""
    names = ["a", "A", "ä", "a ", "😀", "Z", "ß", "ss"]
    for name in names:
        store.agent_upsert(KnownAgent(name=name, life=2**62, seen_ns=1))
        store.deployment_create(name=name, engine="existing", spec={})

    assert [agent.name for agent in store.agent_list()] == sorted(names)
    assert [store.deployment_get(name).name for name in names] == names
    with pytest.raises(NotFoundError):
        store.deployment_get("z")


def test_a_text_is_as_long_as_it_is(store: Store, new_run: Callable[..., str]) -> None:
    """MariaDB's TEXT ends at 64 kB."""
    run = new_run(store)
    store.run_update(run, accounting={"text": LONG})

    assert store.run_get(run).accounting == {"text": LONG}


def test_a_nul_in_an_error_does_not_stop_its_batch(store: Store, new_run: Callable[..., str]) -> None:
    run = new_run(store)
    error = ErrorRow(
        run=run, source="call", kind="a\0", message="b\0c", n=1, first_second=0, last_second=0, iteration=1
    )
    store.batches_add([batch(run, 10)], lambda new: Derived(errors=(error,)))

    assert [(row.kind, row.message) for row in store.error_list(run)] == [("a\ufffd", "b\ufffdc")]


def test_a_reader_sees_one_state_while_others_write(store: Store, database: Database) -> None:
    store.agent_upsert(KnownAgent(name="a", life=1, seen_ns=1))
    lives = select(schema.agents.c.life)
    with database.reading() as connection:
        before = connection.execute(lives).scalars().all()
        store.agent_upsert(KnownAgent(name="a", life=2, seen_ns=1))
        store.agent_upsert(KnownAgent(name="b", life=2, seen_ns=1))
        again = connection.execute(lives).scalars().all()

    assert (before, again) == ([1], [1])
    assert [agent.life for agent in store.agent_list()] == [2, 2]


def test_a_failed_writer_leaves_nothing_and_no_lock(store: Store, database: Database) -> None:
    twice = insert(schema.meta).values([{"name": "twice", "value": b"x"}] * 2)
    with pytest.raises(StoreError, match=r"(?i)unique|duplicate"), database.writing() as connection:
        connection.execute(twice)
    store.agent_upsert(KnownAgent(name="a", life=1, seen_ns=1))

    with database.reading() as connection:
        assert connection.execute(select(schema.meta.c.name).where(schema.meta.c.name == "twice")).all() == []


def test_the_schema_before_is_upgraded_with_its_rows(database: Database, url: str, tmp_path: Path) -> None:
    assert upgrade(database, "0001") == "0000"
    with database.writing() as connection:
        connection.execute(insert(schema.meta).values(name="kept", value=b"\0\xff"))
    assert upgrade(database) == "0001"
    assert upgrade(database) is None

    with database.reading() as connection:
        assert schema_version(connection) == schema.SCHEMA_VERSION
        assert connection.execute(select(schema.meta.c.value)).scalars().all() == [b"\0\xff"]
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    store = open_store(url, clock=ManualClock(), key_file=tmp_path / "key")
    store.deployment_create(name="cloud", engine="existing", spec={"a": 1})
    store.close()


def test_of_two_that_upgrade_at_once_one_does_it(url: str) -> None:
    command = [sys.executable, "-c", UPGRADER, url]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in both]

    assert sorted(out for out, _ in said) == ["0000\n", "None\n"], said


@pytest.mark.slow
def test_a_packet_mariadb_does_not_take_is_named(
    server_of: Callable[[str], Server], new_run: Callable[..., str], tmp_path: Path
) -> None:
    server = server_of("mariadb")
    url = server.new_database()
    server.execute(f"SET GLOBAL max_allowed_packet = {MB}")
    store = open_store(url, clock=ManualClock(), key_file=tmp_path / "key")
    try:
        run = new_run(store)
        with pytest.raises(StoreError, match="max_allowed_packet"):
            store.batches_add([batch(run, 2 * MB)], lambda new: Derived())
        assert list(store.batch_iterate(run)) == []
    finally:
        server.execute(f"SET GLOBAL max_allowed_packet = {16 * MB}")
        store.close()
