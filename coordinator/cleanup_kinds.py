"""The kinds of resources a clean-up knows: how each is found by name and how it is removed, in order of dependency.

Rules: `find` returns what is ours and nothing else: a listing's own filter only makes it shorter, the decision is made
here, by name or by the project it is in. `remove` asks for removal; whether it is gone, the next listing tells.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from osbench.common.cloud.administration import CloudView
from osbench.common.cloud.cinder import Cinder
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.neutron import Neutron, Port, SecurityGroup
from osbench.common.cloud.nova import Nova
from osbench.coordinator.contexts.messages import CloudResource

#: Projects asked for in one request.
PROJECTS_AT_ONCE = 50
#: What is asked of Neutron's records.
FIELDS = ("id", "name", "project_id")
#: Services answer these where the account may not see other projects.
FORBIDDEN = (401, 403)


class Names(Protocol):
    """Whose names are meant; see coordinator/cleanup.Scope."""

    @property
    def endings(self) -> str: ...

    @property
    def prefixes(self) -> tuple[str, str]: ...

    def has(self, name: str) -> bool:
        """Whether a resource of this name is meant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where to look: the cloud as its administrator sees it, and, where that is not all, each tenant's own view."""

    cloud: CloudView
    scope: Names
    tenants: tuple[CloudView, ...] = ()


class Kind(Protocol):
    """One kind of resource.

    Attributes:
        name: as in `CloudResource`. patience_s: how long nothing may move before the rest is given up.
    """

    name: ClassVar[str]
    patience_s: ClassVar[float]

    async def find(self, where: Where) -> list[CloudResource]:
        """All of ours.

        Raises:
            CallFailed: the listing failed.
        """
        ...

    async def remove(self, where: Where, resource: CloudResource) -> None:
        """Ask for one to be removed.

        Raises:
            CallFailed: refused; a 404 means that it is gone.
        """
        ...


class Servers:
    """Servers that iterations or contexts made."""

    name: ClassVar[str] = "server"
    patience_s: ClassVar[float] = 120.0

    async def find(self, where: Where) -> list[CloudResource]:
        name = f"^[sc]_osb_{where.scope.endings}"
        views = where.tenants
        try:
            found = await Nova(where.cloud.session).list_all_servers(name=name, all_tenants=1)
        except CallFailed as failed:
            if failed.status not in FORBIDDEN:
                raise
            found, views = [], (where.cloud, *views)
        for view in views:
            found.extend(await Nova(view.session).list_all_servers(name=name))
        ours = {
            server.id: CloudResource(kind=self.name, name=server.name, cloud_id=server.id, project=server.tenant_id)
            for server in found
            if where.scope.has(server.name)
        }
        return list(ours.values())

    async def remove(self, where: Where, resource: CloudResource) -> None:
        await Nova(_view_of(where, resource).session).delete_server(resource.cloud_id)


class Volumes:
    """Volumes that iterations or contexts made; those that a server holds go when it is gone."""

    name: ClassVar[str] = "volume"
    patience_s: ClassVar[float] = 120.0

    async def find(self, where: Where) -> list[CloudResource]:
        if not where.cloud.has("block-storage"):
            return []
        # As no administrator Cinder takes all_tenants for nothing: then each tenant's own view shows what is there.
        everywhere = await Cinder(where.cloud.session).list_all_volumes(all_tenants=1)
        found = [(volume, volume.project_id) for volume in everywhere]
        for view in where.tenants:
            found.extend((volume, view.access.project_id) for volume in await Cinder(view.session).list_all_volumes())
        ours = {
            volume.id: CloudResource(kind=self.name, name=volume.name, cloud_id=volume.id, project=project)
            for volume, project in found
            if volume.name and where.scope.has(volume.name)
        }
        return list(ours.values())

    async def remove(self, where: Where, resource: CloudResource) -> None:
        await Cinder(_view_of(where, resource).session).delete_volume(resource.cloud_id)


def _view_of(where: Where, resource: CloudResource) -> CloudView:
    """Who may remove it: its tenant, where the administrator may not see all projects."""
    return next((view for view in where.tenants if view.access.project_id == resource.project), where.cloud)


