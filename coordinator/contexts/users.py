"""Context `users`: projects and users of their own for a run, each user signed in once before the load.

Rules: everything that will be made is recorded in one go before the first of it is made, since all names are known from
(task, run). It is made with our own asynchronous session and not with openstacksdk: hundreds of small calls go out a
bounded number at a time on one loop, each with a deadline and cancellable at once, where an SDK connection is a thread and
some 10 MB for each at once and cannot be stopped; and nothing of Keystone that the SDK smooths over is needed here.
Each password is random, is kept by nobody but the run, and dies with its user.
"""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec

from osbench.common.cloud.administration import PAUSES_S, is_transient
from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.credentials import CloudCredentials
from osbench.common.error import CloudError, InputError
from osbench.common.job import UserAccess
from osbench.common.naming import context_name, spelled
from osbench.common.nearest import did_you_mean
from osbench.coordinator.cleanup import Scope, clean_up
from osbench.coordinator.contexts.contract import Stage
from osbench.coordinator.contexts.messages import CloudResource, Leftover
from osbench.coordinator.contexts.parallel import each

MAX_USERS = 100_000
#: What clean-up takes down for this context: the users and projects, and what other services keep for a project.
KINDS = ("port", "security_group", "user", "project")

_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_USERS)]


class UsersConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Configuration of the context; keys and defaults are Rally's, but for `role`.

    Attributes:
        tenants: projects to make. users_per_tenant: users in each.
        user_password: of all users; None for a random one each.
        resource_management_workers: how many calls are under way at once.
        project_domain, user_domain: id or name of the domain the projects and the users are made in.
        user_choice_method: how an iteration chooses its user; belongs to the plan.
        role: what each user is on its project.
    """

    tenants: _Count = 1
    users_per_tenant: _Count = 1
    user_password: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None = None
    resource_management_workers: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    project_domain: str = "default"
    user_domain: str = "default"
    user_choice_method: Literal["random", "round_robin"] = "random"
    role: str = "member"


class UsersContext:
    """Projects with users, made for the run; or, if asked for nothing but how to choose, the deployment's own users."""

    name: ClassVar[str] = "users"
    order: ClassVar[int] = 100

    def __init__(self, config: UsersConfig, *, is_given: bool) -> None:
        self.config = config
        self.is_given = is_given

    @classmethod
    def configured(cls, config: Mapping[str, Any]) -> Self:
        try:
            checked = msgspec.convert(dict(config), UsersConfig)
        except msgspec.ValidationError as error:
            key = str(error)
            raise InputError(f"context users: {key[:1].lower()}{key[1:]}") from error
        count = checked.tenants * checked.users_per_tenant
        if count > MAX_USERS:
            raise InputError(
                f"context users: {checked.tenants} tenants × {checked.users_per_tenant} users are {count}; "
                f"at most {MAX_USERS} are made"
            )
        return cls(checked, is_given=any(key != "user_choice_method" for key in config))

    async def set_up(self, stage: Stage) -> None:
        """Make projects and users, and sign every user in."""
        if stage.existing_users and not self.is_given:
            await self._sign_in_existing(stage)
            return
        limit = self.config.resource_management_workers
        project_domain, user_domain, role = await self._look_up(stage)
        tenants = [f"t{spelled(number)}" for number in range(self.config.tenants)]
        members = [
            (tenant, f"u{spelled(number)}") for tenant in tenants for number in range(self.config.users_per_tenant)
        ]
        projects = {tenant: context_name(stage.task, stage.run, tenant) for tenant in tenants}
        names = {member: context_name(stage.task, stage.run, "".join(member)) for member in members}
        await stage.reporter.intend(
            (
                *(CloudResource(kind="project", name=name) for name in projects.values()),
                *(CloudResource(kind="user", name=name) for name in names.values()),
            )
        )
        project_ids: dict[str, str] = {}

        async def make_project(tenant: str) -> None:
            project_ids[tenant] = await self._make_project(stage, projects[tenant], project_domain)
            stage.reporter.progress("creating projects", len(project_ids), len(tenants))

        signed_in: list[UserAccess] = []

        async def make_user(member: tuple[str, str]) -> UserAccess:
            access = await self._make_user(stage, names[member], project_ids[member[0]], user_domain, role)
            signed_in.append(access)
            stage.reporter.progress("creating users", len(signed_in), len(members))
            return access

        try:
            await each(tenants, limit, make_project)
            stage.users.extend(await each(members, limit, make_user))
        except CallFailed as failed:
            raise failed.as_cloud_error("setting up the users") from failed

    async def clean_up(self, stage: Stage) -> tuple[Leftover, ...]:
        """Remove them, found by name."""
        outcome = await clean_up(stage.cloud, Scope(task=stage.task, run=stage.run), stage.reporter, kinds=KINDS)
        return tuple(outcome.leftovers)

    async def _sign_in_existing(self, stage: Stage) -> None:
        signed_in: list[UserAccess] = []

        async def sign_in(user: CloudCredentials) -> UserAccess:
            access = (await stage.cloud.sign_in(user)).access
            signed_in.append(access)
            stage.reporter.progress("signing users in", len(signed_in), len(stage.existing_users))
            return access

        try:
            stage.users.extend(await each(stage.existing_users, self.config.resource_management_workers, sign_in))
        except CallFailed as failed:
            raise failed.as_cloud_error("signing in the deployment's users") from failed

    async def _look_up(self, stage: Stage) -> tuple[str, str, str]:
        """Ids of the domain of the projects, of that of the users, and of the role."""
        try:
            project_domain = await _domain(stage, self.config.project_domain)
            user_domain = project_domain
            if self.config.user_domain != self.config.project_domain:
                user_domain = await _domain(stage, self.config.user_domain)
            answer = await stage.cloud.call("GET", "identity", "/roles")
        except CallFailed as failed:
            if failed.status == 403:
                raise CloudError(
                    f"context users makes projects and users, which needs an administrator; user "
                    f"{stage.cloud.access.username!r} may not ({failed.message}). Give the deployment such an account, "
                    f"or users of its own and the context only `user_choice_method`"
                ) from failed
            raise failed.as_cloud_error("setting up the users") from failed
        roles = {role["name"]: role["id"] for role in answer["roles"]}
        folded = {name.lower(): identity for name, identity in roles.items()}
        if self.config.role.lower() not in folded:
            cure = did_you_mean(self.config.role, roles) or f"; there are {', '.join(sorted(roles)[:20])}"
            raise InputError(f"context users: the cloud has no role {self.config.role!r}{cure}")
        return project_domain, user_domain, folded[self.config.role.lower()]

    async def _make_project(self, stage: Stage, name: str, domain: str) -> str:
        body = {"name": name, "domain_id": domain, "enabled": True, "description": ""}
        identity, _ = await _made(stage, "project", body)
        stage.reporter.made(CloudResource(kind="project", name=name, cloud_id=identity))
        return identity

    async def _make_user(self, stage: Stage, name: str, project: str, domain: str, role: str) -> UserAccess:
        password = self.config.user_password or secrets.token_urlsafe(24)
        body = {
            "name": name,
            "password": password,
            "domain_id": domain,
            "default_project_id": project,
            "enabled": True,
        }
        identity, was_there = await _made(stage, "user", body)
        stage.reporter.made(CloudResource(kind="user", name=name, cloud_id=identity, project=project))
        if was_there:
            changes = {"user": {"password": password, "default_project_id": project}}
            await stage.cloud.call("PATCH", "identity", f"/users/{identity}", body=changes)
        await stage.cloud.call("PUT", "identity", f"/projects/{project}/users/{identity}/roles/{role}")
        return await stage.cloud.sign_in_member(identity, password, project)


