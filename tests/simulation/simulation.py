"""One simulated run, made of a seed: how large the fleet is, what it shall run, and what goes wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from osbench.common.clock import NS_PER_MS, NS_PER_S
from osbench.common.plan import ClosedLoop, OpenLoop, Plan, RateStage, Schedule
from osbench.coordinator.roster import RosterSettings
from osbench.coordinator.run_events import (
    AgentDrainRequested,
    AgentDrainRevoked,
    DrainRequested,
    RunPhase,
    RunSettings,
    StopRequested,
)

from .agent_host import AgentHost
from .coordinator_model import CoordinatorModel
from .history import History
from .world import Network, World

#: Faults come within this time; afterwards all heals but hosts that are gone for good.
FAULTS_UNTIL_NS = 16 * NS_PER_S
#: The run must have ended by then.
LIMIT_NS = 240 * NS_PER_S
#: More iterations than any run here gets through.
LARGE = 10_000
#: Time after the end for late agents to hand in what they have, and to be told to forget.
AFTERMATH_NS = 70 * NS_PER_S


@dataclass(slots=True)
class Simulation:
    """Everything in it."""

    world: World
    network: Network
    history: History
    coordinator: CoordinatorModel
    agents: dict[str, AgentHost]
    is_undisturbed: bool
    #: The load goes on for so long, and is so large, that whoever joins must get some of it.
    is_for_all: bool = False

    def run(self) -> None:
        """Let it run, and check all that must hold."""
        world, coordinator = self.world, self.coordinator
        coordinator.boot()
        for agent in self.agents.values():
            is_expected = agent.name in coordinator.settings.expected
            world.after(world.between_ms(0, 800) if is_expected else world.between_ms(500, 7_000), agent.boot)
        assert world.run(self._is_over, LIMIT_NS), (
            f"the run does not end: {coordinator.state and coordinator.state.phase}"
        )
        end_ns = world.now_ns
        world.run(lambda: self._is_clean() or world.now_ns > end_ns + AFTERMATH_NS, LIMIT_NS + AFTERMATH_NS)
        for agent in self.agents.values():
            if agent.state is not None and (self.is_undisturbed or self._must_be_clean(agent)):
                assert not agent.disk, f"{agent.name} still holds {agent.disk}"
        end_ns = world.now_ns
        world.run(lambda: world.now_ns > end_ns + NS_PER_S, LIMIT_NS + 2 * AFTERMATH_NS)
        self.history.check(coordinator.start_world_ns, is_undisturbed=self.is_undisturbed)
        if self.is_undisturbed and self.is_for_all:
            idle = self.agents.keys() - self.history.busy
            assert not idle, f"agents {idle} joined and got nothing to do"

    def _is_over(self) -> bool:
        state = self.coordinator.state
        return state is not None and state.phase in (RunPhase.DONE, RunPhase.ABORTED) and bool(self.history.accountings)

    def _is_clean(self) -> bool:
        return self._is_over() and not any(agent.disk for agent in self.agents.values() if agent.state is not None)

    def _must_be_clean(self, agent: AgentHost) -> bool:
        """With the coordinator up and all of it settled, the agent was told to forget."""
        state = self.coordinator.state
        return state is not None and agent.name in state.parts and state.parts[agent.name].is_settled


def random_schedule(world: World) -> Schedule:
    """A small load of any kind."""
    chance = world.random
    if chance.random() < 0.55:
        kind = chance.choice(("count", "duration", "both"))
        return ClosedLoop(
            concurrency=chance.choice((1, 2, 3, 5, 8, 13)),
            iterations=None if kind == "duration" else chance.choice((0, 1, 7, 30, 60)),
            duration_ns=None if kind == "count" else world.between_ms(500, 4_000),
        )
    stages = [
        RateStage(
            numerator=chance.choice((3, 10, 25)),
            denominator=chance.choice((1, 2)),
            duration_ns=chance.choice((700, 1_500)) * NS_PER_MS,
        )
        for _ in range(chance.choice((0, 1, 2)))
    ]
    return OpenLoop(
        stages=(*stages, RateStage(numerator=chance.choice((5, 17, 30)), denominator=chance.choice((1, 2)))),
        iterations=chance.choice((1, 20, 60)),
        max_in_flight=chance.choice((None, None, 2, 6)),
    )


def long_arrivals(world: World) -> OpenLoop:
    """Arrivals that go on for longer than any lease: what a lost agent left is due while others run."""
    rate = RateStage(numerator=world.random.choice((4, 8)), denominator=1)
    return OpenLoop(stages=(rate,), iterations=world.random.choice((60, 120)))


def load_to_share(world: World) -> Schedule:
    """A load that goes on for long enough that those who come later get a part of it."""
    chance = world.random
    kind = chance.choice(("count", "duration", "open", "open"))
    if kind == "open":
        return OpenLoop(
            stages=(RateStage(numerator=chance.choice((4, 8)), denominator=1),),
            iterations=chance.choice((80, 130)),
            max_in_flight=chance.choice((None, None, 8)),
        )
    slots = chance.choice((1, 2, 3, 5, 8, 13))
    if kind == "duration":
        return ClosedLoop(concurrency=slots, duration_ns=world.between_ms(12_000, 20_000))
    return ClosedLoop(concurrency=slots, iterations=slots * chance.choice((20, 40)))


def build(seed: int) -> Simulation:
    """The simulation of a seed."""
    world = World(seed)
    chance = world.random
    is_undisturbed = chance.random() < 0.2
    is_noisy = not is_undisturbed and chance.random() < 0.6
    network = Network(world)
    is_long = not is_undisturbed and chance.random() < 0.2
    is_shared = not is_long and chance.random() < 0.3
    if is_long:
        network.loss, network.late, network.late_ms = 0.05, chance.choice((0.05, 0.3)), 20_000
    elif is_noisy:
        network.loss, network.doubled = chance.choice((0.02, 0.15)), chance.choice((0.02, 0.15))
        network.late = chance.choice((0.0, 0.05))
        network.late_ms = chance.choice((1_000, 20_000))
    plan = Plan(
        run="run",
        task="task",
        scenario="Dummy.dummy",
        arguments={},
        schedule=long_arrivals(world) if is_long else load_to_share(world) if is_shared else random_schedule(world),
        seed=seed,
        drain_ns=4 * NS_PER_S,
    )
    names = tuple("abcd"[: chance.choice((1, 2, 2, 3, 4))])
    late = tuple("xyz"[: chance.choice((1, 1, 2)) if is_shared else chance.choice((0, 0, 0, 1))])
    settings = RunSettings(
        expected=names,
        min_agents=0 if is_undisturbed else chance.choice((0, 1)),
        join_timeout_ns=15 * NS_PER_S,
        start_margin_ns=chance.choice((300 * NS_PER_MS, NS_PER_S)),
        takeover_wait_ns=6 * NS_PER_S,
        lost_wait_ns=chance.choice((2 * NS_PER_S, 10 * NS_PER_S)),
        drain_grace_ns=3 * NS_PER_S,
        stop_wait_ns=8 * NS_PER_S,
        collect_wait_ns=20 * NS_PER_S,
        forget_wait_ns=5 * NS_PER_S,
        worth_ns=2 * NS_PER_S,
        move_margin_ns=chance.choice((2_100, 3_000)) * NS_PER_MS,
        move_pause_ns=chance.choice((500, 2_000)) * NS_PER_MS,
        move_wait_ns=4 * NS_PER_S,
    )
    roster_settings = RosterSettings(
        lease_ns=chance.choice((7, 12)) * NS_PER_S, suspect_ns=3 * NS_PER_S, grace_ns=NS_PER_S
    )
    history = History(plan)
    coordinator = CoordinatorModel(world, network, history, plan, settings, roster_settings)
    is_eager = chance.random() < 0.3
    agents = {
        name: AgentHost(
            world,
            network,
            history,
            plan,
            name,
            chance.choice((1, 2, 3)),
            is_eager=is_eager,
            fails_to_prepare=not is_undisturbed and chance.random() < 0.03,
        )
        for name in (*names, *late)
    }
    coordinator.agents = agents
    for agent in agents.values():
        agent.coordinator = coordinator
    workers = sum(agent.settings.workers for agent in agents.values())
    bound = plan.schedule.concurrency if isinstance(plan.schedule, ClosedLoop) else plan.schedule.max_in_flight
    if isinstance(plan.schedule, ClosedLoop):
        is_short = (plan.schedule.iterations or LARGE) < 30 * (bound or 1)
    else:
        is_short = plan.schedule.intended_start_ns(plan.schedule.iterations - 1) < 15 * NS_PER_S
        is_short = is_short or plan.schedule.iterations < 15 * workers
    is_for_all = is_shared and (bound or workers) >= workers and not is_eager and not is_short
    simulation = Simulation(world, network, history, coordinator, agents, is_undisturbed, is_for_all)
    if not is_undisturbed:
        plan_faults(simulation, LONG_FAULTS if is_long else FAULTS)
    return simulation


# Faults


Fault = Callable[[Simulation], None]


def plan_faults(simulation: Simulation, faults: tuple[Fault, ...]) -> None:
    """Choose what goes wrong, and when."""
    world = simulation.world
    for _ in range(world.random.choice((1, 1, 2, 3, 5))):
        fault = world.random.choice(faults)
        until_ns = FAULTS_UNTIL_NS if world.random.random() < 0.3 else 6 * NS_PER_S
        world.at(world.random.randrange(NS_PER_S // 2, until_ns), partial(fault, simulation))


def _agent(simulation: Simulation) -> AgentHost:
    return simulation.world.random.choice(list(simulation.agents.values()))


def kill_worker(simulation: Simulation) -> None:
    """SIGKILL of a worker while its agent lives."""
    agent = _agent(simulation)
    if agent.workers:
        agent.crash_worker(simulation.world.random.choice(sorted(agent.workers)))


def freeze_worker(simulation: Simulation) -> None:
    """SIGSTOP of a worker, for good."""
    agent = _agent(simulation)
    if agent.workers:
        number = simulation.world.random.choice(sorted(agent.workers))
        simulation.world.note(f"{agent.name}: worker {number} frozen")
        agent.workers[number].freeze()


def restart_agent(simulation: Simulation) -> None:
    """SIGKILL of an agent with its workers; it comes again."""
    agent, world = _agent(simulation), simulation.world
    if agent.state is not None:
        agent.crash()
        world.after(world.between_ms(50, world.random.choice((800, 15_000))), partial(_boot_agent, agent))


def _boot_agent(agent: AgentHost) -> None:
    if agent.state is None:
        agent.boot()


def lose_host(simulation: Simulation) -> None:
    """A host burns down."""
    agent = _agent(simulation)
    if agent.state is not None:
        agent.crash()


def kill_coordinator(simulation: Simulation) -> None:
    """SIGKILL of the coordinator, at any moment or between two of its instructions; it comes again."""
    coordinator, world = simulation.coordinator, simulation.world
    if coordinator.state is None:
        return
    if world.random.random() < 0.5:
        coordinator.crash()
    else:
        coordinator.dies_after = world.random.randrange(0, 6)
    is_new_boot = world.random.random() < 0.3
    wait_ns = world.between_ms(100, world.random.choice((1_000, 4_000, 20_000)))
    world.after(wait_ns, lambda: _boot_coordinator(coordinator, is_new_boot=is_new_boot))


def _boot_coordinator(coordinator: CoordinatorModel, *, is_new_boot: bool) -> None:
    coordinator.dies_after = coordinator.dies_dividing = None
    if coordinator.state is None:
        if is_new_boot:
            coordinator.set_clock_anew()
        coordinator.boot()


def kill_coordinator_in_division(simulation: Simulation) -> None:
    """A worker dies, and the coordinator with it, in the midst of what it does about it."""
    coordinator, world = simulation.coordinator, simulation.world
    coordinator.dies_dividing = world.random.randrange(0, 5)
    kill_worker(simulation)
    world.after(world.between_ms(1_500, 4_000), partial(_boot_coordinator, coordinator, is_new_boot=False))


def kill_ingest(simulation: Simulation) -> None:
    """SIGKILL of the ingest process; it comes again."""
    simulation.coordinator.crash_ingest()
    simulation.world.after(simulation.world.between_ms(100, 5_000), simulation.coordinator.boot_ingest)


def cut_link(simulation: Simulation) -> None:
    """An agent's link is cut, in both directions or in one, and heals."""
    agent, world, network = _agent(simulation), simulation.world, simulation.network
    directions = world.random.choice((("up", "down"), ("up",), ("down",)))
    world.note(f"{agent.name}: link cut {directions}")
    cut = {(agent.name, direction) for direction in directions}
    network.cut |= cut

    def heal() -> None:
        world.note(f"{agent.name}: link heals")
        network.cut -= cut

    world.after(world.between_ms(200, world.random.choice((3_000, 40_000))), heal)


