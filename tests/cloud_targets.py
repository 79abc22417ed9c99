"""A cloud to try things on, what is on it, and a ledger in memory."""

import asyncio
import uuid
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from osbench.common.clock import SystemClock
from osbench.common.cloud.administration import open_cloud
from osbench.common.cloud.clients import CloudClients, transport_options
from osbench.common.cloud.contract import Transport
from osbench.common.cloud.credentials import CloudCredentials, CloudSpec
from osbench.common.cloud.curl import CurlTransport
from osbench.common.job import Job
from osbench.common.plan import ClosedLoop, Plan, Polling
from osbench.common.scenarios.registry import SCENARIOS
from osbench.common.scenarios.rehearsal import Rehearsal
from osbench.coordinator.contexts.messages import CleanUp, CloudResource, SetUp, SetUpDone


@dataclass(frozen=True, kw_only=True)
class Target:
    """A cloud to try things on, and a task and a run that nobody else has."""

    admin: CloudCredentials
    users: tuple[CloudCredentials, ...] = ()
    task: str = field(default_factory=lambda: str(uuid.uuid4()))
    run: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def credentials(self) -> dict[str, Any]:
        """As a deployment keeps them."""
        plain: dict[str, Any] = msgspec.to_builtins(CloudSpec(admin=self.admin, users=self.users))
        return plain

    def set_up(self, scenario: str = "Dummy.dummy", **order: Any) -> SetUp:
        return SetUp(request=0, task=self.task, run=self.run, credentials=self.credentials, scenario=scenario, **order)

    def clean_up(self, **order: Any) -> CleanUp:
        return CleanUp(request=0, task=self.task, credentials=self.credentials, **order)

    def holds(self) -> dict[str, list[str]]:
        """Names of its users, projects, servers and volumes, and of the security groups that belong to no project there."""

        async def look() -> dict[str, list[str]]:
            async with open_cloud(self.admin) as cloud:
                users = (await cloud.call("GET", "identity", "/users"))["users"]
                projects = (await cloud.call("GET", "identity", "/projects"))["projects"]
                servers = (await cloud.call("GET", "compute", "/servers", query={"all_tenants": "1"}))["servers"]
                volumes = (await cloud.call("GET", "block-storage", "/volumes", query={"all_tenants": "1"}))["volumes"]
                groups = (await cloud.call("GET", "network", "/security-groups"))["security_groups"]
                ids = {project["id"] for project in projects}
                return {
                    "users": sorted(user["name"] for user in users),
                    "projects": sorted(project["name"] for project in projects),
                    "volumes": sorted(volume["name"] for volume in volumes),
                    "servers": sorted(server["name"] for server in servers),
                    "orphans": sorted(group["id"] for group in groups if group["tenant_id"] not in ids),
                }

        return asyncio.run(look())


class Book:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.intended_names: list[str] = []
        self.there: dict[tuple[str, str], str] = {}

    async def intended(self, resources: tuple[CloudResource, ...]) -> None:
        self.intended_names.extend(resource.name for resource in resources)

    async def made(self, resources: tuple[CloudResource, ...]) -> None:
        for resource in resources:
            assert resource.name in self.intended_names, f"{resource.name} was made before it was recorded"
            assert resource.cloud_id, resource.name
            self.there[resource.kind, resource.name] = resource.cloud_id

    async def gone(self, resources: tuple[CloudResource, ...]) -> None:
        for resource in resources:
            self.there.pop((resource.kind, resource.name), None)


class Trip:
    """Iterations run here, one after the other, on a cloud whose contexts are set up."""

    def __init__(self, done: SetUpDone, target: Target, transport: Transport | None = None) -> None:
        self.done = done
        self.target = target
        self.clock = SystemClock()
        self.transport = transport or CurlTransport(self.clock, transport_options(done.cloud))

    async def go(self, scenario: str, polling: str = "fast", index: int = 0, **arguments: Any) -> Rehearsal:
        """One iteration.

        Raises:
            CallFailed: the iteration failed.
        """
        plan = Plan(
            run=self.target.run,
            task=self.target.task,
            scenario=scenario,
            arguments=arguments,
            schedule=ClosedLoop(concurrency=1, iterations=1),
            seed=1,
            polling=Polling(mode=polling),
        )
        job = Job(plan=plan, cloud=self.done.cloud, users=self.done.users, admin=self.done.admin)
        clients = CloudClients(job, self.transport, self.clock, Random(1))
        it = Rehearsal(job, index, client=clients.client, clock=self.clock)
        await SCENARIOS[scenario].function(it, **arguments)
        return it
