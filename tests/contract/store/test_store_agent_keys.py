"""Keys of agents, invitations, and the options of a task, for every adapter of the store."""

import pytest

from osbench.common.error import InputError
from osbench.common.task import TaskSpec
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.values import AgentKey, Invite, Redemption
from osbench.coordinator.task_state import TaskOptions

MINUTE_NS = 60 * 10**9
#: ManualClock's wall time is far before these.
NOW_NS = 2**62
LATER_NS = NOW_NS + 15 * MINUTE_NS
ONE, TWO, THREE = ("1" * 40, "2" * 40, "3" * 40)


def redeem(store: Store, digest: str, key: str, name: str = "load-1", now_ns: int = NOW_NS) -> Redemption:
    return store.invite_redeem(digest=digest, name=name, public_key=key, now_ns=now_ns)


def active(store: Store) -> dict[str, str]:
    return {key.public_key: key.name for key in store.agent_key_list()}


@pytest.fixture
def invited(store: Store) -> Store:
    store.invite_create(digest="d1", name="load-1", expires_ns=LATER_NS)
    store.invite_create(digest="d2", name="load-1", expires_ns=LATER_NS)
    store.invite_create(digest="d3", name="load-2", expires_ns=LATER_NS)
    return store


def test_an_invitation_lets_one_key_in_once(invited: Store) -> None:
    assert redeem(invited, "d1", ONE) is Redemption.ENROLLED
    assert redeem(invited, "d1", TWO) is Redemption.USED
    assert invited.agent_key_list() == [AgentKey(public_key=ONE, name="load-1", created_ns=NOW_NS)]
    used, *unused = invited.invite_list()
    assert (used.used_key, used.used_ns) == (ONE, NOW_NS)
    assert [invite.digest for invite in unused] == ["d2", "d3"]


def test_who_lost_the_answer_is_answered_again_even_after_the_invitation_has_expired(invited: Store) -> None:
    redeem(invited, "d1", ONE)
    before = (invited.agent_key_list(active=False), invited.invite_list())

    assert redeem(invited, "d1", ONE, now_ns=LATER_NS) is Redemption.ENROLLED
    assert (invited.agent_key_list(active=False), invited.invite_list()) == before


@pytest.mark.parametrize(
    ("digest", "name", "now_ns", "becomes"),
    [
        ("d9", "load-1", NOW_NS, Redemption.UNKNOWN),
        ("d1", "load-2", NOW_NS, Redemption.OTHER_NAME),
        ("d1", "load-1", LATER_NS, Redemption.EXPIRED),
    ],
)
def test_what_does_not_let_in_changes_nothing(
    invited: Store, digest: str, name: str, now_ns: int, becomes: Redemption
) -> None:
    before = invited.invite_list()

    assert redeem(invited, digest, ONE, name, now_ns) is becomes
    assert (invited.agent_key_list(active=False), invited.invite_list()) == ([], before)


def test_a_new_key_of_a_name_revokes_the_one_before(invited: Store) -> None:
    redeem(invited, "d1", ONE)
    redeem(invited, "d3", THREE, "load-2")

    assert redeem(invited, "d2", TWO, now_ns=NOW_NS + 1) is Redemption.ENROLLED
    assert active(invited) == {TWO: "load-1", THREE: "load-2"}
    assert [key.revoked_ns for key in invited.agent_key_list(active=False)] == [NOW_NS + 1, None, None]
    assert redeem(invited, "d1", ONE) is Redemption.REVOKED


def test_a_key_has_one_name_for_ever(invited: Store) -> None:
    redeem(invited, "d1", ONE)

    assert redeem(invited, "d3", ONE, "load-2") is Redemption.OTHER_AGENT
    assert redeem(invited, "d2", ONE) is Redemption.ENROLLED
    assert active(invited) == {ONE: "load-1"}


def test_revoking_takes_the_key_and_the_invitations_of_a_name(invited: Store) -> None:
    redeem(invited, "d1", ONE)
    redeem(invited, "d3", THREE, "load-2")

    assert invited.agent_key_revoke("load-1") == 1
    assert invited.agent_key_revoke("load-1") == 0
    assert active(invited) == {THREE: "load-2"}
    assert redeem(invited, "d1", ONE) is Redemption.REVOKED
    assert redeem(invited, "d2", TWO) is Redemption.EXPIRED


def test_invitations_that_can_still_be_used_are_listed(invited: Store) -> None:
    redeem(invited, "d1", ONE)
    short = invited.invite_create(digest="d4", name="load-4", expires_ns=NOW_NS)

    assert isinstance(short, Invite)
    assert [invite.digest for invite in invited.invite_list(active_ns=NOW_NS)] == ["d2", "d3"]
    with pytest.raises(InputError, match="there already"):
        invited.invite_create(digest="d4", name="load-5", expires_ns=NOW_NS)


def test_a_task_keeps_how_it_is_to_be_run(store: Store, spec: TaskSpec) -> None:
    deployment = store.deployment_create(name="cloud", engine="existing", spec={})
    options = TaskOptions(runner="daemon", agents=8, min_agents=6, labels=("rack-1", "böse"), abort_on_sla_failure=True)
    made = store.task_create(deployment=deployment.id, spec=spec, options=options)
    other = store.task_create(deployment=deployment.id, spec=spec)

    assert store.task_get(made.id).options == options
    assert [task.options for task in store.task_list()] == [options, TaskOptions()]
    assert other == store.task_get(other.id)
