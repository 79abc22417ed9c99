"""Which agents are there: who said hello, in which life, and when each was last heard.

Rules: busy is not dead. An agent that was silent for a while is suspect and keeps all it has; only when its lease is
over it is lost, and a word from it makes it connected again. Its own lease, which it counts from the last probe that
the coordinator answered, is over before that: a lost agent has drained by itself.

What is silent here must not be spoken to there: nothing but answers to what it says goes to a lost agent.
"""

from dataclasses import dataclass
from enum import Enum

from osbench.common.clock import NS_PER_S
from osbench.common.messages import Hello, common_protocol, protocol_mismatch
from osbench.common.release import release
from osbench.coordinator.run_events import Ticked


class AgentStanding(Enum):
    """What the roster thinks of an agent. EXPECTED: known from before a restart, not heard since."""

    EXPECTED = "expected"
    CONNECTED = "connected"
    SUSPECT = "suspect"
    LOST = "lost"


#: From each standing, what leads to which other.
STANDING_TRANSITIONS: dict[AgentStanding, dict[AgentStanding, str]] = {
    AgentStanding.EXPECTED: {AgentStanding.CONNECTED: "hello", AgentStanding.LOST: "lease over"},
    AgentStanding.CONNECTED: {AgentStanding.SUSPECT: "silent", AgentStanding.LOST: "lease over"},
    AgentStanding.SUSPECT: {AgentStanding.CONNECTED: "a word", AgentStanding.LOST: "lease over"},
    AgentStanding.LOST: {AgentStanding.CONNECTED: "a word"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterSettings:
    """Times in nanoseconds.

    Attributes:
        lease_ns: told to the agents: so long after the last answered probe they drain by themselves.
        suspect_ns: silence that makes suspect.
        grace_ns: how much later than its lease an agent is taken for lost: for clocks of unequal speed, and for the
            time its supervisor needs to notice.
    """

    lease_ns: int = 30 * NS_PER_S
    suspect_ns: int = 5 * NS_PER_S
    grace_ns: int = 2 * NS_PER_S


# Events (Ticked is that of run_events)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRemembered:
    """After a restart: a saved run knows this agent."""

    now_ns: int
    agent: str
    life: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloHeard:
    """An agent, whose key was checked, said hello."""

    now_ns: int
    hello: Hello


@dataclass(frozen=True, slots=True, kw_only=True)
class WordHeard:
    """Any other message of an agent. `life` where the message tells it (a report), else None (a clock probe)."""

    now_ns: int
    agent: str
    life: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRevoked:
    """Its key was taken away: it is forgotten."""

    now_ns: int
    agent: str


RosterEvent = AgentRemembered | HelloHeard | WordHeard | AgentRevoked | Ticked


# Instructions


@dataclass(frozen=True, slots=True, kw_only=True)
class SendWelcome:
    """Send `Welcome`, and tell the runs `AgentWelcomed`."""

    agent: str
    life: int
    lease_ns: int
    workers: int
    protocol: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRefusal:
    """Send `Refusal`."""

    agent: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareLost:
    """Tell the runs `AgentLost`."""

    agent: str
    life: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceStanding:
    """Tell whoever watches."""

    agent: str
    standing: AgentStanding


RosterInstruction = SendWelcome | SendRefusal | DeclareLost | AnnounceStanding


@dataclass(slots=True, kw_only=True)
class RosterEntry:
    """One agent."""

    #: Number of its life; only grows.
    life: int
    #: Last word of this life, on the coordinator's clock.
    heard_ns: int
    standing: AgentStanding
    #: Its last hello; None as long as it is only remembered.
    hello: Hello | None = None


class Roster:
    """All agents the coordinator knows."""

    def __init__(self, settings: RosterSettings) -> None:
        self.settings = settings
        #: By name; an entry is never without a life.
        self.entries: dict[str, RosterEntry] = {}

    def handle(self, event: RosterEvent) -> list[RosterInstruction]:
        """Take an event in, and say what is to be done."""
        match event:
            case AgentRemembered():
                return self._remember(event)
            case HelloHeard():
                return self._hear_hello(event)
            case WordHeard():
                return self._hear_word(event)
            case AgentRevoked():
                return self._forget(event)
            case Ticked():
                return [said for name in self.entries for said in self._judge(name, event.now_ns)]

    def standing(self, agent: str) -> AgentStanding | None:
        """What is thought of an agent; None for a stranger."""
        entry = self.entries.get(agent)
        return entry.standing if entry else None

    def is_current(self, agent: str, life: int) -> bool:
        """Whether what this life says is to be heeded: it is welcomed and there is no newer one."""
        entry = self.entries.get(agent)
        return entry is not None and entry.hello is not None and entry.life == life

    def validate(self) -> None:
        """Check all invariants."""
        for name, entry in self.entries.items():
            assert name, "an agent has a name"
            assert entry.life >= 0, f"{name}: life {entry.life}"
            assert (entry.standing is AgentStanding.EXPECTED) <= (entry.hello is None), f"{name}: expected after hello"
            assert entry.hello is None or entry.hello.life == entry.life, f"{name}: hello of another life"

    def _remember(self, event: AgentRemembered) -> list[RosterInstruction]:
        if event.agent in self.entries:
            return []
        self.entries[event.agent] = RosterEntry(
            life=event.life, heard_ns=event.now_ns, standing=AgentStanding.EXPECTED, hello=None
        )
        return []

    def _hear_hello(self, event: HelloHeard) -> list[RosterInstruction]:
        hello = event.hello
        protocol = common_protocol(hello.protocol_min, hello.protocol)
        if protocol is None:
            reason = protocol_mismatch(
                f"agent {hello.agent}", hello.version, hello.protocol_min, hello.protocol, release()
            )
            return [SendRefusal(agent=hello.agent, reason=reason)]
        entry = self.entries.get(hello.agent)
        if entry is not None and hello.life < entry.life:
            reason = f"life {hello.life} of agent {hello.agent} is over: life {entry.life} is known"
            return [SendRefusal(agent=hello.agent, reason=reason)]
        before = entry.standing if entry else None
        self.entries[hello.agent] = RosterEntry(
            life=hello.life, heard_ns=event.now_ns, standing=AgentStanding.CONNECTED, hello=hello
        )
        said: list[RosterInstruction] = [
            SendWelcome(
                agent=hello.agent,
                life=hello.life,
                lease_ns=self.settings.lease_ns,
                workers=hello.workers,
                protocol=protocol,
            )
        ]
        if before is not AgentStanding.CONNECTED:
            said.append(AnnounceStanding(agent=hello.agent, standing=AgentStanding.CONNECTED))
        return said

    def _hear_word(self, event: WordHeard) -> list[RosterInstruction]:
        entry = self.entries.get(event.agent)
        if entry is None or entry.hello is None or (event.life is not None and event.life > entry.life):
            # It was welcomed by an earlier process of this coordinator, or its hello was lost on the way.
            return [SendRefusal(agent=event.agent, reason=f"agent {event.agent} is not known here yet: say hello")]
        if event.life is not None and event.life < entry.life:
            return []
        entry.heard_ns = max(entry.heard_ns, event.now_ns)
        return self._move(event.agent, AgentStanding.CONNECTED)

    def _forget(self, event: AgentRevoked) -> list[RosterInstruction]:
        entry = self.entries.pop(event.agent, None)
        if entry is None or entry.standing is AgentStanding.LOST:
            return []
        return [DeclareLost(agent=event.agent, life=entry.life)]

    def _judge(self, agent: str, now_ns: int) -> list[RosterInstruction]:
        entry = self.entries[agent]
        silent_ns = now_ns - entry.heard_ns
        if silent_ns >= self.settings.lease_ns + self.settings.grace_ns:
            said = self._move(agent, AgentStanding.LOST)
            return [*said, DeclareLost(agent=agent, life=entry.life)] if said else []
        if silent_ns >= self.settings.suspect_ns and entry.standing is AgentStanding.CONNECTED:
            return self._move(agent, AgentStanding.SUSPECT)
        return []

    def _move(self, agent: str, standing: AgentStanding) -> list[RosterInstruction]:
        entry = self.entries[agent]
        if entry.standing is standing:
            return []
        assert standing in STANDING_TRANSITIONS[entry.standing], f"{agent}: {entry.standing} cannot become {standing}"
        entry.standing = standing
        return [AnnounceStanding(agent=agent, standing=standing)]