class _InOurProjects(ABC):
    """Things of Neutron in the projects that our contexts made; whatever is in them is ours."""

    name: ClassVar[str]
    patience_s: ClassVar[float] = 30.0

    async def find(self, where: Where) -> list[CloudResource]:
        projects = frozenset(project.cloud_id for project in await PROJECTS.find(where))
        if not projects or not where.cloud.has("network"):
            return []
        return [
            CloudResource(kind=self.name, name=found.name or found.id, cloud_id=found.id, project=found.project_id)
            for found in await self.listed(Neutron(where.cloud.session), sorted(projects))
            if found.project_id in projects
        ]

    @abstractmethod
    async def listed(self, neutron: Neutron, projects: Sequence[str]) -> Sequence[Port | SecurityGroup]:
        """All there are in these projects, and perhaps some in others."""

    @abstractmethod
    async def remove(self, where: Where, resource: CloudResource) -> None:
        """As `Kind` says."""


class Ports(_InOurProjects):
    """Ports that a server left behind."""

    name: ClassVar[str] = "port"

    async def listed(self, neutron: Neutron, projects: Sequence[str]) -> Sequence[Port]:
        found: list[Port] = []
        for start in range(0, len(projects), PROJECTS_AT_ONCE):
            chosen = projects[start : start + PROJECTS_AT_ONCE]
            found.extend(await neutron.list_ports(project_id=chosen, fields=FIELDS))
        return found

    async def remove(self, where: Where, resource: CloudResource) -> None:
        await Neutron(where.cloud.session).delete_port(resource.cloud_id)


class SecurityGroups(_InOurProjects):
    """Neutron makes a `default` group in a project when it is first used, and leaves it when the project goes."""

    name: ClassVar[str] = "security_group"

    async def listed(self, neutron: Neutron, projects: Sequence[str]) -> Sequence[SecurityGroup]:
        # Of all projects: Neutron makes the `default` group of a project that a listing of groups asks for
        # (neutron/db/securitygroups_db.py, get_security_groups), so that removing them would never end.
        return await neutron.list_security_groups(fields=FIELDS)

    async def remove(self, where: Where, resource: CloudResource) -> None:
        await Neutron(where.cloud.session).delete_security_group(resource.cloud_id)


class _OfKeystone:
    """Records of Keystone that contexts or iterations made."""

    name: ClassVar[str]
    patience_s: ClassVar[float] = 30.0
    plural: ClassVar[str]

    async def find(self, where: Where) -> list[CloudResource]:
        found: dict[str, CloudResource] = {}
        for prefix in where.scope.prefixes:
            # The filter is the identity driver's and may be ignored (LDAP); what is ours is decided below.
            query = {"name__startswith": prefix}
            try:
                answer = await where.cloud.call("GET", "identity", f"/{self.plural}", query=query)
            except CallFailed as failed:
                if failed.status in FORBIDDEN:
                    return []  # whoever may not list them cannot have made them
                raise
            for entry in answer[self.plural]:
                if where.scope.has(entry["name"]):
                    found[entry["id"]] = CloudResource(
                        kind=self.name,
                        name=entry["name"],
                        cloud_id=entry["id"],
                        project=entry.get("default_project_id") or "",
                    )
        return list(found.values())

    async def remove(self, where: Where, resource: CloudResource) -> None:
        await where.cloud.call("DELETE", "identity", f"/{self.plural}/{resource.cloud_id}")


class Users(_OfKeystone):
    """Users of the users context, who go before their projects, and users that iterations made."""

    name: ClassVar[str] = "user"
    plural: ClassVar[str] = "users"


class Projects(_OfKeystone):
    """Projects of the users context."""

    name: ClassVar[str] = "project"
    plural: ClassVar[str] = "projects"


PROJECTS = Projects()

#: In the order in which they go.
KINDS: Sequence[Kind] = (Servers(), Volumes(), Ports(), SecurityGroups(), Users(), PROJECTS)
KIND_NAMES = tuple(kind.name for kind in KINDS)
