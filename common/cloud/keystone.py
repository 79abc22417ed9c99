"""Keystone v3: signing in as part of the load, and what a context needs to make users and take them away."""

from typing import Any

import msgspec
import orjson

from osbench.common.cloud.contract import Exchange
from osbench.common.cloud.credentials import CloudCredentials
from osbench.common.cloud.identity import VALIDATE_TOKEN, Token, sign_in_body, token_of
from osbench.common.cloud.paths import query, segment
from osbench.common.cloud.route import Route
from osbench.common.cloud.session import Session

_CREATED = frozenset({201})
_DONE = frozenset({204})

CREATE_USER = Route("identity", "POST", "/users", _CREATED)
LIST_USERS = Route("identity", "GET", "/users")
DELETE_USER = Route("identity", "DELETE", "/users/{id}", _DONE)
CREATE_PROJECT = Route("identity", "POST", "/projects", _CREATED)
LIST_PROJECTS = Route("identity", "GET", "/projects")
DELETE_PROJECT = Route("identity", "DELETE", "/projects/{id}", _DONE)
LIST_DOMAINS = Route("identity", "GET", "/domains")
LIST_ROLES = Route("identity", "GET", "/roles")
CREATE_ROLE = Route("identity", "POST", "/roles", _CREATED)
DELETE_ROLE = Route("identity", "DELETE", "/roles/{id}", _DONE)
ADD_ROLE = Route("identity", "PUT", "/projects/{id}/users/{id}/roles/{id}", _DONE)
REMOVE_ROLE = Route("identity", "DELETE", "/projects/{id}/users/{id}/roles/{id}", _DONE)
LIST_ROLE_ASSIGNMENTS = Route("identity", "GET", "/role_assignments")


class User(msgspec.Struct, frozen=True):
    """A user."""

    id: str
    name: str = ""
    domain_id: str = ""
    enabled: bool = True


class Project(msgspec.Struct, frozen=True):
    """A project."""

    id: str
    name: str = ""
    domain_id: str = ""
    enabled: bool = True


class Domain(msgspec.Struct, frozen=True):
    """A domain."""

    id: str
    name: str = ""


class Role(msgspec.Struct, frozen=True):
    """A role."""

    id: str
    name: str = ""


class _Reference(msgspec.Struct, frozen=True):
    id: str = ""


class _AssignmentScope(msgspec.Struct, frozen=True):
    project: _Reference | None = None
    domain: _Reference | None = None


class RoleAssignment(msgspec.Struct, frozen=True):
    """Who has which role where; `user` is None where a group has it."""

    role: _Reference
    user: _Reference | None = None
    scope: _AssignmentScope = _AssignmentScope()


class _UserReply(msgspec.Struct):
    user: User


class _UsersReply(msgspec.Struct):
    users: list[User]


class _ProjectReply(msgspec.Struct):
    project: Project


class _ProjectsReply(msgspec.Struct):
    projects: list[Project]


class _DomainsReply(msgspec.Struct):
    domains: list[Domain]


class _RoleReply(msgspec.Struct):
    role: Role


class _RolesReply(msgspec.Struct):
    roles: list[Role]


class _AssignmentsReply(msgspec.Struct):
    role_assignments: list[RoleAssignment]


_decode_user = msgspec.json.Decoder(_UserReply).decode
_decode_users = msgspec.json.Decoder(_UsersReply).decode
_decode_project = msgspec.json.Decoder(_ProjectReply).decode
_decode_projects = msgspec.json.Decoder(_ProjectsReply).decode
_decode_domains = msgspec.json.Decoder(_DomainsReply).decode
_decode_role = msgspec.json.Decoder(_RoleReply).decode
_decode_roles = msgspec.json.Decoder(_RolesReply).decode
_decode_assignments = msgspec.json.Decoder(_AssignmentsReply).decode


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


