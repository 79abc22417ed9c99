"""`osbench agent`: the load agents of a coordinator."""

from typing import TYPE_CHECKING, Any

import click

from osbench.coordinator.cli.options import json_option, pass_workshop, print_json, print_pairs, print_rows
from osbench.coordinator.cli.workshop import Workshop

if TYPE_CHECKING:
    from osbench.coordinator.agent_line import AgentLine

EPILOG_LIST = """\b
Examples:
  osbench agent list
  osbench agent list --json | jq -r '.[] | select(.standing == "lost") | .name'
"""
EPILOG_SHOW = """\b
Examples:
  osbench agent show load-1
  osbench agent show load-1 --json | jq .offset_error_ns
"""
EPILOG_DRAIN = """\b
Examples:
  osbench agent drain load-1             before its host is taken down
  osbench agent drain load-1 --undo      when it is back
"""


@click.group()
def agent() -> None:
    """Load agents of the coordinator."""


def heard_words(heard_ago_s: float | None) -> str:
    """How long ago an agent gave its last sign of life: `0.4 s ago`, `3 min ago`."""
    if heard_ago_s is None:
        return "never"
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if heard_ago_s >= 2 * seconds:
            return f"{heard_ago_s / seconds:.0f} {unit} ago"
    return f"{heard_ago_s:.1f} s ago"


def size_words(value_bytes: int) -> str:
    """Bytes in the unit that suits."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value_bytes >= size:
            return f"{value_bytes / size:.1f} {unit}"
    return f"{value_bytes} B"


def clock_words(line: "AgentLine") -> str:
    """How well an agent's clock is known: `± 0.150 ms`; empty where it is not. The offset itself is between two clocks
    that begin anywhere, and says nothing to people.
    """
    return f"± {line.offset_error_ns / 1e6:.3f} ms" if line.offset_error_ns >= 0 else ""


def standing_words(line: "AgentLine") -> str:
    """How it stands, and whether it gets work."""
    return f"{line.standing}, drained" if line.is_drained else str(line.standing)


def builtins_of(line: "AgentLine") -> Any:
    """An agent as JSON has it."""
    import msgspec

    return msgspec.to_builtins(line)


@agent.command("list", epilog=EPILOG_LIST)
@json_option
@pass_workshop
def list_agents(workshop: Workshop, as_json: bool) -> None:
    """List load agents by name."""
    with workshop.service() as service:
        lines = service.agent_list()
    if as_json:
        print_json([builtins_of(line) for line in lines])
        return
    rows = [
        {
            "name": line.name,
            "standing": standing_words(line),
            "heard": heard_words(line.heard_ago_s),
            "workers": line.workers or "",
            "cores": line.cores or "",
            "memory": size_words(line.memory_bytes) if line.memory_bytes else "",
            "cpu": f"{line.cpu_permille / 10:.0f} %" if line.life else "",
            "unacked": line.unacked or "",
            "clock": clock_words(line),
            "address": line.address,
            "labels": ", ".join(line.labels),
            "run": line.run,
        }
        for line in lines
    ]
    columns = {
        "name": "Name",
        "standing": "Standing",
        "heard": "Heard",
        "workers": "Workers",
        "cores": "Cores",
        "memory": "Memory",
        "cpu": "CPU",
        "unacked": "Unsent batches",
        "clock": "Clock",
        "address": "Address",
        "labels": "Labels",
        "run": "Run",
    }
    ranks = {
        "run": 9,
        "memory": 8,
        "unacked": 7,
        "clock": 6,
        "labels": 5,
        "address": 4,
        "cores": 3,
        "cpu": 2,
        "workers": 1,
    }
    print_rows("Agents", columns, rows, as_json=False, ranks=ranks, cut="name")


@agent.command(epilog=EPILOG_SHOW)
@click.argument("name")
@json_option
@pass_workshop
def show(workshop: Workshop, name: str, as_json: bool) -> None:
    """Show one load agent."""
    with workshop.service() as service:
        line = service.agent_show(name)
    if as_json:
        print_json(builtins_of(line))
        return
    shown = {
        "name": line.name,
        "standing": standing_words(line),
        "heard": heard_words(line.heard_ago_s),
        "address": line.address,
        "version": line.version,
        "life": line.life or "",
        "labels": ", ".join(line.labels),
        "workers": line.workers,
        "cores": line.cores,
        "memory": size_words(line.memory_bytes),
        "open files": line.nofile,
        "run": line.run,
        "CPU in use": f"{line.cpu_permille / 10:.1f} %",
        "memory in use": f"{line.memory_permille / 10:.1f} %",
        "unsent batches": line.unacked,
        "spool": size_words(line.spool_bytes),
        "clock": clock_words(line),
    }
    print_pairs("Agent", shown, as_json=False)


@agent.command(epilog=EPILOG_DRAIN)
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let it get work again.")
@pass_workshop
def drain(workshop: Workshop, name: str, undo: bool) -> None:
    """Give an agent no new work; what it has not started goes to the others."""
    with workshop.service() as service:
        click.echo(service.agent_drain(name, undo=undo))
