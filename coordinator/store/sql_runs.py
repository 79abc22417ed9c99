"""Runs, their events and their agents' clocks in SQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict
from sqlalchemy import Row, func, select

from osbench.common.plan import Plan
from osbench.common.task import Workload
from osbench.coordinator.store.schema import clock_fits, events, runs, tasks
from osbench.coordinator.store.sql_part import (
    SqlPart,
    columns_of,
    found,
    from_json,
    new_id,
    run_number_check,
    to_json,
)
from osbench.coordinator.store.values import ClockFit, Event, Run

_SHOWN = columns_of(runs, "contexts", "snapshot")


def _run(row: Row[Any]) -> Run:
    fields = dict(row._mapping)
    return Run(
        **{
            **fields,
            "workload": from_json(fields["workload"], Workload),
            "plan": None if fields["plan"] is None else from_json(fields["plan"], Plan),
            "accounting": from_json(fields["accounting"], dict),
            "verdict": from_json(fields["verdict"], dict),
        }
    )


class SqlRuns(SqlPart):
    """The verbs of contract.Runs."""

    def run_create(self, *, task: str, workload: Workload, run: str | None = None) -> Run:
        with self._database.writing() as connection:
            found(connection.execute(select(tasks.c.id).where(tasks.c.id == task)).first(), "task", task)
            last = connection.execute(select(func.max(runs.c.ordinal)).where(runs.c.task == task)).scalar()
            made = Run(
                id=run or new_id(),
                task=task,
                position=workload.position,
                ordinal=0 if last is None else last + 1,
                workload=workload,
                created_ns=self._clock.wall_ns(),
            )
            row = {column.name: getattr(made, column.name) for column in _SHOWN}
            texts = {"workload": to_json(workload), "accounting": "{}", "verdict": "{}"}
            connection.execute(runs.insert().values(**{**row, **texts}))
        return made

    def run_get(self, run: str) -> Run:
        with self._database.reading() as connection:
            return _run(found(connection.execute(select(*_SHOWN).where(runs.c.id == run)).first(), "run", run))

    def run_list(self, task: str) -> Sequence[Run]:
        with self._database.reading() as connection:
            statement = select(*_SHOWN).where(runs.c.task == task).order_by(runs.c.ordinal)
            return [_run(row) for row in connection.execute(statement)]

    def run_update(
        self,
        run: str,
        *,
        plan: Plan | UnsetType = UNSET,
        phase: str | UnsetType = UNSET,
        snapshot: bytes | UnsetType = UNSET,
        start_wall_ns: int | UnsetType = UNSET,
        accounting: Mapping[str, Any] | UnsetType = UNSET,
        verdict: Mapping[str, Any] | UnsetType = UNSET,
        ended_ns: int | UnsetType = UNSET,
    ) -> None:
        plain = {"phase": phase, "snapshot": snapshot, "start_wall_ns": start_wall_ns, "ended_ns": ended_ns}
        as_json = {"plan": plan, "accounting": accounting, "verdict": verdict}
        changes: dict[str, Any] = {name: value for name, value in plain.items() if value is not UNSET}
        changes |= {name: to_json(value) for name, value in as_json.items() if value is not UNSET}
        with self._database.writing() as connection:
            run_number_check(connection, runs, run)
            if changes:
                connection.execute(runs.update().where(runs.c.id == run).values(**changes))

    def run_snapshot(self, run: str) -> bytes:
        with self._database.reading() as connection:
            row = connection.execute(select(runs.c.snapshot).where(runs.c.id == run)).first()
            return found(row, "run", run)[0] or b""

    def run_contexts_update(self, run: str, contexts: Mapping[str, Any]) -> None:
        with self._database.writing() as connection:
            run_number_check(connection, runs, run)
            sealed = self._seal(connection, contexts)
            connection.execute(runs.update().where(runs.c.id == run).values(contexts=sealed))

    def run_contexts(self, run: str) -> dict[str, Any]:
        with self._database.reading() as connection:
            row = connection.execute(select(runs.c.contexts).where(runs.c.id == run)).first()
            return self._unseal(connection, found(row, "run", run)[0])

    def event_add(self, run: str, happened: Sequence[Event]) -> None:
        now = self._clock.wall_ns()
        rows = [{**asdict(event), "run": run, "wall_ns": event.wall_ns or now} for event in happened]
        with self._database.writing() as connection:
            run_number_check(connection, runs, run)
            if rows:
                connection.execute(events.insert(), rows)

    def event_list(self, run: str, *, kind: str | None = None) -> Sequence[Event]:
        statement = select(*columns_of(events, "run")).where(events.c.run == run).order_by(events.c.number)
        if kind is not None:
            statement = statement.where(events.c.kind == kind)
        with self._database.reading() as connection:
            return [Event(**row._mapping) for row in connection.execute(statement)]

    def clock_fit_add(self, run: str, fits: Sequence[ClockFit]) -> None:
        with self._database.writing() as connection:
            run_number_check(connection, runs, run)
            if fits:
                connection.execute(clock_fits.insert(), [{**asdict(fit), "run": run} for fit in fits])

    def clock_fit_list(self, run: str) -> Sequence[ClockFit]:
        wanted = select(*columns_of(clock_fits, "run")).where(clock_fits.c.run == run).order_by(clock_fits.c.number)
        with self._database.reading() as connection:
            return [ClockFit(**row._mapping) for row in connection.execute(wanted)]
