"""All clients against whole clouds: the simulated one, and the real one where it stands."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from cloud_targets import Target

from osbench.common.clock import SystemClock
from osbench.common.cloud.account import Account
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.credentials import CloudCredentials, SignInMethod, as_user
from osbench.common.cloud.curl import CurlTransport
from osbench.common.cloud.glance import Glance
from osbench.common.cloud.keystone import Keystone
from osbench.common.cloud.lookup import find_flavor, find_image, find_network
from osbench.common.cloud.microversion import negotiate
from osbench.common.cloud.neutron import Neutron
from osbench.common.cloud.nova import Nova, is_active, is_gone
from osbench.common.cloud.request_id import RequestIds
from osbench.common.cloud.session import Session
from osbench.common.error import CloudError
from osbench.common.naming import context_name, scenario_name
from osbench.common.record import CALL_RENEWAL
from osbench.common.scenarios.rehearsal import RehearsedCalls


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.realcloud)])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "real":
        found: Target = request.getfixturevalue("real_cloud")
        return found
    simulate: Callable[..., Target] = request.getfixturevalue("simulate")
    return simulate()


class Visit:
    """Sessions of several identities over one transport."""

    def __init__(self, run: str) -> None:
        self.clock = SystemClock()
        self.transport = CurlTransport(self.clock)
        self.sink = RehearsedCalls()
        self.ids = RequestIds(run)

    def session(self, credentials: CloudCredentials) -> Session:
        return Session(Account(credentials, self.clock, Random(1)), self.transport, self.sink, self.ids)

    def lines(self) -> list[tuple[str, int, int, int]]:
        return [(call.name, call.status, call.attempt, call.flags) for call in self.sink.calls]


@pytest.mark.slow
def test_every_client_does_what_it_says(target: Target) -> None:
    """A user is made, signs in, boots a server, finds it, deletes it, and is taken away again."""

    async def scenario() -> None:
        visit = Visit(target.run)
        admin = visit.session(target.admin)
        keystone = Keystone(admin)
        await admin.ensure_token()
        facts = admin.account.token_facts
        assert facts is not None
        assert "admin" in facts.roles

        (domain,) = [domain for domain in await keystone.list_domains() if domain.name == "Default"]
        roles = {role.name: role.id for role in await keystone.list_roles()}
        name = context_name(target.task, target.run, "t0")
        project = await keystone.create_project(name, domain_id=domain.id)
        user = await keystone.create_user(name, "pw-of-a-test", domain_id=domain.id, default_project_id=project.id)
        try:
            await keystone.add_role(roles["member"], user_id=user.id, project_id=project.id)
            (assignment,) = await keystone.list_role_assignments(user_id=user.id)
            assert assignment.role.id == roles["member"]
            assert [found.id for found in await keystone.list_users(name=name)] == [user.id]
            assert [found.id for found in await keystone.list_projects(name=name)] == [project.id]

            fields = {
                "username": name,
                "password": "pw-of-a-test",
                "user_domain_id": domain.id,
                "project_id": project.id,
            }
            member = visit.session(as_user(target.admin, fields))
            token = await Keystone(member).sign_in()
            assert (token.user_id, token.project_id) == (user.id, project.id)
            validated = await keystone.validate_token(token.value)
            assert (validated.user_id, validated.expires_at) == (user.id, token.expires_at)
            by_token = CloudCredentials(
                auth_url=target.admin.auth_url, method=SignInMethod.TOKEN, token=token.value, project_id=project.id
            )
            assert (await Keystone(member).sign_in(by_token)).user_id == user.id

            await _boot_and_delete(member, target)
        finally:
            await keystone.delete_user(user.id)
            for group in await Neutron(admin).list_security_groups(project_id=project.id):
                await Neutron(admin).delete_security_group(group.id)
            await keystone.delete_project(project.id)
        assert await keystone.list_users(name=name) == []
        await visit.transport.aclose()

    asyncio.run(scenario())


async def _boot_and_delete(member: Session, target: Target) -> None:
    nova, glance, neutron = Nova(member), Glance(member), Neutron(member)
    image = await find_image(glance, {"regex": "cirros.*"})
    assert (await glance.get_image(image.id)).name == image.name
    flavor = await find_flavor(nova, {"name": "m1.tiny"})
    assert (await nova.list_flavors(detailed=False))[0].id
    networks = await neutron.list_networks()
    assert (await find_network(neutron, {"id": networks[0].id})).name == networks[0].name
    assert (await neutron.get_network(networks[0].id)).id == networks[0].id
    assert await nova.list_keypairs() == []

    chosen = await negotiate(member, {"compute": "latest", "image": ""})
    for service, microversion in chosen.items():
        member.account.set_microversion(service, microversion)
    name = scenario_name(target.task, target.run, 0, 0)
    server = await nova.create_server(name, flavor.id, image.id, networks="none")
    while True:
        polled = await nova.poll_server(server.id)
        assert polled is not None
        if is_active(polled):
            break
        await asyncio.sleep(0.2)
    assert [found.name for found in await nova.list_servers()] == [name]
    assert [found.id for found in await nova.list_all_servers(detailed=False)] == [server.id]
    assert (await nova.get_server(server.id)).tenant_id
    await nova.delete_server(server.id)
    while not is_gone(await nova.poll_server(server.id)):
        await asyncio.sleep(0.2)
    # Nova shows what it has just deleted as DELETED for a moment, before it shows nothing any more.
    while await nova.poll_server(server.id) is not None:
        await asyncio.sleep(0.2)
    with pytest.raises(CallFailed) as caught:
        await nova.get_server(server.id)
    assert (caught.value.status, caught.value.message) == (404, "Instance <id> could not be found.")
    assert caught.value.request_id


@pytest.mark.slow
def test_a_token_the_cloud_does_not_take_is_replaced_and_the_call_made_again(target: Target) -> None:
    async def scenario() -> None:
        visit = Visit(target.run)
        session = visit.session(target.admin)
        await session.ensure_token()
        account = Account(target.admin, visit.clock, Random(1), urls=session.account.urls, token="gAAAAABno-such-token")
        visit.sink.calls.clear()

        await Keystone(Session(account, visit.transport, visit.sink, visit.ids)).list_domains()

        flags = [(name, status, attempt, flags & CALL_RENEWAL) for name, status, attempt, flags in visit.lines()]
        assert flags == [
            ("keystone GET /domains", 401, 1, 0),
            ("keystone POST /auth/tokens", 201, 1, CALL_RENEWAL),
            ("keystone GET /domains", 200, 2, 0),
        ]
        await visit.transport.aclose()

    asyncio.run(scenario())


@pytest.mark.slow
def test_what_is_not_there_and_who_may_not_in_are_said_in_the_clouds_words(target: Target) -> None:
    async def scenario() -> None:
        visit = Visit(target.run)
        with pytest.raises(CallFailed) as caught:
            await Keystone(visit.session(replace(target.admin, password="wrong"))).list_users()
        assert (caught.value.status, caught.value.route) == (401, "keystone POST /auth/tokens")
        assert "authentication" in caught.value.message

        session = visit.session(target.admin)
        with pytest.raises(
            CloudError, match=r"no image with name 'cirros-9' \(|no image with name 'cirros-9'; did you mean"
        ):
            await find_image(Glance(session), {"name": "cirros-9"})
        with pytest.raises(CloudError, match=r"no flavor with name 'm1\.nani'; did you mean 'm1\.nano'"):
            await find_flavor(Nova(session), {"name": "m1.nani"})
        await visit.transport.aclose()

    asyncio.run(scenario())
