"""The roster: who is there, and who is not any more."""

from unit.playbook import Playbook

from osbench.common.clock import NS_PER_S
from osbench.common.messages import PROTOCOL_VERSION, Hello
from osbench.common.release import release
from osbench.coordinator.roster import (
    STANDING_TRANSITIONS,
    AgentRemembered,
    AgentRevoked,
    AgentStanding,
    AnnounceStanding,
    DeclareLost,
    HelloHeard,
    Roster,
    RosterSettings,
    SendRefusal,
    SendWelcome,
    WordHeard,
)
from osbench.coordinator.run_events import Ticked

S = NS_PER_S
SETTINGS = RosterSettings(lease_ns=30 * S, suspect_ns=5 * S, grace_ns=2 * S)


def hello(agent: str = "a", life: int = 1, protocol: int = PROTOCOL_VERSION, protocol_min: int = 1) -> Hello:
    return Hello(
        agent=agent,
        life=life,
        protocol=protocol,
        protocol_min=protocol_min,
        version="0.1.0",
        workers=2,
        cores=2,
        memory_bytes=1,
        nofile=1,
    )


def heard(at_ns: int = 0, life: int = 1) -> HelloHeard:
    return HelloHeard(now_ns=at_ns, hello=hello(life=life))


def welcome(life: int = 1) -> SendWelcome:
    return SendWelcome(agent="a", life=life, lease_ns=30 * S, workers=2, protocol=PROTOCOL_VERSION)


def announce(standing: AgentStanding) -> AnnounceStanding:
    return AnnounceStanding(agent="a", standing=standing)


def roster() -> Playbook:
    return Playbook(Roster(SETTINGS))


def test_who_says_hello_is_welcomed() -> None:
    assert roster() >> heard() << welcome() << announce(AgentStanding.CONNECTED) >> heard(1) << welcome()


def test_an_agent_without_a_protocol_in_common_is_refused_naming_both_ranges_and_releases() -> None:
    reason = (
        f"agent a (release 0.1.0) speaks protocol 98 to 99, this coordinator (release {release()}) speaks "
        f"{PROTOCOL_VERSION}: install releases that have one in common, best the same on both"
    )
    later = hello(protocol=99, protocol_min=98)

    assert roster() >> HelloHeard(now_ns=0, hello=later) << SendRefusal(agent="a", reason=reason)


def test_a_later_agent_that_still_speaks_our_protocol_is_welcomed_in_it() -> None:
    later = hello(protocol=99, protocol_min=PROTOCOL_VERSION)

    assert roster() >> HelloHeard(now_ns=0, hello=later) << welcome() << announce(AgentStanding.CONNECTED)


def test_an_older_life_is_refused() -> None:
    """Otherwise a process that was taken for dead could speak for its successor."""
    assert (
        roster()
        >> heard(life=2)
        << welcome(2)
        << announce(AgentStanding.CONNECTED)
        >> heard(life=1)
        << SendRefusal(agent="a", reason="life 1 of agent a is over: life 2 is known")
        >> heard(life=3)
        << welcome(3)
    )


def test_a_stranger_is_told_to_say_hello() -> None:
    reason = "agent a is not known here yet: say hello"

    assert roster() >> WordHeard(now_ns=0, agent="a", life=1) << SendRefusal(agent="a", reason=reason)


def test_silence_makes_suspect_then_lost_on_both_sides_of_each_edge() -> None:
    assert (
        roster()
        >> heard()
        << welcome()
        << announce(AgentStanding.CONNECTED)
        >> Ticked(now_ns=5 * S - 1)
        << None
        >> Ticked(now_ns=5 * S)
        << announce(AgentStanding.SUSPECT)
        >> Ticked(now_ns=32 * S - 1)
        << None
        >> Ticked(now_ns=32 * S)
        << announce(AgentStanding.LOST)
        << DeclareLost(agent="a", life=1)
        >> Ticked(now_ns=90 * S)
        << None
    )


def test_busy_is_not_dead_a_word_makes_connected_again() -> None:
    assert (
        roster()
        >> heard()
        << welcome()
        << announce(AgentStanding.CONNECTED)
        >> Ticked(now_ns=20 * S)
        << announce(AgentStanding.SUSPECT)
        >> WordHeard(now_ns=21 * S, agent="a")
        << announce(AgentStanding.CONNECTED)
        >> Ticked(now_ns=52 * S)
        << announce(AgentStanding.SUSPECT)
        >> Ticked(now_ns=53 * S)
        << announce(AgentStanding.LOST)
        << DeclareLost(agent="a", life=1)
        >> WordHeard(now_ns=60 * S, agent="a", life=1)
        << announce(AgentStanding.CONNECTED)
    )


def test_a_word_of_an_older_life_does_not_keep_the_newer_one_alive() -> None:
    machine = Roster(SETTINGS)
    assert (
        Playbook(machine)
        >> heard(life=2)
        << welcome(2)
        << announce(AgentStanding.CONNECTED)
        >> WordHeard(now_ns=4 * S, agent="a", life=1)
        << None
        >> Ticked(now_ns=5 * S)
        << announce(AgentStanding.SUSPECT)
    )
    assert machine.is_current("a", 2)
    assert not machine.is_current("a", 1)


def test_who_is_remembered_after_a_restart_and_does_not_come_is_lost() -> None:
    assert (
        roster()
        >> AgentRemembered(now_ns=0, agent="a", life=1)
        << None
        >> Ticked(now_ns=31 * S)
        << None
        >> Ticked(now_ns=32 * S)
        << announce(AgentStanding.LOST)
        << DeclareLost(agent="a", life=1)
        >> heard(40 * S)
        << welcome()
        << announce(AgentStanding.CONNECTED)
    )


def test_who_is_revoked_is_lost_and_forgotten() -> None:
    machine = Roster(SETTINGS)
    assert (
        Playbook(machine)
        >> heard()
        << welcome()
        << announce(AgentStanding.CONNECTED)
        >> AgentRevoked(now_ns=1, agent="a")
        << DeclareLost(agent="a", life=1)
        >> Ticked(now_ns=99 * S)
        << None
    )
    assert machine.standing("a") is None


def test_every_standing_can_be_left() -> None:
    assert set(STANDING_TRANSITIONS) == set(AgentStanding)
    assert all(STANDING_TRANSITIONS.values())
