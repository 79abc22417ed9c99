"""Resources and agents in SQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict
from sqlalchemy import select

from osbench.coordinator.store.schema import agents, resources
from osbench.coordinator.store.sql_part import SqlPart, columns_of, conditions, found, from_json, new_id, to_json
from osbench.coordinator.store.values import KnownAgent, Resource


class SqlResources(SqlPart):
    """The verbs of contract.Resources and contract.Agents."""

    def resource_create(
        self,
        *,
        kind: str,
        name: str,
        cloud_id: str = "",
        deployment: str = "",
        task: str = "",
        run: str = "",
        provider: str = "",
        info: Mapping[str, Any] | None = None,
    ) -> Resource:
        resource = Resource(
            id=new_id(),
            kind=kind,
            name=name,
            cloud_id=cloud_id,
            deployment=deployment,
            task=task,
            run=run,
            provider=provider,
            info=dict(info or {}),
            created_ns=self._clock.wall_ns(),
        )
        with self._database.writing() as connection:
            sealed = self._seal(connection, resource.info) if resource.info else None
            connection.execute(resources.insert().values(**{**asdict(resource), "info": sealed}))
        return resource

    def resource_update(
        self, resource: str, *, cloud_id: str | UnsetType = UNSET, info: Mapping[str, Any] | UnsetType = UNSET
    ) -> None:
        with self._database.writing() as connection:
            known = select(resources.c.id).where(resources.c.id == resource)
            found(connection.execute(known).first(), "resource", resource)
            changes: dict[str, Any] = {}
            if cloud_id is not UNSET:
                changes["cloud_id"] = cloud_id
            if info is not UNSET:
                changes["info"] = self._seal(connection, info) if info else None
            if changes:
                connection.execute(resources.update().where(resources.c.id == resource).values(**changes))

    def resource_list(
        self,
        *,
        deployment: str | None = None,
        task: str | None = None,
        run: str | None = None,
        kind: str | None = None,
        provider: str | None = None,
    ) -> Sequence[Resource]:
        wanted = {"deployment": deployment, "task": task, "run": run, "kind": kind, "provider": provider}
        statement = select(*columns_of(resources)).where(*conditions(resources, wanted)).order_by(resources.c.number)
        with self._database.reading() as connection:
            return [
                Resource(**{**row._mapping, "info": self._unseal(connection, row.info)})
                for row in connection.execute(statement).all()
            ]

    def resource_delete(self, resource: str) -> None:
        with self._database.writing() as connection:
            connection.execute(resources.delete().where(resources.c.id == resource))

    def agent_upsert(self, agent: KnownAgent) -> None:
        seen_ns = agent.seen_ns or self._clock.wall_ns()
        row = {**asdict(agent), "labels": to_json(agent.labels), "seen_ns": seen_ns}
        with self._database.writing() as connection:
            connection.execute(self._database.replace(agents), [row])

    def agent_list(self) -> Sequence[KnownAgent]:
        with self._database.reading() as connection:
            rows = connection.execute(select(agents).order_by(agents.c.name)).all()
        return [KnownAgent(**{**row._mapping, "labels": tuple(from_json(row.labels, list))}) for row in rows]

    def agent_delete(self, name: str) -> None:
        with self._database.writing() as connection:
            connection.execute(agents.delete().where(agents.c.name == name))
