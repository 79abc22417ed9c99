import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cloud_targets import Book, Target, Trip

from osbench.common.cloud.contract import CallFailed
from osbench.common.record import CALL_WAITING
from osbench.common.scenarios.rehearsal import Rehearsal
from osbench.coordinator.contexts.messages import CleanUpDone
from osbench.coordinator.contexts.process import ContextsProcess

pytestmark = pytest.mark.slow

Simulate = Callable[..., Target]
IMAGE_AND_FLAVOR = {"image": {"name": "^cirros.*-disk$"}, "flavor": {"name": "m1.tiny"}}


def travel(
    target: Target, scenario: str, load: Callable[[Trip], Awaitable[Any]], **order: Any
) -> tuple[Any, CleanUpDone]:
    """Set up, do `load`, clean up."""

    async def whole() -> tuple[Any, CleanUpDone]:
        process, book = ContextsProcess(), Book()
        try:
            done = await process.set_up(target.set_up(scenario, **order), book)
            trip = Trip(done, target)
            try:
                result = await load(trip)
            finally:
                await trip.transport.aclose()
            return result, await process.clean_up(target.clean_up(), book)
        finally:
            await process.close()

    return asyncio.run(whole())


def check_boot_and_delete(target: Target, **arguments: Any) -> Rehearsal:
    before = target.holds()

    async def load(trip: Trip) -> Rehearsal:
        return await trip.go("NovaServers.boot_and_delete_server", **trip.done.arguments)

    order = {"arguments": {**IMAGE_AND_FLAVOR, **arguments}}
    it: Rehearsal
    it, cleaned = travel(target, "NovaServers.boot_and_delete_server", load, **order)

    assert cleaned.leftovers == ()
    assert target.holds() == before
    for action in it.actions:
        assert action.succeeded, action.name
        # -1: the first poll found it.
        assert action.not_ready_ns == -1 or action.started_ns < action.not_ready_ns < action.ended_ns, action.name
    assert [call.name for call in it.sink.calls if not call.flags & CALL_WAITING and call.action >= 0] == [
        "nova POST /servers",
        "nova DELETE /servers/{id}",
    ]
    return it


def check_list_and_authenticate(target: Target) -> None:
    async def load(trip: Trip) -> list[Rehearsal]:
        return [
            await trip.go("NovaServers.list_servers"),
            await trip.go("NovaServers.list_servers", detailed=False),
            await trip.go("Authenticate.keystone"),
        ]

    iterations, cleaned = travel(target, "NovaServers.list_servers", load, contexts={"users": {"tenants": 2}})
    seen = [
        [(action.name, call.name, call.status) for action, call in zip(it.actions, it.sink.calls, strict=True)]
        for it in iterations
    ]

    assert cleaned.leftovers == ()
    assert seen == [
        [("nova.list_servers", "nova GET /servers/detail", 200)],
        [("nova.list_servers", "nova GET /servers", 200)],
        [("authenticate.keystone", "keystone POST /auth/tokens", 201)],
    ]


def check_volumes(target: Target) -> None:
    before = target.holds()

    async def load(trip: Trip) -> list[Rehearsal]:
        return [
            await trip.go(
                "CinderVolumes.create_and_delete_volume", size={"min": 1, "max": 2}, min_sleep=1, max_sleep=2
            ),
            await trip.go("CinderVolumes.create_and_list_volume", index=1, size=1, detailed=True),
        ]

    order = {"arguments": {"size": 1}, "contexts": {"users": {"tenants": 2}}}
    (deleting, listing), cleaned = travel(target, "CinderVolumes.create_and_list_volume", load, **order)

    assert deleting.nested_names() == ["cinder.create_volume", "cinder.delete_volume"]
    assert listing.nested_names() == ["cinder.create_volume", "cinder.list_volumes"]
    asked = [call.name for it in (deleting, listing) for call in it.sink.calls if not call.flags & CALL_WAITING]
    assert asked == [
        "cinder POST /volumes",
        "cinder DELETE /volumes/{id}",
        "cinder POST /volumes",
        "cinder GET /volumes/detail",
    ]
    assert 1 <= deleting.idle_s[0] <= 2
    assert (cleaned.removed["volume"], cleaned.leftovers) == (1, ())
    assert target.holds() == before


