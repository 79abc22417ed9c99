"""Clients of a job: made per iteration, on what lasts."""

import asyncio
from random import Random
from typing import Any

import msgspec
import pytest

from osbench.common.clock import ManualClock
from osbench.common.cloud.clients import CloudClients, credentials_of_user, outcome_of
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.credentials import SignInMethod
from osbench.common.cloud.nova import Fault, Nova, Server, is_active, is_gone
from osbench.common.cloud.scripted import ScriptedTransport, answer
from osbench.common.error import InputError
from osbench.common.job import CloudAccess, Endpoints, Job, UserAccess
from osbench.common.outcome import Outcome
from osbench.common.plan import ClosedLoop, Plan
from osbench.common.scenarios.failure import ScenarioFailure
from osbench.common.scenarios.rehearsal import Rehearsal

USER = UserAccess(
    auth_url="http://k/v3",
    username="u",
    password="pw",
    user_id="u1",
    project_id="p1",
    project_name="p",
    token="tok",
    endpoints=Endpoints(urls={"compute": "http://n/v2.1"}, microversions={"compute": "2.96"}),
)


def _job(*users: UserAccess) -> Job:
    schedule = ClosedLoop(concurrency=1, iterations=1)
    plan = Plan(run="r", task="t", scenario="Dummy.dummy", arguments={}, schedule=schedule, seed=1)
    return Job(plan=plan, users=users)


def test_a_client_acts_as_the_jobs_user_with_the_token_made_in_prepare() -> None:
    clock = ManualClock()
    transport = ScriptedTransport(clock)
    transport.on("GET", "/v2.1/servers/1", answer(200, {"server": {"id": "1"}}))
    clients = CloudClients(_job(USER), transport, clock, Random(1))
    it: Any = Rehearsal(_job(USER), client=clients.client, clock=clock)

    nova = it.client("nova")
    assert isinstance(nova, Nova)
    asyncio.run(_get(nova))

    assert "X-Auth-Token: tok" in transport.requests[0].headers
    assert "OpenStack-API-Version: compute 2.96" in transport.requests[0].headers
    assert it.sink.calls[0].name == "nova GET /servers/{id}"
    assert clients.account(USER) is clients.account(USER)


def test_a_user_without_password_acts_by_token_and_is_not_renewed() -> None:
    """An administrator that signed in by application credential or token has nothing else to travel with."""
    credentials = credentials_of_user(msgspec.structs.replace(USER, password=""), CloudAccess())

    assert (credentials.method, credentials.token, credentials.can_renew) == (SignInMethod.TOKEN, "tok", False)
    assert credentials_of_user(USER, CloudAccess()).can_renew


async def _get(nova: Nova) -> None:
    await nova.get_server("1")


def test_a_client_that_is_not_known_or_has_no_user_is_an_input_error() -> None:
    clock = ManualClock()
    clients = CloudClients(_job(), ScriptedTransport(clock), clock, Random(1))
    it: Any = Rehearsal(_job(), clock=clock)

    with pytest.raises(InputError, match="no client 'nov'; did you mean 'nova'"):
        clients.client("nov", USER, it.sink)
    with pytest.raises(InputError, match="needs a user: add the context `users`"):
        clients.client("nova", None, it.sink)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CallFailed("r", status=500, kind="http_500", message="m"), (Outcome.FAILED, "http_500", "r: http_500: m")),
        (CallFailed("r", status=0, kind="cut", message="", is_unknown=True), (Outcome.UNKNOWN, "cut", "r: cut")),
        (ScenarioFailure("wait_timeout", "m", Outcome.UNKNOWN), (Outcome.UNKNOWN, "wait_timeout", "m")),
        (KeyError("x"), (Outcome.FAILED, "KeyError", "'x'")),
    ],
)
def test_what_ends_an_iteration_has_an_outcome(error: Exception, expected: tuple[Outcome, str, str]) -> None:
    assert outcome_of(error) == expected


@pytest.mark.parametrize(
    ("status", "task_state", "active", "gone"),
    [
        ("BUILD", "spawning", False, False),
        ("ACTIVE", None, True, False),
        ("ACTIVE", "deleting", True, False),
        ("DELETED", None, False, True),
        ("SOFT_DELETED", None, False, True),
        ("ERROR", "deleting", "No host", False),
        ("ERROR", None, "No host", "No host"),
    ],
)
def test_a_servers_state_says_whether_the_waiting_is_over(
    status: str, task_state: str | None, active: bool | str, gone: bool | str
) -> None:
    server = Server(id="1", status=status, task_state=task_state, fault=Fault(message="No host", code=500))
    for judge, expected in ((is_active, active), (is_gone, gone)):
        if isinstance(expected, str):
            with pytest.raises(CallFailed, match="server_in_error: No host"):
                judge(server)
        else:
            assert judge(server) is expected
    assert is_gone(None)
