"""Draw the state machines from their transition tables: `python docs/make_state_diagrams.py > docs/states.md`."""

from collections.abc import Mapping
from typing import Any

from osbench.agent.agent_state import AGENT_TRANSITIONS
from osbench.coordinator.roster import STANDING_TRANSITIONS
from osbench.coordinator.run_state import RUN_TRANSITIONS

HEAD = """# State machines

Made from the transition tables by `python docs/make_state_diagrams.py > docs/states.md`; do not edit.
"""


def diagram(title: str, where: str, table: Mapping[Any, Mapping[Any, str]]) -> str:
    """One machine as a mermaid diagram under its title."""
    lines = [f"    [*] --> {next(iter(table)).value}"]
    for state, targets in table.items():
        lines += [f"    {state.value} --> {target.value}: {why}" for target, why in targets.items()]
        if not targets:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join([f"\n## {title}\n", f"Table: `{where}`.\n", "```mermaid", "stateDiagram-v2", *lines, "```\n"])


def page() -> str:
    """The whole page."""
    return HEAD + "".join(
        diagram(title, where, table)
        for title, where, table in (
            ("A run, in the coordinator", "coordinator/run_state.py, RUN_TRANSITIONS", RUN_TRANSITIONS),
            ("A run, at an agent", "agent/agent_state.py, AGENT_TRANSITIONS", AGENT_TRANSITIONS),
            ("An agent, in the roster", "coordinator/roster.py, STANDING_TRANSITIONS", STANDING_TRANSITIONS),
        )
    )


if __name__ == "__main__":
    print(page(), end="")