def test_volumes_are_made_and_those_that_stay_are_cleaned_up(simulate: Simulate) -> None:
    check_volumes(simulate())


def test_a_volume_that_takes_its_time_to_go_is_gone_though_cinder_refuses_to_delete_it_twice(
    simulate: Simulate,
) -> None:
    target = simulate(delays={"volume_delete": {"kind": "constant", "seconds": 1.0}})
    before = target.holds()

    async def load(trip: Trip) -> None:
        await trip.go("CinderVolumes.create_and_list_volume", size=1)

    _, cleaned = travel(target, "CinderVolumes.create_and_list_volume", load, arguments={"size": 1})

    assert (cleaned.removed["volume"], cleaned.leftovers) == (1, ())
    assert target.holds() == before


def test_a_volume_in_error_fails_the_iteration_and_is_cleaned_up(simulate: Simulate) -> None:
    target = simulate(errors={"volume_create": 1.0})
    before = target.holds()

    async def load(trip: Trip) -> None:
        with pytest.raises(CallFailed) as caught:
            await trip.go("CinderVolumes.create_and_delete_volume", size=1)
        assert caught.value.kind == "volume_in_error"

    _, cleaned = travel(target, "CinderVolumes.create_and_delete_volume", load, arguments={"size": 1})

    assert (cleaned.removed["volume"], cleaned.leftovers) == (1, ())
    assert target.holds() == before


def test_a_volume_whose_create_was_never_answered_is_found_by_its_name(simulate: Simulate) -> None:
    target = simulate(faults=[{"method": "POST", "path": "/volumes$", "then": {"kind": "reset"}}])
    before = target.holds()

    async def load(trip: Trip) -> None:
        with pytest.raises(CallFailed) as caught:
            await trip.go("CinderVolumes.create_and_delete_volume", size=1)
        assert caught.value.is_unknown

    _, cleaned = travel(target, "CinderVolumes.create_and_delete_volume", load, arguments={"size": 1})

    assert cleaned.removed["volume"] == 1
    assert target.holds() == before


def check_users_of_keystone(target: Target) -> None:
    before = target.holds()

    async def load(trip: Trip) -> list[Rehearsal]:
        return [
            await trip.go("KeystoneBasic.create_delete_user", name_length=10),
            await trip.go("KeystoneBasic.create_and_list_users", index=1, email="a@example.org", enabled=False),
        ]

    (deleting, listing), cleaned = travel(target, "KeystoneBasic.create_and_list_users", load)

    assert [(call.name, call.status) for it in (deleting, listing) for call in it.sink.calls] == [
        ("keystone POST /users", 201),
        ("keystone DELETE /users/{id}", 204),
        ("keystone POST /users", 201),
        ("keystone GET /users", 200),
    ]
    assert deleting.nested_names() == ["keystone.create_user", "keystone.delete_user"]
    assert listing.nested_names() == ["keystone.create_user", "keystone.list_users"]
    assert (cleaned.removed["user"], cleaned.leftovers) == (1, ())
    assert target.holds() == before


def test_users_are_made_by_the_administrator_and_those_that_stay_are_cleaned_up(simulate: Simulate) -> None:
    check_users_of_keystone(simulate())


def test_a_user_whose_create_was_never_answered_is_found_by_its_name(simulate: Simulate) -> None:
    target = simulate(faults=[{"method": "POST", "path": "/users$", "then": {"kind": "reset"}}])
    before = target.holds()

    async def load(trip: Trip) -> None:
        with pytest.raises(CallFailed) as caught:
            await trip.go("KeystoneBasic.create_delete_user")
        assert caught.value.is_unknown

    _, cleaned = travel(target, "KeystoneBasic.create_delete_user", load)

    assert cleaned.removed["user"] == 1
    assert target.holds() == before


def test_a_server_is_booted_and_deleted_and_the_cloud_is_as_before(simulate: Simulate) -> None:
    it = check_boot_and_delete(simulate(), min_sleep=3, max_sleep=7)

    assert it.nested_names() == ["nova.boot_server", "nova.delete_server"]
    assert 3 <= it.idle_s[0] <= 7


