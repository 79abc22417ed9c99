"""What Keystone knows: domains, projects, users, groups, roles, assignments, services, endpoints, credentials.

Rules: pure. Records are plain dictionaries because Keystone keeps whatever extra attributes a caller sends; passwords
and secrets are kept apart from them, so that no view can show one. Kinds of record are a table, not classes.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from osbench.deploy.simulated.exchange import Refused
from osbench.deploy.simulated.identity.tokens import SYSTEM, Scope, TokenBook

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of record.

    Attributes:
        singular, plural: the keys of its bodies and the word in its path.
        defaults: what a new record has unless the caller says otherwise.
        filters: attributes a list can be filtered by.
        unique: attributes that together name one record; empty when nothing must be unique.
        refs: attributes that must name an existing record, with its plural.
    """

    singular: str
    plural: str
    defaults: Mapping[str, Any]
    filters: tuple[str, ...] = ("name",)
    unique: tuple[str, ...] = ()
    refs: tuple[tuple[str, str], ...] = ()


KINDS: dict[str, Kind] = {
    kind.plural: kind
    for kind in (
        Kind(
            singular="domain",
            plural="domains",
            defaults={"description": "", "enabled": True, "tags": [], "options": {}},
            filters=("name", "enabled"),
            unique=("name",),
        ),
        Kind(
            singular="project",
            plural="projects",
            defaults={
                "description": "",
                "domain_id": "default",
                "enabled": True,
                "is_domain": False,
                "tags": [],
                "options": {},
            },
            filters=("name", "domain_id", "enabled", "parent_id"),
            unique=("name", "domain_id"),
            refs=(("domain_id", "domains"),),
        ),
        Kind(
            singular="user",
            plural="users",
            defaults={"domain_id": "default", "enabled": True, "options": {}, "password_expires_at": None},
            filters=("name", "domain_id", "enabled"),
            unique=("name", "domain_id"),
            refs=(("domain_id", "domains"),),
        ),
        Kind(
            singular="group",
            plural="groups",
            defaults={"description": "", "domain_id": "default"},
            filters=("name", "domain_id"),
            unique=("name", "domain_id"),
            refs=(("domain_id", "domains"),),
        ),
        Kind(
            singular="role",
            plural="roles",
            defaults={"domain_id": None, "description": None, "options": {}},
            filters=("name", "domain_id"),
            unique=("name", "domain_id"),
        ),
        Kind(
            singular="service",
            plural="services",
            defaults={"enabled": True},
            filters=("name", "type"),
        ),
        Kind(
            singular="endpoint",
            plural="endpoints",
            defaults={"enabled": True},
            filters=("interface", "service_id", "region_id"),
            refs=(("service_id", "services"),),
        ),
        Kind(
            singular="region",
            plural="regions",
            defaults={"description": "", "parent_region_id": None},
            filters=("parent_region_id",),
        ),
        Kind(
            singular="credential",
            plural="credentials",
            defaults={"project_id": None},
            filters=("user_id", "type"),
            refs=(("user_id", "users"),),
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A role of a user in a scope."""

    user_id: str
    scope: Scope
    role_id: str


@dataclass(slots=True, kw_only=True)
class ApplicationCredential:
    """A secret that signs a user in to one project with some of his roles."""

    record: Record
    user_id: str
    secret: str
    roles: tuple[tuple[str, str], ...]
    expires_at: str | None


@dataclass(slots=True)
class IdentityStore:
    """All records, and the rules between them.

    Attributes:
        new_id: gives 32 hex digits.
        tokens: told when a user, project or assignment they rest on goes.
    """

    new_id: Callable[[], str]
    tokens: TokenBook
    records: dict[str, dict[str, Record]] = field(default_factory=lambda: {plural: {} for plural in KINDS})
    assignments: dict[Assignment, None] = field(default_factory=dict)
    application_credentials: dict[str, ApplicationCredential] = field(default_factory=dict)
    _passwords: dict[str, str] = field(default_factory=dict)
    #: (plural, unique values) to id, for kinds whose records must differ.
    _names: dict[tuple[str, tuple[Any, ...]], str] = field(default_factory=dict)

    def create(self, plural: str, body: Mapping[str, Any], record_id: str | None = None) -> Record:
        """A new record from the caller's attributes.

        Raises:
            Refused: 400 on a missing name or reference, 409 when it would double another.
        """
        kind = KINDS[plural]
        record: Record = {"id": record_id or self.new_id(), **kind.defaults, **body}
        for key, value in kind.defaults.items():
            if isinstance(value, (list, dict)) and key not in body:
                record[key] = type(value)(value)
        if plural == "projects":
            record.setdefault("parent_id", record["domain_id"])
        self._check(kind, record)
        unique = self._unique(kind, record)
        if unique is not None:
            if unique in self._names:
                raise self._conflict(kind, record)
            self._names[unique] = record["id"]
        self.records[plural][record["id"]] = record
        return record

    def get(self, plural: str, record_id: str) -> Record:
        """The record with this id.

        Raises:
            Refused: 404.
        """
        record = self.records[plural].get(record_id)
        if record is None:
            raise Refused(404, f"Could not find {KINDS[plural].singular}: {record_id}.")
        return record

    def named(self, plural: str, name: str, domain_id: str | None = None) -> Record | None:
        """The record with this name (in this domain, for kinds that lie in one)."""
        kind = KINDS[plural]
        values = tuple(name if key == "name" else domain_id for key in kind.unique)
        record_id = self._names.get((plural, values))
        return None if record_id is None else self.records[plural][record_id]

    def update(self, plural: str, record_id: str, changes: Mapping[str, Any]) -> Record:
        """Change a record.

        Raises:
            Refused: 404, or 409 when it would double another.
        """
        kind = KINDS[plural]
        record = self.get(plural, record_id)
        changed = {**record, **changes, "id": record_id}
        self._check(kind, changed)
        before, after = self._unique(kind, record), self._unique(kind, changed)
        if before is not None and after is not None and before != after:
            if after in self._names:
                raise self._conflict(kind, changed)
            del self._names[before]
            self._names[after] = record_id
        record.update(changes)
        if plural == "users" and changes.get("enabled") is False:
            self.tokens.revoke_user(record_id)
        if plural == "projects" and changes.get("enabled") is False:
            self.tokens.revoke_scope(Scope(kind="project", id=record_id))
        return record

    def delete(self, plural: str, record_id: str) -> None:
        """Remove a record and all that rests on it: assignments, tokens, credentials.

        Raises:
            Refused: 404, or 403 for a domain that is still enabled.
        """
        record = self.get(plural, record_id)
        if plural == "domains":
            if record["enabled"]:
                raise Refused(
                    403,
                    "You are not authorized to perform the requested action: Cannot delete a domain that is enabled",
                )
            for below in ("users", "projects", "groups"):
                for other_id in [i for i, r in self.records[below].items() if r["domain_id"] == record_id]:
                    self.delete(below, other_id)
        self._forget_assignments(plural, record_id)
        if plural == "users":
            self._passwords.pop(record_id, None)
            for credential_id in [i for i, c in self.application_credentials.items() if c.user_id == record_id]:
                del self.application_credentials[credential_id]
            self.tokens.revoke_user(record_id)
        elif plural == "projects":
            self.tokens.revoke_scope(Scope(kind="project", id=record_id))
        elif plural == "services":
            for other_id in [i for i, r in self.records["endpoints"].items() if r["service_id"] == record_id]:
                del self.records["endpoints"][other_id]
        unique = self._unique(KINDS[plural], record)
        if unique is not None:
            del self._names[unique]
        del self.records[plural][record_id]

    def set_password(self, user_id: str, password: str) -> None:
        """Give a user another password; his tokens end."""
        self._passwords[user_id] = password
        self.tokens.revoke_user(user_id)

    def is_password(self, user_id: str, password: str) -> bool:
        """Whether this is the user's password, compared in constant time."""
        known = self._passwords.get(user_id)
        return known is not None and hmac.compare_digest(known.encode(), password.encode())

    def grant(self, user_id: str, scope: Scope, role_id: str) -> None:
        """Give a user a role in a scope; giving it twice is fine."""
        self.assignments[Assignment(user_id=user_id, scope=scope, role_id=role_id)] = None

    def withdraw(self, user_id: str, scope: Scope, role_id: str) -> None:
        """Take a role away; the user's tokens of that scope end.

        Raises:
            Refused: 404 when he does not have it.
        """
        assignment = Assignment(user_id=user_id, scope=scope, role_id=role_id)
        if assignment not in self.assignments:
            raise Refused(404, f"Could not find role assignment with role: {role_id}, user or group: {user_id}, "
                               f"project, domain, or system: {scope.id}.")  # fmt: skip
        del self.assignments[assignment]
        self.tokens.revoke_user(user_id, scope=scope)

    def roles_of(self, user_id: str, scope: Scope) -> tuple[tuple[str, str], ...]:
        """(id, name) of the user's roles in a scope."""
        roles = self.records["roles"]
        return tuple(
            (assignment.role_id, roles[assignment.role_id]["name"])
            for assignment in self.assignments
            if assignment.user_id == user_id and assignment.scope == scope
        )

    def projects_of(self, user_id: str) -> list[Record]:
        """The projects a user has a role in."""
        ids = dict.fromkeys(
            assignment.scope.id
            for assignment in self.assignments
            if assignment.user_id == user_id and assignment.scope.kind == "project"
        )
        return [self.records["projects"][project_id] for project_id in ids]

    def _forget_assignments(self, plural: str, record_id: str) -> None:
        if plural not in ("users", "projects", "domains", "roles"):
            return
        kind = KINDS[plural].singular
        for assignment in [
            assignment
            for assignment in self.assignments
            if (kind == "user" and assignment.user_id == record_id)
            or (kind == "role" and assignment.role_id == record_id)
            or (assignment.scope.kind == kind and assignment.scope.id == record_id)
        ]:
            del self.assignments[assignment]

    def _check(self, kind: Kind, record: Record) -> None:
        if "name" in kind.unique:
            name = record.get("name")
            if not isinstance(name, str) or not name.strip():
                raise Refused(
                    400,
                    f"Invalid input for field/attribute {kind.singular}. Value: {{}}. 'name' is a required property",
                )
            if len(name) > 255:
                raise Refused(400, f"Invalid input for field 'name': '{name[:40]}…' is too long")
        if not isinstance(record.get("enabled", True), bool):
            raise Refused(
                400, f"Invalid input for field 'enabled': {record['enabled']!r:.100} is not of type 'boolean'"
            )
        for attribute, plural in kind.refs:
            self.get(plural, str(record.get(attribute)))

    def _unique(self, kind: Kind, record: Record) -> tuple[str, tuple[Any, ...]] | None:
        if not kind.unique:
            return None
        return kind.plural, tuple(record.get(key) for key in kind.unique)

    def _conflict(self, kind: Kind, record: Record) -> Refused:
        if kind.singular == "project":
            taken = self._names[kind.plural, (record["name"], record["domain_id"])]
            return Refused(
                409,
                "Conflict occurred attempting to store project - it is not permitted to have two projects with either "
                f"the same name or same id in the same domain: name is {record['name']}, project id {taken}.",
            )
        where = f" at domain ID {record['domain_id']}" if record.get("domain_id") else ""
        return Refused(
            409,
            f"Conflict occurred attempting to store {kind.singular} - "
            f"Duplicate entry found with name {record['name']}{where}.",
        )


def scope_of(kind: str, scope_id: str) -> Scope:
    """The scope a path names: `projects`, `domains`, or the system."""
    return SYSTEM if kind == "system" else Scope(kind=kind, id=scope_id)
