"""What came of the last task, out of the store of a home: for tests that run the real command line."""

from pathlib import Path

from osbench.common.clock import SystemClock
from osbench.common.record import decode_rows
from osbench.coordinator.home import open_home
from osbench.coordinator.result import RunResult
from osbench.coordinator.result_reader import read_task
from osbench.coordinator.store.sql import SqlStore, open_store


class StoredRecords:
    """A home whose store is looked into.

    Attributes:
        home: its folder.
    """

    home: Path

    def store(self) -> SqlStore:
        home = open_home(str(self.home), {})
        return open_store(home.database, clock=SystemClock(), key_file=home.key_file)

    def result(self, task: str | None = None) -> RunResult:
        """The first run of a task, of the last one if none is named."""
        store = self.store()
        try:
            return read_task(store, task or store.task_list()[-1].id).runs[0]
        finally:
            store.close()

    def stored_iterations(self) -> list[int]:
        """Indices in all batches of the last task's run, as often as they are there."""
        store = self.store()
        try:
            run = store.run_list(store.task_list()[-1].id)[0]
            return [
                row[0]
                for batch in store.batch_iterate(run.id)
                for row in decode_rows(batch.header, batch.body).iterations
            ]
        finally:
            store.close()

    def stored_count(self) -> int:
        """How many iterations are stored, without decoding."""
        store = self.store()
        try:
            tasks = store.task_list()
            runs = store.run_list(tasks[-1].id) if tasks else []
            return sum(total.iterations for total in store.batch_totals(runs[0].id)) if runs else 0
        finally:
            store.close()
