"""What contexts make, kept in the store: recorded before it is made, with its id after, forgotten when it is gone."""

import asyncio

from osbench.coordinator.contexts.messages import CloudResource
from osbench.coordinator.store.contract import Resources


class StoreLedger:
    """The ledger of one run; implements contexts.process.Ledger.

    Args:
        store: where resources are kept. deployment, task, run: whose they are.
    """

    def __init__(self, store: Resources, *, deployment: str, task: str, run: str) -> None:
        self._store = store
        self._deployment = deployment
        self._task = task
        self._run = run
        self._rows: dict[tuple[str, str], str] = {}

    async def intended(self, resources: tuple[CloudResource, ...]) -> None:
        """Record these: they will be made next."""
        await asyncio.to_thread(self._intend, resources)

    async def made(self, resources: tuple[CloudResource, ...]) -> None:
        """Add their ids."""
        await asyncio.to_thread(self._make, resources)

    async def gone(self, resources: tuple[CloudResource, ...]) -> None:
        """Forget these."""
        await asyncio.to_thread(self._forget, resources)

    def recorded(self) -> tuple[CloudResource, ...]:
        """All that is recorded of this run, newest first: the order in which to remove it."""
        rows = self._store.resource_list(run=self._run)
        return tuple(
            CloudResource(kind=row.kind, name=row.name, cloud_id=row.cloud_id, project=str(row.info.get("project", "")))
            for row in reversed(rows)
        )

    def _intend(self, resources: tuple[CloudResource, ...]) -> None:
        for resource in resources:
            row = self._store.resource_create(
                kind=resource.kind,
                name=resource.name,
                cloud_id=resource.cloud_id,
                deployment=self._deployment,
                task=self._task,
                run=self._run,
                info={"project": resource.project},
            )
            self._rows[resource.kind, resource.name] = row.id

    def _make(self, resources: tuple[CloudResource, ...]) -> None:
        for resource in resources:
            row = self._rows.get((resource.kind, resource.name))
            if row is not None:
                self._store.resource_update(row, cloud_id=resource.cloud_id, info={"project": resource.project})

    def _forget(self, resources: tuple[CloudResource, ...]) -> None:
        named = {(resource.kind, resource.name) for resource in resources}
        ids = {resource.cloud_id for resource in resources if resource.cloud_id}
        for row in self._store.resource_list(run=self._run):
            if (row.kind, row.name) in named or (row.cloud_id and row.cloud_id in ids):
                self._store.resource_delete(row.id)
