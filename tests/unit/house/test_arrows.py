"""What must always hold of the house: which package may import which."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HOUSES = ("coordinator", "agent", "common", "providers", "deploy")
#: coordinator → deploy → providers → common ← agent
MAY_IMPORT = {
    "coordinator": {"coordinator", "deploy", "providers", "common"},
    "deploy": {"deploy", "providers", "common"},
    "providers": {"providers", "common"},
    "common": {"common"},
    "agent": {"agent", "common"},
}
#: Pure cores: no socket, file, process, clock or chance of their own.
PURE = (
    "coordinator/run_state.py",
    "coordinator/run_events.py",
    "coordinator/run_parts.py",
    "coordinator/run_orders.py",
    "coordinator/run_agents.py",
    "coordinator/run_answer.py",
    "coordinator/takeover.py",
    "coordinator/movement.py",
    "coordinator/slots.py",
    "coordinator/outlook.py",
    "coordinator/balance.py",
    "coordinator/run_snapshot.py",
    "coordinator/ledger.py",
    "coordinator/reckoning.py",
    "coordinator/accounting.py",
    "coordinator/starvation.py",
    "coordinator/task_state.py",
    "coordinator/deployment_state.py",
    "coordinator/roster.py",
    "coordinator/planner.py",
    "coordinator/verdict.py",
    "coordinator/sla.py",
    "agent/agent_state.py",
    "agent/agent_events.py",
    "agent/agent_parts.py",
    "agent/foreman.py",
    "agent/clock_fit.py",
    "agent/pacer.py",
    "common/share.py",
    "common/histogram.py",
)
IMPURE = {
    "asyncio",
    "datetime",
    "os",
    "pathlib",
    "pycurl",
    "random",
    "selectors",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uvloop",
    "zmq",
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def modules(house: str) -> list[Path]:
    return sorted((ROOT / house).rglob("*.py"))


@cache
def imported(path: Path, *, is_running: bool = False) -> set[str]:
    """Full names of all modules a file imports, wherever in it; `is_running` leaves out what only types need."""
    names: set[str] = set()
    tree = parsed(path)
    for_types = {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if is_running and node in for_types:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("house", HOUSES)
def test_imports_follow_the_arrows(house: str) -> None:
    """An arrow the wrong way, and neither end installs or is tested alone."""
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(house)
        for name in imported(path)
        if name.startswith("osbench.") and name.split(".")[1] not in MAY_IMPORT[house]
    }

    assert wrong == set()


@pytest.mark.parametrize("name", PURE)
def test_a_pure_core_touches_no_world(name: str) -> None:
    """A decision that reads a clock or a socket cannot be replayed from a seed."""
    found = {module for module in imported(ROOT / name) if module.split(".")[0] in IMPURE}

    assert found == set()


def test_no_module_imports_itself_in_a_circle() -> None:
    """A cycle means that two modules are one, cut at the wrong place."""
    graph: dict[str, set[str]] = {}
    for house in HOUSES:
        for path in modules(house):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            graph[".".join(("osbench", *parts))] = imported(path, is_running=True)
    graph = {
        name: {target for target in targets if target in graph and target != name} for name, targets in graph.items()
    }

    assert _cycle(graph) == []


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph[name]):
            if found := visit(target, [*trail, name]):
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        if found := visit(name, []):
            return found
    return []


def test_the_agent_needs_none_of_the_coordinators_libraries() -> None:
    """A load host carries only what puts load on a cloud."""
    heavy = ("sqlalchemy", "alembic", "jinja2", "paramiko", "starlette", "openstack", "rich", "numpy")
    names = [".".join(("osbench", *path.relative_to(ROOT).with_suffix("").parts)) for path in modules("agent")]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    program = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


def test_every_stage_of_the_data_path_says_which_it_is() -> None:
    """`grep -rn "Stage ./10"` prints the pipeline."""
    stages = {
        path.read_text().split("Stage ", 1)[1].split("/10", 1)[0]
        for house in HOUSES
        for path in modules(house)
        if path.read_text().startswith('"""Stage ')
    }

    assert stages == {str(number) for number in range(1, 11)}
