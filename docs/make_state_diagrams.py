"""Draw the state machines from their transition tables: `python docs/make_state_diagrams.py > docs/states.md`."""

from collections.abc import Mapping
from typing import Any

from osbench.agent.agent_parts import AGENT_TRANSITIONS
from osbench.coordinator.deployment_state import DEPLOYMENT_TRANSITIONS
from osbench.coordinator.roster import STANDING_TRANSITIONS
from osbench.coordinator.run_state import RUN_TRANSITIONS
from osbench.coordinator.task_state import TASK_TRANSITIONS

HEAD = """# State machines

Made from the transition tables by `python docs/make_state_diagrams.py > docs/states.md`; do not edit.
"""


def diagram(title: str, where: str, table: Mapping[Any, Mapping[Any, str] | frozenset[Any]]) -> str:
    """One machine as a mermaid diagram under its title; where the table tells no causes the arrows bear none."""
    lines = [f'    state "{state.value}" as {_box(state)}' for state in table if _box(state) != state.value]
    lines.append(f"    [*] --> {_box(next(iter(table)))}")
    for state, targets in table.items():
        if isinstance(targets, frozenset):
            lines += [f"    {_box(state)} --> {_box(target)}" for target in table if target in targets]
        else:
            lines += [f"    {state.value} --> {target.value}: {why}" for target, why in targets.items()]
        if not targets:
            lines.append(f"    {_box(state)} --> [*]")
    return "\n".join([f"\n## {title}\n", f"Table: `{where}`.\n", "```mermaid", "stateDiagram-v2", *lines, "```\n"])


def _box(state: Any) -> str:
    """A word that mermaid takes: some states have arrows in their names, as Rally's."""
    return str(state.value).replace("->", "_")


def page() -> str:
    """The whole page."""
    return HEAD + "".join(
        diagram(title, where, table)
        for title, where, table in (
            ("A run, in the coordinator", "coordinator/run_state.py, RUN_TRANSITIONS", RUN_TRANSITIONS),
            ("A run, at an agent", "agent/agent_parts.py, AGENT_TRANSITIONS", AGENT_TRANSITIONS),
            ("An agent, in the roster", "coordinator/roster.py, STANDING_TRANSITIONS", STANDING_TRANSITIONS),
            ("A task", "coordinator/task_state.py, TASK_TRANSITIONS", TASK_TRANSITIONS),
            ("A deployment", "coordinator/deployment_state.py, DEPLOYMENT_TRANSITIONS", DEPLOYMENT_TRANSITIONS),
        )
    )


if __name__ == "__main__":
    print(page(), end="")
