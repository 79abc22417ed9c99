"""Tasks in SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from osbench.common.error import InputError
from osbench.common.task import TaskSpec
from osbench.coordinator.store.schema import deployments, resources, runs, task_tags, tasks
from osbench.coordinator.store.sql_part import SqlPart, columns_of, conditions, found, from_json, new_id, to_json
from osbench.coordinator.task_state import DEFAULT_OPTIONS, TASK_AT_REST, Task, TaskOptions, TaskStatus

#: Statuses that end a task and set its `ended_ns`.
_ENDS = frozenset({TaskStatus.VALIDATION_FAILED, TaskStatus.FINISHED, TaskStatus.ABORTED, TaskStatus.CRASHED})
_COLUMNS = columns_of(tasks)


def _task(row: Row[Any], tags: Sequence[str]) -> Task:
    fields = dict(row._mapping)
    return Task(
        **{
            **fields,
            "status": TaskStatus(fields["status"]),
            "spec": from_json(fields["spec"], TaskSpec),
            "tags": tuple(tags),
            "options": DEFAULT_OPTIONS if fields["options"] is None else from_json(fields["options"], TaskOptions),
        }
    )


class SqlTasks(SqlPart):
    """The verbs of contract.Tasks."""

    def task_create(
        self,
        *,
        deployment: str,
        spec: TaskSpec,
        source: str = "",
        tags: Sequence[str] = (),
        options: TaskOptions = DEFAULT_OPTIONS,
    ) -> Task:
        now = self._clock.wall_ns()
        task = Task(
            id=new_id(),
            deployment=deployment,
            title=spec.title,
            status=TaskStatus.INIT,
            spec=spec,
            source=source,
            tags=tuple(dict.fromkeys((*spec.tags, *tags))),
            created_ns=now,
            updated_ns=now,
            options=options,
        )
        with self._database.writing() as connection:
            known = select(deployments.c.id).where(deployments.c.id == deployment)
            found(connection.execute(known).first(), "deployment", deployment)
            row = {column.name: getattr(task, column.name) for column in _COLUMNS}
            connection.execute(tasks.insert().values(**{**row, "spec": to_json(spec), "options": to_json(options)}))
            if task.tags:
                connection.execute(task_tags.insert(), [{"task": task.id, "tag": tag} for tag in task.tags])
        return task

    @staticmethod
    def _task(connection: Connection, task: str) -> Task:
        row = found(connection.execute(select(*_COLUMNS).where(tasks.c.id == task)).first(), "task", task)
        statement = select(task_tags.c.tag).where(task_tags.c.task == task).order_by(task_tags.c.number)
        return _task(row, connection.execute(statement).scalars().all())

    def task_get(self, task: str) -> Task:
        with self._database.reading() as connection:
            return self._task(connection, task)

    def task_list(
        self, *, deployment: str | None = None, status: TaskStatus | None = None, tag: str | None = None
    ) -> Sequence[Task]:
        wanted = conditions(tasks, {"deployment": deployment, "status": None if status is None else status.value})
        statement = select(*_COLUMNS).where(*wanted).order_by(tasks.c.number)
        if tag is not None:
            statement = statement.where(tasks.c.id.in_(select(task_tags.c.task).where(task_tags.c.tag == tag)))
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
            tags: dict[str, list[str]] = {row.id: [] for row in rows}
            for of, word in connection.execute(select(task_tags.c.task, task_tags.c.tag).order_by(task_tags.c.number)):
                if of in tags:
                    tags[of].append(word)
        return [_task(row, tags[row.id]) for row in rows]

    def task_update_status(self, task: str, status: TaskStatus, *, failure: str = "") -> Task:
        with self._database.writing() as connection:
            self._task(connection, task).moved(status, failure)
            now = self._clock.wall_ns()
            ended = now if status in _ENDS else None
            changes = {"status": status.value, "failure": failure, "updated_ns": now, "ended_ns": ended}
            connection.execute(tasks.update().where(tasks.c.id == task).values(**changes))
            return self._task(connection, task)

    def task_delete(self, task: str, *, force: bool = False) -> None:
        with self._database.writing() as connection:
            status = self._task(connection, task).status
            of_task = resources.c.task.in_([task]) | resources.c.run.in_(select(runs.c.id).where(runs.c.task == task))
            if not force:
                if status not in TASK_AT_REST:
                    raise InputError(f"task {task} is {status}; abort it first, or force")
                held = connection.execute(select(func.count()).select_from(resources).where(of_task)).scalar_one()
                if held:
                    raise InputError(
                        f"task {task} still has {held} resources on the cloud; `osbench task resume` removes those of a "
                        "crashed task, --force forgets them"
                    )
            connection.execute(resources.delete().where(of_task))
            connection.execute(tasks.delete().where(tasks.c.id == task))
