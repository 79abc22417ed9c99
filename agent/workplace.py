"""What a worker needs to run a job: the scenario's function, and the clients of the cloud's services for its users.

Rules: made once per job, before the load; nothing here is looked up again by name while the load runs. One transport
serves all users, so that connections are shared as a client of the cloud would share them.
"""

from random import SystemRandom
from typing import Any

from osbench.common.clock import Clock
from osbench.common.cloud.clients import CloudClients, transport_options
from osbench.common.cloud.curl import CurlTransport
from osbench.common.error import InputError
from osbench.common.job import Job
from osbench.common.scenarios.registry import SCENARIOS


class CloudWorkplace:
    """The scenario of a job, ready to be called. Made inside a running loop.

    Raises:
        InputError: this release does not know the scenario.
    """

    def __init__(self, job: Job, clock: Clock) -> None:
        scenario = SCENARIOS.get(job.plan.scenario)
        if scenario is None:
            raise InputError(f"scenario {job.plan.scenario!r} is not known to this agent; is it of the same release?")
        self.scenario = scenario.function
        self.arguments: dict[str, Any] = job.plan.arguments
        # Chance only spreads the moments at which tokens are renewed.
        self.clients = CloudClients(job, CurlTransport(clock, transport_options(job.cloud)), clock, SystemRandom())

    async def close(self) -> None:
        """Close all connections."""
        await self.clients.close()
