"""Sessions: what is sent, what is recorded, and what is tried again."""

import asyncio
import uuid
from collections.abc import Awaitable
from random import Random
from typing import Any

import orjson
import pytest

from osbench.common.clock import NS_PER_S, ManualClock
from osbench.common.cloud.account import Account
from osbench.common.cloud.contract import CallFailed, Exchange, Failure, Request
from osbench.common.cloud.credentials import CloudCredentials, SignInMethod
from osbench.common.cloud.identity import Token
from osbench.common.cloud.keystone import Keystone
from osbench.common.cloud.nova import CREATE_SERVER, GET_SERVER, Nova
from osbench.common.cloud.request_id import RequestIds
from osbench.common.cloud.scripted import ScriptedTransport, answer, failure
from osbench.common.cloud.session import DiscardedCalls, Session
from osbench.common.error import CloudError
from osbench.common.outcome import Outcome
from osbench.common.record import CALL_NEW_CONNECTION, CALL_RENEWAL, CALL_WAITING
from osbench.common.scenarios.rehearsal import RehearsedCall, RehearsedCalls

RUN = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
SERVER = {"server": {"id": "1", "name": "s", "status": "ACTIVE"}}
CREDENTIALS = CloudCredentials(auth_url="http://k:5000/v3", username="u", password="pw", user_domain_name="Default")


def token_answer(value: str, expires_at: str = "2030-01-01T00:00:00.000000Z", catalog: Any = None) -> Exchange:
    token = {
        "user": {"id": "u1", "name": "u"},
        "project": {"id": "p1", "name": "p"},
        "roles": [{"id": "r", "name": "member"}],
        "expires_at": expires_at,
        "catalog": catalog or [],
    }
    return answer(201, {"token": token}, {"X-Subject-Token": value})


class Stand:
    """A session on a scripted cloud."""

    def __init__(
        self, token: str = "old", expires_at: float = 0.0, credentials: CloudCredentials = CREDENTIALS, **more: Any
    ) -> None:
        self.clock = ManualClock()
        self.transport = ScriptedTransport(self.clock)
        more.setdefault("urls", {"compute": "http://n:8774/v2.1"})
        self.account = Account(credentials, self.clock, Random(1), token=token, expires_at=expires_at, **more)
        self.sink = RehearsedCalls()
        self.session = Session(self.account, self.transport, self.sink, RequestIds(RUN), 7)
        self.nova = Nova(self.session)

    def headers(self, place: int) -> dict[str, str]:
        return dict(line.split(": ", 1) for line in self.transport.requests[place].headers)

    def recorded(self) -> list[tuple[str, str, int, int, int]]:
        """Name, outcome, status, attempt and flags of each call."""
        return [(call.name, call.outcome.name, call.status, call.attempt, call.flags) for call in self.sink.calls]

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.transport.requests]


def run(call: Awaitable[Any]) -> Any:
    async def awaited() -> Any:
        return await call

    return asyncio.run(awaited())


def test_a_call_carries_token_microversion_and_an_id_anybody_can_work_out() -> None:
    stand = Stand(microversions={"compute": "2.90"})
    stand.transport.on("GET", "/v2.1/servers/1", answer(200, SERVER))

    run(stand.nova.get_server("1"))
    run(stand.nova.get_server("1"))

    expected_ids = [f"req-{uuid.uuid5(uuid.UUID(RUN), name)}" for name in ("7/0", "7/1")]
    assert [stand.headers(place)["X-OpenStack-Request-ID"] for place in (0, 1)] == expected_ids
    assert stand.headers(0) | {"X-OpenStack-Request-ID": ""} == {
        "X-Auth-Token": "old",
        "Accept": "application/json",
        "User-Agent": "osbench",
        "OpenStack-API-Version": "compute 2.90",
        "X-OpenStack-Nova-API-Version": "2.90",
        "X-OpenStack-Request-ID": "",
    }


def test_a_call_is_recorded_by_its_route_with_the_services_own_id() -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2.1/servers/1", answer(200, SERVER, {"X-Openstack-Request-Id": "req-theirs"}))

    run(stand.nova.get_server("1"))

    assert stand.sink.calls == [
        RehearsedCall(
            name="nova GET /servers/{id}",
            action=-1,
            outcome=Outcome.OK,
            status=200,
            error="",
            attempt=1,
            flags=0,
            started_ns=0,
            ended_ns=1_000_000,
            request_id="req-theirs",
        )
    ]


def test_a_poll_is_flagged_and_a_server_that_is_gone_is_an_answer() -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2.1/servers/1", answer(404, {"itemNotFound": {"message": "no", "code": 404}}))

    assert run(stand.nova.poll_server("1")) is None
    assert stand.recorded() == [("nova GET /servers/{id}", "OK", 404, 1, CALL_WAITING)]


