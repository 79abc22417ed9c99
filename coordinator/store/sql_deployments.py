"""Deployments in SQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Row, func, or_, select

from osbench.common.error import InputError, NotFoundError
from osbench.common.nearest import did_you_mean
from osbench.coordinator.deployment_state import Deployment, DeploymentSecrets, DeploymentStatus
from osbench.coordinator.store.schema import deployments, resources, tasks
from osbench.coordinator.store.sql_part import SqlPart, columns_of, found, new_id

#: Names of deployments listed in a message.
MAX_NAMES = 10
_SHOWN = columns_of(deployments, "spec", "credentials")


def _deployment(row: Row[Any]) -> Deployment:
    fields = dict(row._mapping)
    return Deployment(**{**fields, "status": DeploymentStatus(fields["status"])})


class SqlDeployments(SqlPart):
    """The verbs of contract.Deployments."""

    def deployment_create(
        self, *, name: str, engine: str, spec: Mapping[str, Any], parent: str | None = None
    ) -> Deployment:
        now = self._clock.wall_ns()
        deployment = Deployment(
            id=new_id(),
            name=name,
            engine=engine,
            status=DeploymentStatus.INIT,
            parent=parent,
            created_ns=now,
            updated_ns=now,
        )
        with self._database.writing() as connection:
            self._check_name_free(connection, name)
            if parent is not None:
                self._row(connection, parent)
            row = {column.name: getattr(deployment, column.name) for column in _SHOWN}
            connection.execute(deployments.insert().values(**row, spec=self._seal(connection, spec)))
        return deployment

    @staticmethod
    def _check_name_free(connection: Connection, name: str) -> None:
        if not 0 < len(name) <= 255:
            raise InputError(f"a deployment's name has 1 to 255 characters, {name!r:.40} has {len(name)}")
        if connection.execute(select(deployments.c.id).where(deployments.c.name == name)).first():
            raise InputError(f"a deployment named {name!r} exists; choose another name or destroy it first")

    @staticmethod
    def _row(connection: Connection, reference: str) -> Row[Any]:
        # An id wins over a name that looks like another deployment's id.
        statement = (
            select(*_SHOWN)
            .where(or_(deployments.c.id == reference, deployments.c.name == reference))
            .order_by((deployments.c.id == reference).desc())
        )
        row = connection.execute(statement).first()
        if row is None:
            names = connection.execute(select(deployments.c.name).order_by(deployments.c.number)).scalars().all()
            there = f"there are {', '.join(names[:MAX_NAMES])}" if names else "there is none yet"
            raise NotFoundError(
                f"no deployment is called {reference!r:.80}{did_you_mean(reference, names)}; {there}; "
                "`osbench deployment list` shows all"
            )
        return row

    def deployment_get(self, reference: str) -> Deployment:
        with self._database.reading() as connection:
            return _deployment(self._row(connection, reference))

    def deployment_list(self, *, status: DeploymentStatus | None = None) -> Sequence[Deployment]:
        statement = select(*_SHOWN).order_by(deployments.c.number)
        if status is not None:
            statement = statement.where(deployments.c.status == status.value)
        with self._database.reading() as connection:
            return [_deployment(row) for row in connection.execute(statement)]

    def deployment_secrets(self, deployment: str) -> DeploymentSecrets:
        statement = select(deployments.c.spec, deployments.c.credentials).where(deployments.c.id == deployment)
        with self._database.reading() as connection:
            spec, credentials = found(connection.execute(statement).first(), "deployment", deployment)
            return DeploymentSecrets(
                spec=self._unseal(connection, spec), credentials=self._unseal(connection, credentials)
            )

    def deployment_update(
        self,
        deployment: str,
        *,
        name: str | UnsetType = UNSET,
        spec: Mapping[str, Any] | UnsetType = UNSET,
        credentials: Mapping[str, Any] | UnsetType = UNSET,
    ) -> Deployment:
        with self._database.writing() as connection:
            before = self._row(connection, deployment)
            changes: dict[str, Any] = {"updated_ns": self._clock.wall_ns()}
            if name is not UNSET and name != before.name:
                self._check_name_free(connection, name)
                changes["name"] = name
            if spec is not UNSET:
                changes["spec"] = self._seal(connection, spec)
            if credentials is not UNSET:
                changes["credentials"] = self._seal(connection, credentials)
            connection.execute(deployments.update().where(deployments.c.id == before.id).values(**changes))
            return _deployment(self._row(connection, before.id))

    def deployment_update_status(self, deployment: str, status: DeploymentStatus, *, failure: str = "") -> Deployment:
        with self._database.writing() as connection:
            moved = _deployment(self._row(connection, deployment)).moved(status, failure)
            now = self._clock.wall_ns()
            changes: dict[str, Any] = {"status": status.value, "failure": failure, "updated_ns": now}
            if status is DeploymentStatus.STARTED:
                changes |= {"started_ns": now, "completed_ns": None}
            elif status is DeploymentStatus.FINISHED:
                changes["completed_ns"] = now
            connection.execute(deployments.update().where(deployments.c.id == moved.id).values(**changes))
            return _deployment(self._row(connection, moved.id))

    def deployment_delete(self, deployment: str) -> None:
        with self._database.writing() as connection:
            row = self._row(connection, deployment)
            owners = (
                ("tasks", tasks.c.deployment),
                ("resources", resources.c.deployment),
                ("deployments within it", deployments.c.parent),
            )
            for what, column in owners:
                held = connection.execute(select(func.count()).where(column == row.id)).scalar_one()
                if held:
                    raise InputError(f"deployment {row.name!r} still has {held} {what}; delete or clean up those first")
            connection.execute(deployments.delete().where(deployments.c.id == row.id))
