"""The simulated cloud answers as the real one does: the same scenario on both, every call compared.

Compared are, for each kind of call: which statuses came, the names of the headers and the keys of the bodies. What may
differ stands below with its reason; everything else is a fault of the simulated cloud.
"""

import asyncio
from collections.abc import Callable, Iterator

import orjson
import pytest
from cloud_targets import Target, Trip
from recorded_calls import RecordingTransport, Shape

from osbench.common.clock import SystemClock
from osbench.common.cloud.administration import CloudView, sign_in_over
from osbench.common.cloud.contract import CallFailed, Request
from osbench.common.cloud.curl import CurlTransport
from osbench.common.error import CloudError
from osbench.common.scenarios.registry import SCENARIOS
from osbench.coordinator.cleanup import Scope, clean_up
from osbench.coordinator.contexts.contract import Stage
from osbench.coordinator.contexts.messages import CloudResource, SetUpDone
from osbench.coordinator.contexts.resolve import resolve_arguments
from osbench.coordinator.contexts.users import UsersContext

pytestmark = [pytest.mark.realcloud, pytest.mark.slow]

#: Headers that belong to the HTTP server, not to OpenStack.
SERVER_HEADERS = {
    "date": "RFC 9110 asks it of servers with a clock; uwsgi --http-socket sends none",
    "server": "names the HTTP server",
    "connection": "uwsgi --http-socket closes every connection, the simulated cloud keeps them",
    "keep-alive": "as connection",
    "transfer-encoding": "the HTTP server's choice against content-length",
    "content-length": "the HTTP server's choice against transfer-encoding",
}
#: `kind of call: header or key` that only one of the two has, and why that is right.
_SEED = "a property of that very image, set by the tool that uploaded it there"
ALLOWED: dict[str, str] = {
    "image GET /v2/images?limit 200: key images[].owner_specified.openstack.md5 only on the real cloud": _SEED,
    "image GET /v2/images?limit 200: key images[].owner_specified.openstack.object only on the real cloud": _SEED,
    "image GET /v2/images?limit 200: key images[].owner_specified.openstack.sha256 only on the real cloud": _SEED,
    "identity POST /v3/users 403: only on the simulated cloud": (
        "Keystone checks a body against its schema before it looks at who asks: a body that does not fit, of somebody who "
        "may not ask, is 400 there and 403 here; either is a refusal of what no client of ours sends"
    ),
}

BOOT = "NovaServers.boot_and_delete_server"


class Silent:
    """A reporter nobody listens to."""

    async def intend(self, resources: tuple[CloudResource, ...]) -> None: ...
    def made(self, *resources: CloudResource) -> None: ...
    def gone(self, *resources: CloudResource) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...


async def scenario(target: Target, transport: RecordingTransport) -> None:
    """The load, with what stands around it."""
    cloud = await sign_in_over(transport, target.admin)
    stage = Stage(task=target.task, run=target.run, cloud=cloud, reporter=Silent())
    try:
        await UsersContext.configured({"tenants": 2, "users_per_tenant": 2, "resource_management_workers": 1}).set_up(
            stage
        )
        references = {"image": {"name": "^cirros.*-disk$"}, "flavor": {"name": "m1.tiny"}}
        arguments = await resolve_arguments(cloud, SCENARIOS[BOOT], references)
        done = SetUpDone(request=0, cloud=cloud.cloud_access, users=tuple(stage.users), admin=None, arguments=arguments)
        trip = Trip(done, target, transport)
        await trip.go("Authenticate.keystone")
        await trip.go(BOOT, auto_assign_nic=True, meta={"a": "b"}, **arguments)
        await trip.go("NovaServers.list_servers")
        await trip.go("NovaServers.list_servers", detailed=False)
        await refusals(cloud, arguments)
        member = await cloud.sign_in_again(stage.users[0])
        await refusals(member, arguments)
        await leave_a_server(member, target, arguments)
    finally:
        await clean_up(cloud, Scope(task=target.task), Silent())


async def leave_a_server(member: CloudView, target: Target, arguments: dict[str, str]) -> None:
    """A server for clean-up to find, listed while it is there."""
    server = {"name": f"s_osb_{target.task.replace('-', '')[:12]}_0", "imageRef": arguments["image"]}
    created = await member.call(
        "POST", "compute", "/servers", body={"server": {**server, "flavorRef": arguments["flavor"]}}
    )
    for _ in range(100):
        shown = (await member.call("GET", "compute", f"/servers/{created['server']['id']}"))["server"]
        if shown["status"] == "ACTIVE":
            break
        await asyncio.sleep(0.3)
    await member.call("GET", "compute", "/servers/detail")
    await member.call("GET", "compute", "/servers")


#: A listing of each service.
LISTINGS = {
    "compute": "/servers",
    "image": "/images",
    "network": "/networks",
    "identity": "/users",
    "block-storage": "/volumes",
}
NOBODY = "0123456789abcdef0123456789abcdef"
NOTHING = "01234567-89ab-cdef-0123-456789abcdef"