def test_an_unexpected_status_is_recorded_as_failed_and_raised_with_the_services_words() -> None:
    stand = Stand()
    message = "No valid host was found for 0d6e1bd1-9ba4-4ec4-b1c4-1d2c1b9d6ae1"
    refusal = {"conflictingRequest": {"code": 409, "message": message}}
    stand.transport.on("POST", "/v2.1/servers", answer(409, refusal, {"X-Openstack-Request-Id": "req-x"}))

    with pytest.raises(CallFailed) as caught:
        run(stand.nova.create_server("n", "f", "i"))

    assert (caught.value.kind, caught.value.status, caught.value.is_unknown) == ("http_409", 409, False)
    assert str(caught.value) == "nova POST /servers: http_409: No valid host was found for <id>"
    assert stand.recorded() == [("nova POST /servers", "FAILED", 409, 1, 0)]
    assert stand.sink.calls[0].error == f"http_409: {caught.value}"
    assert "request req-x" in str(caught.value.as_cloud_error("booting"))


@pytest.mark.parametrize(
    ("kind", "sent_bytes", "is_create", "outcome"),
    [
        (Failure.TIMEOUT, 100, True, "UNKNOWN"),  # the create may have been executed
        (Failure.CUT, 100, True, "UNKNOWN"),
        (Failure.RESET, 100, True, "UNKNOWN"),
        (Failure.REFUSED, 0, True, "FAILED"),  # nothing reached the wire
        (Failure.CONNECT_TIMEOUT, 0, True, "FAILED"),
        (Failure.TIMEOUT, 100, False, "FAILED"),  # a GET leaves nothing behind
        (Failure.RESET, 100, False, "FAILED"),
    ],
)
def test_a_lost_answer_leaves_only_creates_unknown(
    kind: Failure, sent_bytes: int, is_create: bool, outcome: str
) -> None:
    stand = Stand()
    stand.transport.on("POST", "/v2.1/servers", failure(kind, "why", sent_bytes=sent_bytes))
    stand.transport.on("GET", "/v2.1/servers/1", failure(kind, "why", sent_bytes=sent_bytes))

    with pytest.raises(CallFailed) as caught:
        run(stand.nova.create_server("n", "f") if is_create else stand.nova.get_server("1"))

    assert caught.value.is_unknown == (outcome == "UNKNOWN")
    assert (caught.value.kind, caught.value.message) == (kind.value, "why")
    name = "nova POST /servers" if is_create else "nova GET /servers/{id}"
    assert stand.recorded() == [(name, outcome, 0, 1, CALL_NEW_CONNECTION)]
    assert len(stand.transport.requests) == 1


def test_a_call_given_up_in_flight_is_recorded_as_unknown() -> None:
    """An iteration that is timed out or aborted may leave a server behind: the record must show the create."""
    stand = Stand()

    async def never(request: Request) -> Exchange:
        future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        return await future

    stand.transport.exchange = never  # type: ignore[method-assign]

    async def scenario() -> None:
        create = asyncio.ensure_future(stand.nova.create_server("n", "f"))
        await asyncio.sleep(0)
        stand.clock.advance(NS_PER_S)
        create.cancel()
        with pytest.raises(asyncio.CancelledError):
            await create

    asyncio.run(scenario())

    assert stand.recorded() == [("nova POST /servers", "UNKNOWN", 0, 1, 0)]
    assert stand.sink.calls[0].error == "cancelled: nova POST /servers: given up before its answer came"
    assert stand.sink.calls[0].ended_ns - stand.sink.calls[0].started_ns == NS_PER_S


def test_a_401_is_tried_again_once_after_a_fresh_sign_in_and_all_three_are_recorded() -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2.1/servers/1", answer(401), answer(200, SERVER))
    stand.transport.on("POST", "/v3/auth/tokens", token_answer("new"))

    assert run(stand.nova.get_server("1")).status == "ACTIVE"
    assert stand.recorded() == [
        ("nova GET /servers/{id}", "FAILED", 401, 1, 0),
        ("keystone POST /auth/tokens", "OK", 201, 1, CALL_RENEWAL),
        ("nova GET /servers/{id}", "OK", 200, 2, 0),
    ]
    assert [stand.headers(place).get("X-Auth-Token") for place in (0, 1, 2)] == ["old", None, "new"]
    assert len({stand.headers(place)["X-OpenStack-Request-ID"] for place in (0, 1, 2)}) == 3