class Keystone:
    """Identity calls of one session."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    async def sign_in(self, credentials: CloudCredentials | None = None) -> Token:
        """Get a token, as a call of the load; the session goes on with its own.

        Args:
            credentials: whose; None for the session's user.
        """
        if credentials is None:
            return await self.session.sign_in()
        return await self.session.sign_in(sign_in_body(credentials), auth_url=credentials.auth_url)

    async def validate_token(self, token: str) -> Token:
        """Ask Keystone about a token."""
        exchange = await self.session.call(VALIDATE_TOKEN, "/auth/tokens", more_headers=(f"X-Subject-Token: {token}",))
        return token_of(exchange, VALIDATE_TOKEN, token)

    async def create_user(
        self,
        name: str,
        password: str | None = None,
        *,
        domain_id: str | None = None,
        default_project_id: str | None = None,
        email: str | None = None,
        **more: Any,
    ) -> User:
        """Make a user; without a password it cannot sign in."""
        fields = {
            "name": name,
            "password": password,
            "domain_id": domain_id,
            "default_project_id": default_project_id,
            "email": email,
            **more,
        }
        exchange = await self._post(CREATE_USER, {"user": _given(fields)})
        return self.session.decoded(CREATE_USER, exchange, _decode_user).user

    async def list_users(self, **parameters: Any) -> list[User]:
        """Users; `parameters` are Keystone's filters, e.g. domain_id, name."""
        exchange = await self.session.call(LIST_USERS, "/users" + query(parameters))
        return self.session.decoded(LIST_USERS, exchange, _decode_users).users

    async def delete_user(self, user_id: str) -> None:
        """Remove a user."""
        await self.session.call(DELETE_USER, "/users/" + segment(user_id))

    async def create_project(self, name: str, *, domain_id: str | None = None, **more: Any) -> Project:
        """Make a project."""
        exchange = await self._post(CREATE_PROJECT, {"project": _given({"name": name, "domain_id": domain_id, **more})})
        return self.session.decoded(CREATE_PROJECT, exchange, _decode_project).project

    async def list_projects(self, **parameters: Any) -> list[Project]:
        """Projects; `parameters` are Keystone's filters."""
        exchange = await self.session.call(LIST_PROJECTS, "/projects" + query(parameters))
        return self.session.decoded(LIST_PROJECTS, exchange, _decode_projects).projects

    async def delete_project(self, project_id: str) -> None:
        """Remove a project."""
        await self.session.call(DELETE_PROJECT, "/projects/" + segment(project_id))

    async def list_domains(self, **parameters: Any) -> list[Domain]:
        """Domains."""
        exchange = await self.session.call(LIST_DOMAINS, "/domains" + query(parameters))
        return self.session.decoded(LIST_DOMAINS, exchange, _decode_domains).domains

    async def list_roles(self, **parameters: Any) -> list[Role]:
        """Roles; `parameters` are Keystone's filters, e.g. name."""
        exchange = await self.session.call(LIST_ROLES, "/roles" + query(parameters))
        return self.session.decoded(LIST_ROLES, exchange, _decode_roles).roles

    async def create_role(self, name: str, **more: Any) -> Role:
        """Make a role."""
        exchange = await self._post(CREATE_ROLE, {"role": {"name": name, **more}})
        return self.session.decoded(CREATE_ROLE, exchange, _decode_role).role

    async def delete_role(self, role_id: str) -> None:
        """Remove a role."""
        await self.session.call(DELETE_ROLE, "/roles/" + segment(role_id))

    async def add_role(self, role_id: str, *, user_id: str, project_id: str) -> None:
        """Give a user a role on a project."""
        await self.session.call(ADD_ROLE, _grant(role_id, user_id, project_id))

    async def remove_role(self, role_id: str, *, user_id: str, project_id: str) -> None:
        """Take a user's role on a project away."""
        await self.session.call(REMOVE_ROLE, _grant(role_id, user_id, project_id))

    async def list_role_assignments(self, **parameters: Any) -> list[RoleAssignment]:
        """Role assignments; `parameters` are Keystone's, written user_id for `user.id`."""
        dotted = {
            key.removesuffix("_id") + ".id" if key.endswith("_id") else key: value for key, value in parameters.items()
        }
        if "project.id" in dotted:
            dotted["scope.project.id"] = dotted.pop("project.id")
        exchange = await self.session.call(LIST_ROLE_ASSIGNMENTS, "/role_assignments" + query(dotted))
        return self.session.decoded(LIST_ROLE_ASSIGNMENTS, exchange, _decode_assignments).role_assignments

    async def _post(self, route: Route, body: dict[str, Any]) -> Exchange:
        return await self.session.call(route, route.path, orjson.dumps(body))


def _grant(role_id: str, user_id: str, project_id: str) -> str:
    return f"/projects/{segment(project_id)}/users/{segment(user_id)}/roles/{segment(role_id)}"