def test_a_server_is_plugged_in_and_deleted_by_force_if_asked(simulate: Simulate) -> None:
    target = simulate()

    async def load(trip: Trip) -> Rehearsal:
        return await trip.go("NovaServers.boot_and_delete_server", **trip.done.arguments)

    order = {"arguments": {**IMAGE_AND_FLAVOR, "auto_assign_nic": True, "force_delete": True}}
    it: Rehearsal
    it, cleaned = travel(target, "NovaServers.boot_and_delete_server", load, **order)

    assert it.nested_names() == ["nova.boot_server", "nova.force_delete_server"]
    assert it.sink.calls[0].name == "neutron GET /networks"
    assert cleaned.leftovers == ()


def test_lists_and_sign_ins_are_one_call_each(simulate: Simulate) -> None:
    check_list_and_authenticate(simulate())


def test_as_rally_the_pauses_before_polls_are_idle_time(simulate: Simulate) -> None:
    async def load(trip: Trip) -> Rehearsal:
        return await trip.go("NovaServers.boot_and_delete_server", "rally", **trip.done.arguments)

    order = {"arguments": IMAGE_AND_FLAVOR}
    it, _ = travel(simulate(), "NovaServers.boot_and_delete_server", load, **order)

    assert it.idle_s == [1]


def test_a_server_in_error_fails_the_iteration_and_is_cleaned_up(simulate: Simulate) -> None:
    target = simulate(errors={"server_build": 1.0})
    before = target.holds()

    async def load(trip: Trip) -> None:
        with pytest.raises(CallFailed) as caught:
            await trip.go("NovaServers.boot_and_delete_server", **trip.done.arguments)
        assert caught.value.kind == "server_in_error"

    _, cleaned = travel(target, "NovaServers.boot_and_delete_server", load, arguments=IMAGE_AND_FLAVOR)

    assert (cleaned.removed["server"], cleaned.leftovers) == (1, ())
    assert target.holds() == before


def test_a_server_whose_create_was_never_answered_is_found_by_its_name(simulate: Simulate) -> None:
    target = simulate(faults=[{"method": "POST", "path": "/servers$", "then": {"kind": "reset"}}])
    before = target.holds()

    async def load(trip: Trip) -> None:
        with pytest.raises(CallFailed) as caught:
            await trip.go("NovaServers.boot_and_delete_server", **trip.done.arguments)
        assert caught.value.is_unknown

    _, cleaned = travel(target, "NovaServers.boot_and_delete_server", load, arguments=IMAGE_AND_FLAVOR)

    assert cleaned.removed["server"] == 1
    assert target.holds() == before


@pytest.mark.realcloud
def test_on_the_real_cloud_a_server_is_booted_and_deleted(real_cloud: Target) -> None:
    check_boot_and_delete(real_cloud)


@pytest.mark.realcloud
def test_on_the_real_cloud_volumes_are_made_and_those_that_stay_are_cleaned_up(real_cloud: Target) -> None:
    check_volumes(real_cloud)


@pytest.mark.realcloud
def test_on_the_real_cloud_users_are_made_and_those_that_stay_are_cleaned_up(real_cloud: Target) -> None:
    check_users_of_keystone(real_cloud)


@pytest.mark.realcloud
def test_on_the_real_cloud_lists_and_sign_ins_are_one_call_each(real_cloud: Target) -> None:
    check_list_and_authenticate(real_cloud)


def test_a_server_stuck_in_build_is_removed_when_the_iteration_was_given_up(simulate: Simulate) -> None:
    target = simulate(stuck={"server_build": 1.0})
    before = target.holds()

    async def load(trip: Trip) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await trip.go("NovaServers.boot_and_delete_server", **trip.done.arguments)

    _, cleaned = travel(target, "NovaServers.boot_and_delete_server", load, arguments=IMAGE_AND_FLAVOR)

    assert (cleaned.removed["server"], cleaned.leftovers) == (1, ())
    assert target.holds() == before


def test_an_exhausted_quota_fails_the_iteration_in_the_clouds_own_words(simulate: Simulate) -> None:
    target = simulate(quotas={"compute": {"instances": 0}})

    async def load(trip: Trip) -> None:
        with pytest.raises(CallFailed, match="nova POST /servers: http_403: Quota exceeded for instances"):
            await trip.go("NovaServers.boot_and_delete_server", **trip.done.arguments)

    travel(target, "NovaServers.boot_and_delete_server", load, arguments=IMAGE_AND_FLAVOR)
