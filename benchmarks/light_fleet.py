"""Many agents in one small process: each with its own key, its own two connections and the real `AgentState`, and no load.

Rules: what goes over the wire is what idle agents say, in true size and at the true pace: a report a second, clock probes
by the fit, pings on both channels. They take no runs. A JSON document on the standard input says who they are:

    {"control": "tcp://…", "bulk": "tcp://…", "server_key": "z85",
     "agents": [{"name": "…", "public": "z85", "secret": "z85"}, …]}                      on one line

(over ipc `server_key` is empty and only names count). Each further line asks for a count, which is a line of JSON; at the
end of the input the process ends.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import uvloop
import zmq
import zmq.asyncio

from osbench.agent.agent_events import (
    AgentEvent,
    AgentInstruction,
    AgentSettings,
    ClockReplied,
    Connected,
    LifeFound,
    Refused,
    SendHello,
    SendProbe,
    SendReport,
    TimePassed,
    Welcomed,
)
from osbench.agent.agent_state import AgentState
from osbench.common.clock import SystemClock
from osbench.common.curve import KeyPair
from osbench.common.messages import (
    PROTOCOL_MIN,
    PROTOCOL_VERSION,
    ClockProbe,
    ClockReply,
    Hello,
    Refusal,
    Report,
    ToAgent,
    Welcome,
)
from osbench.common.sockets import bulk_dealer, connect, control_dealer
from osbench.common.wire import TO_AGENT, decode, encode

#: Each agent is told the time so often, as a real one is: a slice of all of them at a time.
TICK_S = 0.1
SLICES = 10


@dataclass
class Count:
    """Of all agents, since the start; `welcomed` is how many are at this moment."""

    agents: int = 0
    welcomed: int = 0
    reports: int = 0
    probes: int = 0
    replies: int = 0
    refusals: int = 0


class LightAgent:
    """One agent: its state, and its sockets."""

    def __init__(
        self,
        context: zmq.asyncio.Context,
        setup: dict[str, Any],
        identity: dict[str, str],
        clock: SystemClock,
        count: Count,
    ) -> None:
        self.name = identity["name"]
        self._clock, self._count = clock, count
        self._life = clock.wall_ns()
        self.state = AgentState(self.name, self._life, AgentSettings(workers=2))
        own, key = None, setup["server_key"]
        if key:
            own = KeyPair(public=identity["public"], secret=identity["secret"])
        self.control = control_dealer(context, self.name, own=own, server_key=key)
        self._bulk = bulk_dealer(context, self.name, own=own, server_key=key)
        connect(self.control, setup["control"])
        connect(self._bulk, setup["bulk"])

    async def tell(self, event: AgentEvent) -> None:
        """Tell the state what happened, and say what it answers."""
        for instruction in self.state.handle(event):
            if (message := self._message_of(instruction)) is not None:
                try:
                    await self.control.send(encode(message), flags=zmq.NOBLOCK)
                except zmq.Again:
                    continue  # no connection yet

    async def listen(self) -> None:
        """Take what the coordinator says, for ever."""
        while True:
            frames = await self.control.recv_multipart()
            event = self._event_of(decode(frames[-1], TO_AGENT), self._clock.now_ns())
            if event is not None:
                await self.tell(event)

    def _message_of(self, instruction: AgentInstruction) -> Hello | Report | ClockProbe | None:
        if isinstance(instruction, SendReport):
            self._count.reports += 1
            return instruction.report
        if isinstance(instruction, SendProbe):
            self._count.probes += 1
            return ClockProbe(sent_ns=self._clock.now_ns())
        if isinstance(instruction, SendHello):
            return Hello(
                agent=self.name,
                life=self._life,
                protocol=PROTOCOL_VERSION,
                protocol_min=PROTOCOL_MIN,
                version="light",
                workers=2,
                cores=2,
                memory_bytes=2**34,
                nofile=20_000,
                labels=("light",),
            )
        return None

    def _event_of(self, message: ToAgent, now_ns: int) -> AgentEvent | None:
        if isinstance(message, ClockReply):
            self._count.replies += 1
            return ClockReplied(
                now_ns=now_ns,
                probe_sent_ns=message.probe_sent_ns,
                received_ns=message.received_ns,
                replied_ns=message.replied_ns,
            )
        if isinstance(message, Welcome):
            return Welcomed(now_ns=now_ns, life=message.life, lease_ns=message.lease_ns)
        if isinstance(message, Refusal):
            self._count.refusals += 1
            return Refused(now_ns=now_ns, reason=message.reason)
        return None


async def beat(agents: Sequence[LightAgent], clock: SystemClock) -> None:
    """Tell them the time, slice by slice, so that they do not all speak at once."""
    slices = [agents[number::SLICES] for number in range(SLICES)]
    due_s = asyncio.get_running_loop().time()
    while True:
        for some in slices:
            for agent in some:
                await agent.tell(TimePassed(now_ns=clock.now_ns()))
            due_s += TICK_S / SLICES
            await asyncio.sleep(due_s - asyncio.get_running_loop().time())


def make(setup: dict[str, Any], clock: SystemClock, count: Count) -> Iterator[LightAgent]:
    """The agents of a setup."""
    context = zmq.asyncio.Context()
    context.set(zmq.MAX_SOCKETS, 4 * len(setup["agents"]) + 64)
    for identity in setup["agents"]:
        yield LightAgent(context, setup, identity, clock, count)


async def main() -> None:
    """Live until the input ends."""
    loop = asyncio.get_running_loop()
    setup = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    clock, count = SystemClock(), Count(agents=len(setup["agents"]))
    agents: list[LightAgent] = []
    tasks = []
    for agent in make(setup, clock, count):
        await agent.tell(LifeFound(now_ns=clock.now_ns()))
        await agent.tell(Connected(now_ns=clock.now_ns()))
        tasks.append(loop.create_task(agent.listen()))
        agents.append(agent)
    tasks.append(loop.create_task(beat(agents, clock)))
    while await loop.run_in_executor(None, sys.stdin.readline):
        for task in tasks:
            if task.done():
                task.result()
        count.welcomed = sum(agent.state.is_welcomed for agent in agents)
        print(json.dumps(asdict(count)), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    uvloop.run(main())
