"""The routes of agents, and of the coordinator itself."""

from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.api.bodies import AgentPage, DrainRequest, Said
from osbench.coordinator.api.office import Ask, Office
from osbench.coordinator.desk import CoordinatorStatus


async def list_agents(office: Office, ask: Ask) -> AgentPage:
    return AgentPage(agents=tuple(office.desk.agents()))


async def show_agent(office: Office, ask: Ask) -> AgentLine:
    return office.desk.agent(ask.path["agent"])


async def drain_agent(office: Office, ask: Ask) -> Said:
    return Said(message=await office.desk.drain(ask.path["agent"], undo=ask.body_as(DrainRequest).undo))


async def show_status(office: Office, ask: Ask) -> CoordinatorStatus:
    return await office.desk.status()
