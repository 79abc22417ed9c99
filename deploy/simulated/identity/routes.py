"""Keystone's routes: version documents, sign-in, and the administration of its records.

Rules: what every kind has (list, create, show, update, delete) is made once for all kinds of the table in store.py;
what a user may do to himself is decided here.
"""

from typing import Any

from osbench.deploy.simulated.exchange import Answer, Body, Refused, Request, json_answer, json_object, title_of
from osbench.deploy.simulated.identity.signin import SERVICES, SignIn
from osbench.deploy.simulated.identity.store import (
    KINDS,
    ApplicationCredential,
    Assignment,
    IdentityStore,
    Kind,
    Record,
    scope_of,
)
from osbench.deploy.simulated.identity.tokens import SYSTEM, Scope, TokenBook
from osbench.deploy.simulated.routing import Handler
from osbench.deploy.simulated.service import Call, Service, Stage
from osbench.deploy.simulated.world import World

#: Kind of the refusal of a path that leads nowhere: Flask's own page.
_UNROUTED = "unrouted"
_PAGE = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>{message}</p>\n"
#: What Flask, below Keystone, says of a path nobody takes.
_NO_URL = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and "
    "try again."
)


class IdentityService(Service):
    """Keystone."""

    def __init__(self, world: World, tokens: TokenBook) -> None:
        super().__init__("identity", world, tokens)
        self.store = IdentityStore(new_id=world.hex_id, tokens=tokens)
        self._sign_in = SignIn(world, self.store, tokens)
        self._add_routes()
        self._seed()

    def forbidden(self, rule: str) -> Refused:
        return Refused(403, f"You are not authorized to perform the requested action: {rule}.")

    def error_answer(self, request: Request, refused: Refused) -> Answer:
        if refused.kind == _UNROUTED:
            page = _PAGE.format(message=refused.message).encode()
            return Answer(status=404, body=page, headers=[("Content-Type", "text/html; charset=utf-8")])
        title = title_of(refused.status)
        return json_answer(
            refused.status, {"error": {"code": refused.status, "message": refused.message, "title": title}}
        )

    def unknown_path(self, request: Request, methods: frozenset[str]) -> Refused:
        if methods:
            return Refused(405, "The method is not allowed for the requested URL.")
        return Refused(404, _NO_URL, kind=_UNROUTED)

    def dress(self, answer: Answer, request: Request, minor: int, stage: Stage) -> None:
        answer.headers.append(("Vary", "X-Auth-Token"))
        answer.headers.append(("x-openstack-request-id", request.request_id))

    def _add_routes(self) -> None:
        route, sign_in = self.route, self._sign_in
        route("GET", "/", self._versions, is_open=True)
        route("GET", "/v3", self._version, is_open=True)
        route("POST", "/v3/auth/tokens", sign_in.create_token, is_open=True)
        route("GET", "/v3/auth/tokens", sign_in.validate_token)
        route("HEAD", "/v3/auth/tokens", sign_in.validate_token)
        route("DELETE", "/v3/auth/tokens", sign_in.revoke_token)
        route("GET", "/v3/auth/catalog", sign_in.list_catalog)
        route("GET", "/v3/auth/projects", sign_in.list_projects)
        for kind in KINDS.values():
            self._add_kind(kind)
        route("POST", "/v3/users/{user}/password", self._change_password)
        route("GET", "/v3/users/{user}/projects", self._projects_of_user)
        for scope in ("projects", "domains"):
            path = f"/v3/{scope}/{{id}}/users/{{user}}/roles"
            route("GET", path, self._list_grants(scope), rule="identity:list_grants", is_admin=True)
            route("PUT", path + "/{role}", self._grant(scope), rule="identity:create_grant", is_admin=True)
            route("HEAD", path + "/{role}", self._check_grant(scope), rule="identity:check_grant", is_admin=True)
            route("DELETE", path + "/{role}", self._withdraw(scope), rule="identity:revoke_grant", is_admin=True)
        path = "/v3/system/users/{user}/roles"
        route("GET", path, self._list_system_grants, rule="identity:list_system_grants_for_user", is_admin=True)
        route("PUT", path + "/{role}", self._system_grant, rule="identity:create_system_grant_for_user", is_admin=True)
        route(
            "DELETE",
            path + "/{role}",
            self._system_withdraw,
            rule="identity:revoke_system_grant_for_user",
            is_admin=True,
        )
        route(
            "GET", "/v3/role_assignments", self._list_assignments, rule="identity:list_role_assignments", is_admin=True
        )
        path = "/v3/users/{user}/application_credentials"
        route("GET", path, self._list_application_credentials)
        route("POST", path, self._create_application_credential)
        route("GET", path + "/{id}", self._show_application_credential)
        route("DELETE", path + "/{id}", self._delete_application_credential)

    def _add_kind(self, kind: Kind) -> None:
        path, one = f"/v3/{kind.plural}", f"/v3/{kind.plural}/{{id}}"
        admin: dict[str, Any] = {"is_admin": True}
        self.route("GET", path, self._lister(kind), rule=f"identity:list_{kind.plural}", **admin)
        self.route("POST", path, self._creator(kind), rule=f"identity:create_{kind.singular}", **admin)
        self.route("GET", one, self._shower(kind))
        self.route("PATCH", one, self._updater(kind), rule=f"identity:update_{kind.singular}", **admin)
        self.route("DELETE", one, self._deleter(kind), rule=f"identity:delete_{kind.singular}", **admin)

    # ---- version documents

    def _version_body(self, call: Call) -> Body:
        return {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{call.base}/v3/"}],
            "media-types": [
                {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"},
            ],
        }

    def _versions(self, call: Call) -> Answer:
        return json_answer(300, {"versions": {"values": [self._version_body(call)]}}, ("Location", f"{call.base}/v3/"))

    def _version(self, call: Call) -> Answer:
        return json_answer(200, {"version": self._version_body(call)})

    # ---- what every kind has

    def _view(self, call: Call, kind: Kind, record: Record) -> Body:
        return {**record, "links": {"self": f"{call.base}/v3/{kind.plural}/{record['id']}"}}

    def _lister(self, kind: Kind) -> Handler:
        def handle(call: Call) -> Answer:
            records = list(self.store.records[kind.plural].values())
            for attribute in kind.filters:
                for value in call.request.all(attribute):
                    records = [record for record in records if _is_like(record.get(attribute), value)]
            return self._listed(call, kind, records)

        return handle

    def _listed(self, call: Call, kind: Kind, records: list[Record]) -> Answer:
        limit = call.request.first("limit")
        body: Body = {
            kind.plural: [self._view(call, kind, record) for record in records],
            "links": {"next": None, "self": f"{call.base}{_below(call)}", "previous": None},
        }
        if limit.isdigit() and 0 < int(limit) < len(records):
            body[kind.plural] = body[kind.plural][: int(limit)]
            body["truncated"] = True
        return json_answer(200, body)

    def _creator(self, kind: Kind) -> Handler:
        def handle(call: Call) -> Answer:
            body = dict(json_object(call.request, kind.singular))
            password = body.pop("password", None)
            body.pop("links", None)
            record_id = body.pop("id", None) if kind.plural == "regions" else None
            body.pop("id", None)
            if password is not None and (not isinstance(password, str) or len(password) > 4096):
                raise Refused(400, "Invalid input for field 'password': text of at most 4096 characters is needed")
            if kind.plural == "endpoints":
                body.setdefault("region_id", body.pop("region", None))
            record = self.store.create(kind.plural, body, record_id)
            if kind.plural == "endpoints":
                record["region"] = record["region_id"]
            if kind.plural == "users" and password is not None:
                self.store.set_password(record["id"], password)
            return json_answer(201, {kind.singular: self._view(call, kind, record)})

        return handle

    def _shower(self, kind: Kind) -> Handler:
        rule = f"identity:get_{kind.singular}"

        def handle(call: Call) -> Answer:
            (record_id,) = call.params
            own = {"users": call.token.user_id, "projects": call.token.project_id, "domains": call.token.scope.id}
            if not call.token.is_admin and own.get(kind.plural) != record_id:
                raise self.forbidden(rule)
            record = self.store.get(kind.plural, record_id)
            return json_answer(200, {kind.singular: self._view(call, kind, record)})

        return handle

    def _updater(self, kind: Kind) -> Handler:
        def handle(call: Call) -> Answer:
            changes = dict(json_object(call.request, kind.singular))
            password = changes.pop("password", None)
            for fixed in ("id", "links", "domain_id"):
                changes.pop(fixed, None)
            record = self.store.update(kind.plural, call.params[0], changes)
            if kind.plural == "users" and isinstance(password, str):
                self.store.set_password(record["id"], password)
            view = self._view(call, kind, record)
            if kind.plural in ("users", "projects"):
                # An update answers with the attributes Keystone knows nothing of in a further object.
                view["extra"] = {key: value for key, value in record.items() if key not in _KNOWN}
            return json_answer(200, {kind.singular: view})

        return handle

    def _deleter(self, kind: Kind) -> Handler:
        def handle(call: Call) -> Answer:
            self.store.delete(kind.plural, call.params[0])
            return Answer(status=204)

        return handle

    # ---- users

    def _change_password(self, call: Call) -> Answer:
        user = json_object(call.request, "user")
        (user_id,) = call.params
        if user_id != call.token.user_id or not self.store.is_password(user_id, str(user.get("original_password"))):
            raise Refused(401, "The request you have made requires authentication.")
        self.store.set_password(user_id, str(user.get("password")))
        return Answer(status=204)

    def _projects_of_user(self, call: Call) -> Answer:
        (user_id,) = call.params
        self._require_self(call, user_id, "identity:list_user_projects")
        return self._listed(call, KINDS["projects"], self.store.projects_of(user_id))

    def _require_self(self, call: Call, user_id: str, rule: str) -> None:
        if user_id != call.token.user_id and not call.token.is_admin:
            raise self.forbidden(rule)
        self.store.get("users", user_id)

    # ---- grants

    def _granted(self, scope_kind: str, params: tuple[str, ...]) -> tuple[str, Scope]:
        scope_id, user_id = params[0], params[1]
        self.store.get(scope_kind, scope_id)
        self.store.get("users", user_id)
        return user_id, scope_of(KINDS[scope_kind].singular, scope_id)

    def _list_grants(self, scope_kind: str) -> Handler:
        def handle(call: Call) -> Answer:
            user_id, scope = self._granted(scope_kind, call.params)
            roles = [self.store.get("roles", role_id) for role_id, _ in self.store.roles_of(user_id, scope)]
            return self._listed(call, KINDS["roles"], roles)

        return handle

    def _grant(self, scope_kind: str) -> Handler:
        def handle(call: Call) -> Answer:
            user_id, scope = self._granted(scope_kind, call.params)
            self.store.grant(user_id, scope, self.store.get("roles", call.params[2])["id"])
            return Answer(status=204)

        return handle

    def _check_grant(self, scope_kind: str) -> Handler:
        def handle(call: Call) -> Answer:
            user_id, scope = self._granted(scope_kind, call.params)
            role = self.store.get("roles", call.params[2])
            if Assignment(user_id=user_id, scope=scope, role_id=role["id"]) not in self.store.assignments:
                raise Refused(404, f"Could not find role assignment with role: {role['id']}.")
            return Answer(status=204)

        return handle

    def _withdraw(self, scope_kind: str) -> Handler:
        def handle(call: Call) -> Answer:
            user_id, scope = self._granted(scope_kind, call.params)
            self.store.withdraw(user_id, scope, self.store.get("roles", call.params[2])["id"])
            return Answer(status=204)

        return handle

    def _list_system_grants(self, call: Call) -> Answer:
        roles = [self.store.get("roles", role_id) for role_id, _ in self.store.roles_of(call.params[0], SYSTEM)]
        return self._listed(call, KINDS["roles"], roles)

    def _system_grant(self, call: Call) -> Answer:
        user_id, role_id = call.params
        self.store.grant(self.store.get("users", user_id)["id"], SYSTEM, self.store.get("roles", role_id)["id"])
        return Answer(status=204)

    def _system_withdraw(self, call: Call) -> Answer:
        self.store.withdraw(call.params[0], SYSTEM, call.params[1])
        return Answer(status=204)

    def _list_assignments(self, call: Call) -> Answer:
        wanted = {
            name: call.request.first(name) for name in ("user.id", "role.id", "scope.project.id", "scope.domain.id")
        }
        with_names = dict(call.request.query).get("include_names", "false").lower() not in ("false", "0")
        found = [
            self._assignment_view(call, assignment, with_names=with_names)
            for assignment in self.store.assignments
            if wanted["user.id"] in ("", assignment.user_id)
            and wanted["role.id"] in ("", assignment.role_id)
            and (not wanted["scope.project.id"] or assignment.scope == scope_of("project", wanted["scope.project.id"]))
            and (not wanted["scope.domain.id"] or assignment.scope == scope_of("domain", wanted["scope.domain.id"]))
            and ("scope.system" not in dict(call.request.query) or assignment.scope == SYSTEM)
        ]
        links = {"next": None, "self": f"{call.base}{_below(call)}", "previous": None}
        return json_answer(200, {"role_assignments": found, "links": links})

    def _assignment_view(self, call: Call, assignment: Assignment, *, with_names: bool) -> Body:
        def named(plural: str, record_id: str) -> Body:
            if not with_names:
                return {"id": record_id}
            record = self.store.get(plural, record_id)
            view: Body = {"id": record_id, "name": record["name"]}
            if record.get("domain_id"):
                domain = self.store.get("domains", record["domain_id"])
                view["domain"] = {"id": domain["id"], "name": domain["name"]}
            return view

        scope = assignment.scope
        place: Body
        if scope == SYSTEM:
            place, where = {"system": {"all": True}}, "system"
        else:
            plural = f"{scope.kind}s"
            place, where = {scope.kind: named(plural, scope.id)}, f"{plural}/{scope.id}"
        link = f"{call.base}/v3/{where}/users/{assignment.user_id}/roles/{assignment.role_id}"
        return {
            "role": named("roles", assignment.role_id),
            "user": named("users", assignment.user_id),
            "scope": place,
            "links": {"assignment": link},
        }

    # ---- application credentials

    def _credential_view(self, call: Call, held: ApplicationCredential) -> Body:
        link = f"{call.base}/v3/application_credentials/{held.record['id']}"
        return {**held.record, "links": {"self": link}}

    def _list_application_credentials(self, call: Call) -> Answer:
        (user_id,) = call.params
        self._require_self(call, user_id, "identity:list_application_credentials")
        name = call.request.first("name")
        found = [
            self._credential_view(call, held)
            for held in self.store.application_credentials.values()
            if held.user_id == user_id and name in ("", held.record["name"])
        ]
        links = {"next": None, "self": f"{call.base}{_below(call)}", "previous": None}
        return json_answer(200, {"application_credentials": found, "links": links})

    def _create_application_credential(self, call: Call) -> Answer:
        (user_id,) = call.params
        token = call.token
        if user_id != token.user_id or not token.project_id or token.application_credential_id:
            raise self.forbidden("identity:create_application_credential")
        body = json_object(call.request, "application_credential")
        held_roles = token.roles
        if body.get("roles"):
            wanted = {role.get("id") for role in body["roles"]} | {role.get("name") for role in body["roles"]}
            held_roles = tuple(role for role in token.roles if role[0] in wanted or role[1] in wanted)
        if not held_roles or not isinstance(body.get("name"), str):
            raise Refused(400, "Invalid application credential: a name and roles the user has are needed")
        if any(
            held.user_id == user_id and held.record["name"] == body["name"]
            for held in self.store.application_credentials.values()
        ):
            raise Refused(409, "Conflict occurred attempting to store application_credential - "
                               f"Duplicate entry found with name {body['name']}.")  # fmt: skip
        credential_id = self.world.hex_id()
        secret = body.get("secret") or self.world.entropy(43).hex()
        record: Record = {
            "id": credential_id,
            "name": body["name"],
            "description": body.get("description"),
            "project_id": token.project_id,
            "user_id": user_id,
            "system": None,
            "roles": [dict(self.store.get("roles", role_id)) for role_id, _ in held_roles],
            "expires_at": body.get("expires_at"),
            "unrestricted": body.get("unrestricted"),
        }  # fmt: skip
        held = ApplicationCredential(
            record=record, user_id=user_id, secret=secret, roles=held_roles, expires_at=body.get("expires_at")
        )
        self.store.application_credentials[credential_id] = held
        view = {**self._credential_view(call, held), "secret": secret}
        return json_answer(201, {"application_credential": view})

    def _application_credential(self, call: Call) -> ApplicationCredential:
        user_id, credential_id = call.params
        self._require_self(call, user_id, "identity:get_application_credential")
        held = self.store.application_credentials.get(credential_id)
        if held is None or held.user_id != user_id:
            raise Refused(404, f"Could not find Application Credential: {credential_id}.")
        return held

    def _show_application_credential(self, call: Call) -> Answer:
        held = self._application_credential(call)
        return json_answer(200, {"application_credential": self._credential_view(call, held)})

    def _delete_application_credential(self, call: Call) -> Answer:
        held = self._application_credential(call)
        del self.store.application_credentials[held.record["id"]]
        return Answer(status=204)

    # ---- what is there from the start

    def _seed(self) -> None:
        spec, store = self.world.spec, self.store
        store.create("domains", {"name": "Default", "description": "The default domain"}, "default")
        roles = {}
        for name in ("admin", "member", "reader", "service", *(role for user in spec.users for role in user.roles)):
            if name not in roles:
                # Those that `keystone-manage bootstrap` makes cannot be changed.
                roles[name] = store.create("roles", {"name": name, "options": {"immutable": True}})["id"]
        accounts = [
            (spec.admin.name, spec.admin.password, spec.admin.project, ("admin",)),
            *((user.name, user.password, user.project, user.roles) for user in spec.users),
        ]
        store.create("projects", {"name": "service"})
        for name, password, project_name, role_names in accounts:
            project = store.named("projects", project_name, "default") or store.create(
                "projects", {"name": project_name}
            )
            user = store.create("users", {"name": name})
            store.set_password(user["id"], password)
            for role in role_names:
                store.grant(user["id"], Scope(kind="project", id=project["id"]), roles[role])
        admin = store.named("users", spec.admin.name, "default")
        assert admin is not None
        store.grant(admin["id"], SYSTEM, roles["admin"])
        store.create("regions", {}, spec.region)
        for kind, name, path in SERVICES:
            service = store.create("services", {"type": kind, "name": name})
            for interface in ("public", "internal", "admin"):
                store.create(
                    "endpoints",
                    {
                        "service_id": service["id"],
                        "interface": interface,
                        "region_id": spec.region,
                        "region": spec.region,
                        "url": f"$(origin)s{path}",
                    },
                )

    def project_id(self, name: str) -> str:
        """The id of a project of the domain Default that is there from the start."""
        project = self.store.named("projects", name, "default")
        assert project is not None, f"no project {name!r}"
        return str(project["id"])


_KNOWN = frozenset(
    {"id", "name", "description", "domain_id", "enabled", "parent_id", "is_domain", "tags", "options",
     "default_project_id", "password_expires_at"}
)  # fmt: skip


def _is_like(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return value == (wanted.lower() in ("true", "1", ""))
    return bool(value == wanted)


def _below(call: Call) -> str:
    """The request's path below the service's own."""
    return call.request.path.removeprefix("/identity")
