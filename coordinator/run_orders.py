"""What each agent of a run shall be told, and when it is told it again.

Rules: decided from what stands in an `AgentPart` alone, level-triggered: whatever was lost on the way, the difference
between the orders and the agent's report stays until it is said once more. A lost agent is not spoken to. Orders are for
one life of an agent: those of a restart later would otherwise be taken for its own.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from osbench.common.messages import Orders, WorkerShares
from osbench.coordinator.ledger import Ledger
from osbench.coordinator.run_events import RunSettings, SendOrders, SendPrepare
from osbench.coordinator.run_parts import AgentPart
from osbench.coordinator.slots import SlotBook


def shares_of(part: AgentPart, ledger: Ledger, slots: SlotBook) -> tuple[WorkerShares, ...]:
    """All shares of the workers of an agent's present life, and how many slots each has."""
    keys = sorted(key for key in part.workers if key.life == part.life and (key in ledger.by_worker or slots.of(key)))
    return tuple(
        WorkerShares(
            worker=key.worker,
            shares=ledger.shares(key),
            limits=ledger.limits(key),
            slots=None if slots.total is None else slots.of(key),
        )
        for key in keys
    )


def renew_orders(
    part: AgentPart, ledger: Ledger, slots: SlotBook, run: str, goal: str, start_ns: int, revision: int
) -> bool:
    """Bring an agent's orders up to date; whether they have changed, and so have taken the given revision."""
    part.is_stale = False
    if goal == "prepare":
        return False
    orders = Orders(
        run=run,
        revision=part.orders.revision if part.orders else 0,
        goal=goal,
        start_ns=start_ns,
        shares=shares_of(part, ledger, slots) if goal == "run" else (),
        life=part.life,
    )
    if orders == part.orders:
        return False
    part.orders = replace(orders, revision=revision)
    return True


def say_again(part: AgentPart, goal: str, now_ns: int, settings: RunSettings) -> Iterator[SendPrepare | SendOrders]:
    """What the agent must be told now: its job if it lacks it, its orders if it has older ones."""
    if not part.is_spoken_to:
        return
    wants_job = goal in ("prepare", "run")
    if wants_job and not part.has_prepared and not part.has_failed:
        if part.may_say(("prepare", part.life, part.stint), now_ns, settings):
            part.is_asked = True
            yield SendPrepare(agent=part.agent, life=part.life, revision=part.stint)
        return
    orders = part.orders
    if orders is None or part.revision >= orders.revision or part.holds_nothing or (wants_job and part.has_failed):
        return
    if part.may_say(("orders", part.life, orders.revision), now_ns, settings):
        yield SendOrders(agent=part.agent, life=part.life, orders=orders)