async def _made(stage: Stage, kind: str, body: Mapping[str, Any]) -> tuple[str, bool]:
    """The id of a new project or user, and whether it was there already.

    A create whose answer was lost may have been done, and a coordinator that died may have done it: since names are ours
    alone, what has the name is what was asked for.
    """
    query = {"name": body["name"], "domain_id": body["domain_id"]}
    failure: CallFailed | None = None
    for pause_s in (*PAUSES_S, 0.0):
        try:
            answer = await stage.cloud.call("POST", "identity", f"/{kind}s", body={kind: body})
            identity: str = answer[kind]["id"]
            return identity, False
        except CallFailed as failed:
            if failed.status != 409 and not is_transient(failed):
                raise
            failure = failed
        for found in (await stage.cloud.call("GET", "identity", f"/{kind}s", query=query))[f"{kind}s"]:
            if found["name"] == body["name"]:
                return str(found["id"]), True
        await asyncio.sleep(pause_s)
    assert failure is not None
    raise failure


async def _domain(stage: Stage, reference: str) -> str:
    """The id of a domain given by id or name."""
    answer = await stage.cloud.call("GET", "identity", "/domains")
    by_id: dict[str, str] = {domain["id"]: domain["name"] for domain in answer["domains"]}
    if reference in by_id:
        return reference
    for identity, name in by_id.items():
        if name.lower() == reference.lower():
            return identity
    cure = did_you_mean(reference, by_id.values()) or f"; there are {', '.join(sorted(by_id.values())[:20])}"
    raise InputError(f"context users: the cloud has no domain {reference!r}{cure}")
