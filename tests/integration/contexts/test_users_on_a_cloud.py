import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil
import pytest
from cloud_targets import Book, Target

from osbench.common.cloud.administration import open_cloud
from osbench.common.error import CloudError, InputError
from osbench.coordinator.contexts.messages import CleanUpDone, Progress, SetUp, SetUpDone
from osbench.coordinator.contexts.process import ContextsProcess

pytestmark = pytest.mark.slow

Simulate = Callable[..., Target]
SIX_USERS = {"users": {"tenants": 3, "users_per_tenant": 2}}


def set_up(order: SetUp, book: Book) -> SetUpDone:
    async def whole() -> SetUpDone:
        process = ContextsProcess()
        try:
            return await process.set_up(order, book)
        finally:
            await process.close()

    return asyncio.run(whole())


def clean_up(target: Target, book: Book) -> CleanUpDone:
    async def whole() -> CleanUpDone:
        process = ContextsProcess()
        try:
            return await process.clean_up(target.clean_up(), book)
        finally:
            await process.close()

    return asyncio.run(whole())


def test_users_are_made_signed_in_and_taken_down_and_the_cloud_is_as_before(simulate: Simulate, book: Book) -> None:
    target = simulate()
    before = target.holds()
    done = set_up(target.set_up(contexts=SIX_USERS), book)

    assert len(book.there) == 9
    assert len({user.user_id for user in done.users}) == 6
    assert len({user.project_id for user in done.users}) == 3
    assert len({user.password for user in done.users}) == 6
    assert all(user.token and user.expires_at and user.endpoints.urls["compute"] for user in done.users)
    assert len(target.holds()["users"]) == len(before["users"]) + 6

    cleaned = clean_up(target, book)

    assert (cleaned.removed, cleaned.leftovers) == ({"user": 6, "project": 3}, ())
    assert book.there == {}
    assert target.holds() == before
    assert clean_up(target, book).removed == {}


def test_a_set_up_that_fails_half_way_is_taken_down_again(simulate: Simulate, book: Book) -> None:
    target = simulate(
        faults=[{"method": "POST", "path": "/users$", "every": 5, "then": {"kind": "status", "status": 400}}]
    )
    before = target.holds()
    with pytest.raises(CloudError, match="setting up the users: the cloud answered keystone POST /users: http_400"):
        set_up(target.set_up(contexts=SIX_USERS), book)

    assert target.holds() == before
    assert book.there == {}


def test_what_was_made_though_its_answer_was_lost_is_taken_as_made(simulate: Simulate, book: Book) -> None:
    target = simulate(faults=[{"method": "POST", "path": "/(users|projects)$", "every": 2, "then": {"kind": "reset"}}])
    before = target.holds()
    done = set_up(target.set_up(contexts=SIX_USERS), book)

    assert len(done.users) == 6
    assert len(target.holds()["projects"]) == len(before["projects"]) + 3
    assert clean_up(target, book).leftovers == ()
    assert target.holds() == before


def test_a_tenth_of_all_calls_may_fail_in_passing_ways(simulate: Simulate, book: Book) -> None:
    faults = [
        {"every": 10, "then": {"kind": "status", "status": 503}},
        {"every": 21, "then": {"kind": "status", "status": 429, "retry_after_s": 1}},
        {"every": 31, "then": {"kind": "cut", "after_bytes": 20}},
    ]
    target = simulate(faults=faults)
    done = set_up(target.set_up(contexts=SIX_USERS), book)

    assert len(done.users) == 6
    assert clean_up(target, book).leftovers == ()
    assert book.there == {}


def test_removals_that_are_refused_for_a_while_are_tried_again(simulate: Simulate, book: Book) -> None:
    target = simulate(faults=[{"method": "DELETE", "every": 2, "then": {"kind": "status", "status": 503}}])
    before = target.holds()
    set_up(target.set_up(contexts=SIX_USERS), book)

    assert clean_up(target, book).leftovers == ()
    assert target.holds() == before


SLOW_USERS = {
    "faults": [
        {
            "method": "POST",
            "path": "/users$",
            "then": {"kind": "latency", "delay": {"kind": "constant", "seconds": 0.3}},
        }
    ]
}


class Interrupted:
    """A set-up of many users that is interrupted once some are there."""

    def __init__(self, target: Target, book: Book) -> None:
        self.process = ContextsProcess()
        self.some_are_there = asyncio.Event()
        order = target.set_up(contexts={"users": {"users_per_tenant": 60, "resource_management_workers": 4}})
        self.request = asyncio.create_task(self.process.set_up(order, book, self.saw))

    def saw(self, progress: Progress) -> None:
        if progress.what == "creating users":
            self.some_are_there.set()


def test_a_set_up_that_is_cancelled_is_taken_down_again(simulate: Simulate, book: Book) -> None:
    target = simulate(**SLOW_USERS)
    before = target.holds()

    async def cancel() -> None:
        interrupted = Interrupted(target, book)
        await interrupted.some_are_there.wait()
        interrupted.request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await interrupted.request
        # The clean-up that follows waits for the end of the set-up and finds nothing left.
        cleaned = await interrupted.process.clean_up(target.clean_up(run=target.run), book)
        assert cleaned.removed == {}
        await interrupted.process.close()

    asyncio.run(cancel())

    assert target.holds() == before