async def refusals(cloud: CloudView, arguments: dict[str, str]) -> None:
    """What the services refuse, and how; and what else a reader of the cloud asks."""
    boot = {"name": "s_osb_x", "imageRef": arguments["image"], "flavorRef": arguments["flavor"]}
    asked: list[tuple[str, str, str, object]] = [
        ("GET", "compute", f"/servers/{NOTHING}", None),
        ("DELETE", "compute", f"/servers/{NOTHING}", None),
        ("POST", "compute", f"/servers/{NOTHING}/action", {"forceDelete": None}),
        ("POST", "compute", "/servers", {"server": {**boot, "flavorRef": "no-such-flavor"}}),
        ("POST", "compute", "/servers", {"server": {**boot, "imageRef": NOTHING}}),
        ("POST", "compute", "/servers", {"server": {**boot, "networks": [{"uuid": NOTHING}]}}),
        ("POST", "compute", "/servers", {"server": {"name": "s_osb_x"}}),
        ("POST", "compute", "/servers", {}),
        ("GET", "compute", "/servers?limit=x", None),
        ("GET", "compute", "/no-such-thing", None),
        ("GET", "compute", "/flavors/no-such-flavor", None),
        ("GET", "compute", "/flavors", None),
        ("GET", "compute", "/flavors/detail", None),
        ("GET", "compute", "/limits", None),
        ("GET", "image", f"/images/{NOTHING}", None),
        ("GET", "image", "/images?limit=1", None),
        ("GET", "network", f"/networks/{NOTHING}", None),
        ("GET", "network", "/networks", None),
        ("GET", "network", "/subnets", None),
        ("GET", "identity", f"/users/{NOBODY}", None),
        ("DELETE", "identity", f"/projects/{NOBODY}", None),
        ("GET", "identity", "/users?name=admin", None),
        ("GET", "identity", "/no-such-thing", None),
        ("POST", "identity", "/users", {"user": {}}),
        ("POST", "identity", "/projects", {"project": {"name": "admin", "domain_id": "default"}}),
        ("GET", "identity", "/auth/catalog", None),
    ]
    for method, service, path, body in asked:
        try:
            await cloud.call(method, service, path, body=body)  # type: ignore[arg-type]
        except CallFailed:
            continue


async def without_a_token(target: Target, transport: RecordingTransport) -> None:
    """What is answered to whoever has no token, or a wrong one, and which versions are told."""
    cloud = await sign_in_over(transport, target.admin)
    urls = {service: url for service, url in cloud.account.urls.items() if service != "placement"}
    for service, url in urls.items():
        for headers in ((), ("X-Auth-Token: wrong",)):
            await transport.exchange(Request("GET", url + LISTINGS[service], headers))
        root = url.partition("/v2")[0].partition("/v3")[0]
        await transport.exchange(Request("GET", root + "/"))
    await transport.exchange(Request("GET", urls["compute"] + "/"))
    await transport.exchange(Request("GET", urls["identity"]))
    wrong = orjson.loads(cloud.account.body)
    wrong["auth"]["identity"]["password"]["user"]["password"] = "wrong"
    bodies: list[object] = [wrong, {"auth": {}}, {}]
    for body in bodies:
        headers = ("Content-Type: application/json",)
        await transport.exchange(Request("POST", urls["identity"] + "/auth/tokens", headers, orjson.dumps(body)))
    try:
        await cloud.sign_in_member(NOBODY, "x", NOBODY)
    except (CallFailed, CloudError):
        pass


def shapes_of(target: Target, part: Callable[[Target, RecordingTransport], object]) -> dict[str, Shape]:
    async def whole() -> dict[str, Shape]:
        transport = RecordingTransport(CurlTransport(SystemClock()))
        try:
            await part(target, transport)  # type: ignore[misc]
        finally:
            await transport.aclose()
        return transport.shapes

    return asyncio.run(whole())


def differences(real: dict[str, Shape], simulated: dict[str, Shape]) -> Iterator[str]:
    """One line for each thing that only one of the two has."""
    for kind in sorted(real.keys() | simulated.keys()):
        if kind not in real or kind not in simulated:
            yield f"{kind}: only on the {'real' if kind in real else 'simulated'} cloud"
            continue
        for what in ("headers", "keys"):
            ours, theirs = getattr(simulated[kind], what), getattr(real[kind], what)
            for name in sorted(ours ^ theirs):
                if what == "headers" and name in SERVER_HEADERS:
                    continue
                side = "real" if name in theirs else "simulated"
                yield f"{kind}: {what[:-1]} {name} only on the {side} cloud"


@pytest.mark.parametrize("part", [scenario, without_a_token])
def test_the_simulated_cloud_answers_as_the_real_one(
    part: Callable[[Target, RecordingTransport], object], real_cloud: Target, simulate: Callable[..., Target]
) -> None:
    found = list(differences(shapes_of(real_cloud, part), shapes_of(simulate(), part)))
    unexpected = [line for line in found if line not in ALLOWED]

    assert unexpected == []


def test_no_allowed_difference_is_out_of_date(real_cloud: Target, simulate: Callable[..., Target]) -> None:
    target = simulate()
    found = {
        line
        for part in (scenario, without_a_token)
        for line in differences(shapes_of(real_cloud, part), shapes_of(target, part))
    }

    assert set(ALLOWED) - found == set()