def test_a_second_401_is_a_failure() -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2.1/servers/1", answer(401))
    stand.transport.on("POST", "/v3/auth/tokens", token_answer("new"))

    with pytest.raises(CallFailed) as caught:
        run(stand.nova.get_server("1"))

    assert caught.value.kind == "http_401"
    assert [line[2:4] for line in stand.recorded()] == [(401, 1), (201, 1), (401, 2)]


def test_a_401_with_a_token_that_cannot_be_renewed_is_a_failure_at_once() -> None:
    stand = Stand(credentials=CloudCredentials(auth_url="http://k/v3", method=SignInMethod.TOKEN, token="old"))
    stand.transport.on("GET", "/v2.1/servers/1", answer(401))

    with pytest.raises(CallFailed):
        run(stand.nova.get_server("1"))

    assert len(stand.transport.requests) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 429, 500, 502, 503, 504])
def test_nothing_but_a_401_is_tried_again(status: int) -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2.1/servers/1", answer(status, b"<h1>no</h1>", {"Retry-After": "0"}))

    with pytest.raises(CallFailed):
        run(stand.nova.get_server("1"))

    assert len(stand.transport.requests) == 1


def test_many_that_meet_a_401_share_one_sign_in() -> None:
    """Without it a thousand iterations in flight would all sign in when a token is revoked."""
    stand = Stand()
    stand.transport.on("GET", "/v2.1/servers/1", *[answer(401)] * 20, answer(200, SERVER))
    stand.transport.on("POST", "/v3/auth/tokens", token_answer("new"))
    transport, plain = stand.transport, stand.transport.exchange

    async def later(request: Request) -> Exchange:
        await asyncio.sleep(0)
        return await plain(request)

    transport.exchange = later  # type: ignore[method-assign]

    async def all_of_them() -> None:
        await asyncio.gather(*(stand.nova.get_server("1") for _ in range(20)))

    asyncio.run(all_of_them())

    assert sum(path.startswith("POST") for path in stand.paths()) == 1


def test_a_token_is_renewed_before_its_end_and_the_renewal_is_told_apart() -> None:
    clock = ManualClock()
    ends_at = (clock.wall_ns() + 1_000 * NS_PER_S) / NS_PER_S
    stand = Stand(expires_at=ends_at)
    stand.transport.on("GET", "/v2.1/servers/1", answer(200, SERVER))
    stand.transport.on("POST", "/v3/auth/tokens", token_answer("new"))

    run(stand.nova.get_server("1"))
    stand.clock.advance(799 * NS_PER_S)
    run(stand.nova.get_server("1"))
    assert [line[0][:8] for line in stand.recorded()] == ["nova GET", "nova GET"]

    stand.clock.advance(122 * NS_PER_S)
    run(stand.nova.get_server("1"))
    assert stand.recorded()[2:] == [
        ("keystone POST /auth/tokens", "OK", 201, 1, CALL_RENEWAL),
        ("nova GET /servers/{id}", "OK", 200, 1, 0),
    ]
    assert stand.account.token == "new"


def test_a_failed_early_renewal_does_not_fail_the_call_and_is_not_repeated_at_once() -> None:
    clock = ManualClock()
    stand = Stand(expires_at=(clock.wall_ns() + 1_000 * NS_PER_S) / NS_PER_S)
    stand.transport.on("GET", "/v2.1/servers/1", answer(200, SERVER))
    stand.transport.on("POST", "/v3/auth/tokens", answer(503))
    stand.clock.advance(950 * NS_PER_S)

    run(stand.nova.get_server("1"))
    run(stand.nova.get_server("1"))

    assert [line[2] for line in stand.recorded()] == [503, 200, 200]


def test_users_renew_at_different_moments() -> None:
    clock = ManualClock()
    random = Random(1)
    ends_at = (clock.wall_ns() + 1_000 * NS_PER_S) / NS_PER_S
    moments = {Account(CREDENTIALS, clock, random, token="t", expires_at=ends_at).renew_at_ns for _ in range(50)}

    assert len(moments) > 40
    assert all(800 * NS_PER_S <= moment <= 920 * NS_PER_S for moment in moments)


def test_a_session_without_token_signs_in_first_and_finds_its_services_in_the_catalogue() -> None:
    catalog = [{"type": "compute", "endpoints": [{"interface": "public", "region": "R", "url": "http://n:8774/v2.1/"}]}]
    stand = Stand(token="", urls={})
    stand.transport.on("POST", "/v3/auth/tokens", token_answer("first", catalog=catalog))
    stand.transport.on("GET", "/v2.1/servers/1", answer(200, SERVER))

    run(stand.nova.get_server("1"))

    assert stand.paths() == ["POST http://k:5000/v3/auth/tokens", "GET http://n:8774/v2.1/servers/1"]