def test_what_a_killed_process_leaves_is_found_from_nothing_but_the_tasks_id(simulate: Simulate, book: Book) -> None:
    target = simulate(**SLOW_USERS)
    before = target.holds()

    async def kill() -> None:
        interrupted = Interrupted(target, book)
        await interrupted.some_are_there.wait()
        assert interrupted.process.pid is not None
        os.kill(interrupted.process.pid, signal.SIGKILL)
        with pytest.raises(CloudError, match=r"the contexts process ended unasked \(exit code -9\)"):
            await interrupted.request
        await interrupted.process.close()

    asyncio.run(kill())

    assert target.holds() != before
    assert clean_up(target, Book()).leftovers == ()
    assert target.holds() == before


def test_a_set_up_that_was_killed_can_be_done_again_for_the_same_run(simulate: Simulate, book: Book) -> None:
    target = simulate(**SLOW_USERS)
    before = target.holds()

    async def kill_and_repeat() -> SetUpDone:
        interrupted = Interrupted(target, book)
        await interrupted.some_are_there.wait()
        assert interrupted.process.pid is not None
        os.kill(interrupted.process.pid, signal.SIGKILL)
        with pytest.raises(CloudError, match="ended unasked"):
            await interrupted.request
        # The next request starts a new process.
        order = target.set_up(contexts={"users": {"users_per_tenant": 60}})
        done = await interrupted.process.set_up(order, book)
        await interrupted.process.close()
        return done

    done = asyncio.run(kill_and_repeat())

    assert len({user.user_id for user in done.users}) == 60
    assert all(user.token for user in done.users)
    assert len(target.holds()["users"]) == len(before["users"]) + 60
    clean_up(target, book)
    assert target.holds() == before


def test_a_process_whose_coordinator_is_gone_ends_and_removes_nothing(simulate: Simulate, book: Book) -> None:
    target = simulate(**SLOW_USERS)
    before = target.holds()

    async def leave() -> None:
        interrupted = Interrupted(target, book)
        await interrupted.some_are_there.wait()
        pid = interrupted.process.pid
        await interrupted.process.close()
        assert pid is not None
        assert not psutil.pid_exists(pid)
        with pytest.raises(CloudError, match=r"ended unasked \(exit code 0\)"):
            await interrupted.request

    asyncio.run(leave())

    assert target.holds() != before
    clean_up(target, Book())
    assert target.holds() == before


def test_the_deployments_own_users_are_used_if_nothing_is_asked_but_how_to_choose(
    simulate: Simulate, book: Book
) -> None:
    target = simulate()
    demo = replace(target.admin, username="demo", project_name="demo")
    target = replace(target, users=(demo,))
    done = set_up(target.set_up("Authenticate.keystone", contexts={"users": {"user_choice_method": "random"}}), book)

    assert [user.username for user in done.users] == ["demo"]
    assert book.intended_names == []
    assert set_up(target.set_up("Authenticate.keystone"), book).users[0].username == "demo"


@pytest.mark.parametrize(
    ("order", "kind", "message"),
    [
        (
            {"scenario": "NovaServers.boot_and_delete_server", "arguments": {"image": "x"}},
            InputError,
            "NovaServers.boot_and_delete_server needs the argument 'flavor'",
        ),
        (
            {
                "scenario": "NovaServers.boot_and_delete_server",
                "arguments": {"image": {"name": "cirros"}, "flavor": {"name": "m1.tinny"}},
            },
            CloudError,
            "the cloud has no flavor with name 'm1.tinny'; did you mean 'm1.tiny'",
        ),
        (
            {
                "scenario": "NovaServers.boot_and_delete_server",
                "arguments": {"image": {"name": "cirrus-0.6.2"}, "flavor": "1"},
            },
            CloudError,
            "the cloud has no image with name 'cirrus-0.6.2'; did you mean 'cirros-0.6.2-x86_64-disk'",
        ),
        ({"contexts": {"users": {"role": "membr"}}}, InputError, r"no role 'membr'; did you mean 'member'\?"),
        ({"contexts": {"users": {"user_domain": "x"}}}, InputError, "no domain 'x'; there are Default"),
        ({"contexts": {"usres": {}}}, InputError, r"no context is called 'usres'; did you mean 'users'\?"),
    ],
)
def test_what_the_cloud_does_not_have_is_named_before_anything_is_made(
    simulate: Simulate, book: Book, order: dict[str, Any], kind: type[Exception], message: str
) -> None:
    target = simulate()
    with pytest.raises(kind, match=message):
        set_up(target.set_up(**order), book)

    assert book.intended_names == []


def test_a_user_who_is_no_administrator_cannot_make_users_and_is_told_so(simulate: Simulate, book: Book) -> None:
    target = simulate()
    demo = replace(target, admin=replace(target.admin, username="demo", project_name="demo"))
    with pytest.raises(CloudError, match="needs an administrator; user 'demo' may not"):
        set_up(demo.set_up(contexts=SIX_USERS), book)


def test_wrong_password_no_cloud_and_no_keystone_are_told_apart(simulate: Simulate) -> None:
    admin = simulate().admin
    wrong = {
        "refused the sign-in of 'admin' in project 'admin'": replace(admin, password="wrong"),
        "no cloud answers at http://127.0.0.1:9/v3: refused": replace(admin, auth_url="http://127.0.0.1:9/v3"),
        "there is no Keystone v3 at": replace(admin, auth_url=admin.auth_url.replace("/identity/v3", "/nothing/v3")),
        "has no region 'Mars'": replace(admin, region="Mars"),
    }

    async def sign_in(message: str) -> None:
        with pytest.raises(CloudError, match=message):
            async with open_cloud(wrong[message]):
                pytest.fail("signed in")

    for message in wrong:
        asyncio.run(sign_in(message))
