"""The scenario of the path benchmark: one GET of one server, as an agent and its workers run it.

Started as an agent (`get_server.py agent …`) and by it as a worker (`get_server.py worker`); both are the real programs
with this one scenario more in their registry.
"""

import sys
from pathlib import Path

from osbench.agent import main as agent_main
from osbench.agent import worker as worker_main
from osbench.agent.worker_process import WorkerProcess
from osbench.common.cloud.nova import Nova
from osbench.common.scenarios.contract import Iteration
from osbench.common.scenarios.definition import scenario
from osbench.common.scenarios.registry import SCENARIOS

NAME = "Benchmark.get_server"
SERVER_ID = "3f1c0f5e-7f4b-4c8c-9a55-0c1d2e3f4a5b"


@scenario(NAME, services=("nova",), needs_users=True)
async def get_server(it: Iteration) -> None:
    """GET one server, as one atomic action."""
    nova = it.client("nova")
    assert isinstance(nova, Nova)
    with it.action("nova.get_server"):
        await nova.get_server(SERVER_ID)


SCENARIOS[NAME] = get_server

if __name__ == "__main__":
    role = sys.argv.pop(1)
    if role == "agent":
        WorkerProcess.command = (sys.executable, str(Path(__file__).resolve()), "worker")
        agent_main.main()
    else:
        worker_main.main()