def cut_link_for_long(simulation: Simulation) -> None:
    """What an agent says does not arrive, for longer than its lease; what was said to it still may."""
    agent, network = _agent(simulation), simulation.network
    simulation.world.note(f"{agent.name}: link cut up, for long")
    network.cut.add((agent.name, "up"))
    heal = partial(network.cut.discard, (agent.name, "up"))
    simulation.world.after(simulation.world.between_ms(10_000, 40_000), heal)


def freeze_supervisor(simulation: Simulation) -> None:
    """SIGSTOP of an agent's supervisor for a while; its workers go on."""
    agent, world = _agent(simulation), simulation.world
    agent.freeze()
    world.after(world.between_ms(200, world.random.choice((2_000, 25_000))), agent.thaw)


def lose_spool(simulation: Simulation) -> None:
    """A spool segment is deleted."""
    _agent(simulation).lose_spool()


def reject_batches(simulation: Simulation) -> None:
    """Some batches can never be stored."""
    simulation.coordinator.reject = 0.1


def drain_agent(simulation: Simulation) -> None:
    """Somebody wants to take a host away, and maybe thinks better of it."""
    agent, world, coordinator = _agent(simulation), simulation.world, simulation.coordinator

    def say(kind: type[AgentDrainRequested] | type[AgentDrainRevoked]) -> None:
        coordinator.tell(kind(now_ns=coordinator.clock.now_ns(), agent=agent.name))

    say(AgentDrainRequested)
    if world.random.random() < 0.4:
        world.after(world.between_ms(0, 3_000), partial(say, AgentDrainRevoked))


