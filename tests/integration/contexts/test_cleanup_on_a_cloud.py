import asyncio
import uuid
from collections.abc import Callable

import pytest
from cloud_targets import Target

from osbench.common.cloud.administration import CloudView, open_cloud
from osbench.common.naming import context_name, scenario_name
from osbench.coordinator.cleanup import Outcome, Scope, clean_up
from osbench.coordinator.cleanup_kinds import Servers
from osbench.coordinator.contexts.messages import CloudResource

pytestmark = pytest.mark.slow

Simulate = Callable[..., Target]


class Silent:
    """A reporter nobody listens to."""

    async def intend(self, resources: tuple[CloudResource, ...]) -> None: ...
    def made(self, *resources: CloudResource) -> None: ...
    def gone(self, *resources: CloudResource) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...


async def make_server(cloud: CloudView, name: str, **more: object) -> str:
    body = {"server": {"name": name, "imageRef": await an_image(cloud), "flavorRef": "1", **more}}
    identity: str = (await cloud.call("POST", "compute", "/servers", body=body))["server"]["id"]
    return identity


async def an_image(cloud: CloudView) -> str:
    identity: str = (await cloud.call("GET", "image", "/images"))["images"][0]["id"]
    return identity


async def make_project(cloud: CloudView, name: str) -> str:
    body = {"project": {"name": name, "domain_id": "default"}}
    identity: str = (await cloud.call("POST", "identity", "/projects", body=body))["project"]["id"]
    return identity


async def member_of(cloud: CloudView, project: str, name: str) -> CloudView:
    body = {"user": {"name": name, "password": "x", "domain_id": "default", "default_project_id": project}}
    user = (await cloud.call("POST", "identity", "/users", body=body))["user"]["id"]
    roles = (await cloud.call("GET", "identity", "/roles", query={"name": "member"}))["roles"]
    await cloud.call("PUT", "identity", f"/projects/{project}/users/{user}/roles/{roles[0]['id']}")
    return await cloud.sign_in_again(await cloud.sign_in_member(user, "x", project))


def test_only_what_is_in_scope_goes_wherever_it_is(simulate: Simulate) -> None:
    target = simulate()
    other = str(uuid.uuid4())

    async def whole() -> None:
        async with open_cloud(target.admin) as cloud:
            project = await make_project(cloud, context_name(target.task, target.run, "t0"))
            member = await member_of(cloud, project, context_name(target.task, target.run, "t0u0"))
            name = scenario_name(target.task, target.run, 5, 0)
            await make_server(member, name)
            customer = await member_of(cloud, await make_project(cloud, "customer"), "customer-user")
            await make_server(customer, name, min_count=2, max_count=2)
            await make_server(customer, scenario_name(other, target.run, 5, 0))
            await make_server(customer, "web-1")

            outcome = await clean_up(cloud, Scope(task=target.task), Silent())

            assert outcome.leftovers == []
            assert outcome.removed["server"] == 3

    asyncio.run(whole())

    assert target.holds()["servers"] == sorted([scenario_name(other, target.run, 5, 0), "web-1"])


def test_a_server_that_will_not_go_is_named_and_its_project_and_user_stay(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Servers, "patience_s", 1.0)
    target = simulate(stuck={"server_delete": 1.0})

    async def whole() -> Outcome:
        async with open_cloud(target.admin) as cloud:
            project = await make_project(cloud, context_name(target.task, target.run, "t0"))
            await make_project(cloud, context_name(target.task, target.run, "t1"))
            member = await member_of(cloud, project, context_name(target.task, target.run, "t0u0"))
            await make_server(member, scenario_name(target.task, target.run, 5, 0))
            return await clean_up(cloud, Scope(task=target.task), Silent())

    outcome = asyncio.run(whole())

    assert [left.resource.kind for left in outcome.leftovers if left.resource.kind != "port"] == [
        "server",
        "user",
        "project",
    ]
    assert outcome.removed["project"] == 1


def test_a_listing_that_fails_for_good_is_a_leftover_of_its_own(simulate: Simulate) -> None:
    target = simulate(faults=[{"method": "GET", "path": "/servers/detail$", "then": {"kind": "status", "status": 503}}])

    async def whole() -> Outcome:
        async with open_cloud(target.admin) as cloud:
            return await clean_up(cloud, Scope(task=target.task), Silent())

    [left] = asyncio.run(whole()).leftovers

    assert left.reason.startswith("cannot be listed: nova GET /servers/detail: http_503")


def test_whoever_may_not_see_all_projects_looks_through_his_own(simulate: Simulate) -> None:
    target = simulate()

    async def whole() -> Outcome:
        async with open_cloud(target.admin) as cloud:
            project = await make_project(cloud, "customer")
            member = await member_of(cloud, project, "customer-user")
            await make_server(member, scenario_name(target.task, target.run, 5, 0))
            return await clean_up(member, Scope(task=target.task), Silent())

    outcome = asyncio.run(whole())

    assert (outcome.removed, outcome.leftovers) == ({"server": 1}, [])
    assert target.holds()["servers"] == []