def test_a_service_the_cloud_has_not_is_said_with_what_it_has() -> None:
    stand = Stand(urls={"image": "http://g:9292/v2", "network": "http://q/v2.0"})

    with pytest.raises(CloudError, match=r"no nova: .* no compute service \(it has image, network\)"):
        run(stand.nova.get_server("1"))


def test_signing_in_as_part_of_the_load_leaves_the_sessions_own_token_alone() -> None:
    stand = Stand()
    stand.transport.on("POST", "/v3/auth/tokens", token_answer("another"))

    token = run(Keystone(stand.session).sign_in())

    assert (token.value, token.project_id, token.roles) == ("another", "p1", ("member",))
    assert stand.account.token == "old"
    assert stand.recorded() == [("keystone POST /auth/tokens", "OK", 201, 1, 0)]


def test_validating_a_token_sends_it_beside_the_callers_own() -> None:
    stand = Stand()
    reply = {"token": {"user": {"id": "u1", "name": "u"}, "expires_at": "2030-01-01T00:00:00.000000Z"}}
    stand.transport.on("GET", "/v3/auth/tokens", answer(200, reply, {"X-Subject-Token": "theirs"}))

    assert run(Keystone(stand.session).validate_token("theirs")).user_id == "u1"
    assert (stand.headers(0)["X-Auth-Token"], stand.headers(0)["X-Subject-Token"]) == ("old", "theirs")


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"server": {"name": 3}}', b"\xff\xfe"])
def test_an_answer_that_does_not_fit_fails_the_call_and_nothing_else(body: bytes) -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2.1/servers/1", answer(200, body))

    with pytest.raises(CallFailed) as caught:
        run(stand.nova.get_server("1"))

    assert caught.value.kind == "bad_body"


def test_a_leader_that_is_cancelled_hands_the_renewal_on() -> None:
    account = Account(CREDENTIALS, ManualClock(), Random(1), token="old")

    async def scenario() -> None:
        never: asyncio.Future[Token] = asyncio.get_running_loop().create_future()

        async def stuck() -> Token:
            return await never

        async def quick() -> Token:
            return Token(value="new", expires_at=0.0, user_id="u")

        leader = asyncio.ensure_future(account.renew("old", stuck))
        await asyncio.sleep(0)
        follower = asyncio.ensure_future(account.renew("old", quick))
        await asyncio.sleep(0)
        leader.cancel()
        await asyncio.gather(leader, return_exceptions=True)
        await follower

    asyncio.run(scenario())

    assert account.token == "new"


def test_a_renewal_that_fails_fails_all_that_wait_for_it() -> None:
    account = Account(CREDENTIALS, ManualClock(), Random(1), token="old")

    async def refused() -> Token:
        await asyncio.sleep(0)
        raise CallFailed("keystone POST /auth/tokens", status=401, kind="http_401", message="no")

    async def scenario() -> list[Any]:
        return await asyncio.gather(*(account.renew("old", refused) for _ in range(3)), return_exceptions=True)

    results = asyncio.run(scenario())

    assert [str(result) for result in results] == ["keystone POST /auth/tokens: http_401: no"] * 3
    assert len({id(result) for result in results}) == 3


def test_no_secret_is_in_a_repr_of_an_account() -> None:
    account = Account(CREDENTIALS, ManualClock(), Random(1), token="gAAAA-token")

    assert "pw" not in repr(account)
    assert "gAAAA" not in repr(account)


def test_routes_say_whether_a_lost_answer_leaves_something_behind() -> None:
    assert CREATE_SERVER.leaves_unknown
    assert not GET_SERVER.leaves_unknown


def test_discarded_calls_count_so_that_each_request_gets_an_id_of_its_own() -> None:
    sink = DiscardedCalls()

    assert [sink.next_call() for _ in range(3)] == [0, 1, 2]


def test_what_a_create_sends_is_what_was_asked_for() -> None:
    stand = Stand()
    stand.transport.on("POST", "/v2.1/servers", answer(202, {"server": {"id": "new"}}))

    server = run(stand.nova.create_server("n", "f", "i", networks="none", more={"availability_zone": "z"}))

    assert server.id == "new"
    assert orjson.loads(stand.transport.requests[0].body or b"") == {
        "server": {"name": "n", "flavorRef": "f", "imageRef": "i", "networks": "none", "availability_zone": "z"}
    }


def test_ids_from_users_cannot_change_the_path() -> None:
    stand = Stand()
    stand.transport.on("GET", "/v2.1/servers/%2E%2E%2Fos-hosts%3Fa", answer(404))

    with pytest.raises(CallFailed):
        run(stand.nova.get_server("../os-hosts?a"))