def drain(simulation: Simulation) -> None:
    """Ctrl-C."""
    coordinator = simulation.coordinator
    coordinator.tell(DrainRequested(now_ns=coordinator.clock.now_ns(), reason="Ctrl-C"))


def stop(simulation: Simulation) -> None:
    """Ctrl-C, twice."""
    coordinator = simulation.coordinator
    drain(simulation)
    coordinator.tell(StopRequested(now_ns=coordinator.clock.now_ns(), reason="Ctrl-C, twice"))


FAULTS: tuple[Fault, ...] = (
    kill_worker,
    kill_worker,
    freeze_worker,
    restart_agent,
    restart_agent,
    lose_host,
    kill_coordinator,
    kill_coordinator_in_division,
    kill_ingest,
    cut_link,
    cut_link,
    freeze_supervisor,
    lose_spool,
    reject_batches,
    drain_agent,
    drain_agent,
    drain,
    stop,
)


LONG_FAULTS: tuple[Fault, ...] = (
    kill_worker,
    restart_agent,
    kill_coordinator,
    kill_coordinator_in_division,
    cut_link_for_long,
    cut_link_for_long,
    freeze_supervisor,
    freeze_supervisor,
)


def simulate(seed: int) -> Simulation:
    """Run a seed.

    Raises:
        AssertionError: something that must hold does not; with the seed and the last that happened.
    """
    simulation = build(seed)
    try:
        simulation.run()
    except Exception as error:
        last = "\n".join(list(simulation.world.trace)[-60:])
        schedule = simulation.history.plan.schedule
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{schedule}\n{last}") from error
    return simulation
