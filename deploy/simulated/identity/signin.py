"""Signing in: POST /v3/auth/tokens, and what can be done with the token that comes of it.

Rules: a wrong password, an unknown user and a disabled one get the same 401. Bodies follow the Identity API v3
reference, "Authentication and token management".
"""

from typing import Any

import orjson

from osbench.deploy.simulated.exchange import Answer, Body, Refused, json_answer, json_object
from osbench.deploy.simulated.identity.store import IdentityStore, Record
from osbench.deploy.simulated.identity.tokens import SYSTEM, UNSCOPED, Scope, Token, TokenBook
from osbench.deploy.simulated.service import Call
from osbench.deploy.simulated.world import World

#: Catalogue entries: service type, name, path below the origin (`{project}` is the token's).
SERVICES = (
    ("identity", "keystone", "/identity/v3"),
    ("image", "glance", "/image"),
    ("compute", "nova", "/compute/v2.1"),
    ("volumev3", "cinderv3", "/block-storage/v3/$(project_id)s"),
    ("block-storage", "cinder", "/block-storage/v3/$(project_id)s"),
    ("network", "neutron", "/network"),
)

_UNAUTHORIZED = "The request you have made requires authentication."


class SignIn:
    """The auth resource of the identity service."""

    def __init__(self, world: World, store: IdentityStore, tokens: TokenBook) -> None:
        self._world = world
        self._store = store
        self._tokens = tokens

    def create_token(self, call: Call) -> Answer:
        """POST /v3/auth/tokens."""
        auth = json_object(call.request, "auth")
        identity = auth.get("identity")
        if not isinstance(identity, dict) or not isinstance(identity.get("methods"), list):
            raise Refused(400, "Invalid input for field 'auth': 'identity' with 'methods' is a required property")
        methods = tuple(str(method) for method in identity["methods"])
        user, parent, credential = self._who(methods, identity)
        user_id = user["id"]
        scope: Scope
        if credential is not None:
            held = self._store.application_credentials[credential]
            scope = Scope(kind="project", id=held.record["project_id"])
            roles = held.roles
        else:
            scope = self._scope(auth.get("scope"), user, parent)
            roles = self._store.roles_of(user_id, scope)
            if scope != UNSCOPED and not roles:
                raise Refused(401, _UNAUTHORIZED)
        token = self._tokens.issue(
            now_ns=self._world.now_ns(),
            user_id=user_id,
            scope=scope,
            roles=roles,
            methods=methods if parent is None else tuple(dict.fromkeys((*methods, *parent.methods))),
            parent=parent,
            application_credential_id=credential or "",
        )
        return self._told(call, token, 201, with_catalog="nocatalog" not in dict(call.request.query))

    def validate_token(self, call: Call) -> Answer:
        """GET and HEAD /v3/auth/tokens: the token in X-Subject-Token."""
        token = self._subject(call)
        answer = self._told(call, token, 200, with_catalog="nocatalog" not in dict(call.request.query))
        if call.request.method == "HEAD":
            answer.body = b""
        return answer

    def revoke_token(self, call: Call) -> Answer:
        """DELETE /v3/auth/tokens."""
        self._tokens.revoke(self._subject(call).secret)
        return Answer(status=204)

    def list_catalog(self, call: Call) -> Answer:
        """GET /v3/auth/catalog."""
        if call.token.scope == UNSCOPED:
            raise Refused(403, "You are not authorized to perform the requested action: identity:get_auth_catalog.")
        links = {"self": f"{call.base}/v3/auth/catalog"}
        return json_answer(200, {"catalog": self.catalog(call.request.origin, call.token), "links": links})

    def list_projects(self, call: Call) -> Answer:
        """GET /v3/auth/projects: those the caller could scope to."""
        projects = [
            {**project, "links": {"self": f"{call.base}/v3/projects/{project['id']}"}}
            for project in self._store.projects_of(call.token.user_id)
        ]
        links = {"next": None, "self": f"{call.base}/v3/auth/projects", "previous": None}
        return json_answer(200, {"projects": projects, "links": links})

    def catalog(self, origin: str, token: Token) -> list[Body]:
        """The services and endpoints a scoped token is told of."""
        by_service: dict[str, list[Body]] = {}
        for endpoint in self._store.records["endpoints"].values():
            if not endpoint["enabled"]:
                continue
            url = str(endpoint["url"]).replace("$(origin)s", origin)
            url = url.replace("$(project_id)s", token.project_id).replace("%(project_id)s", token.project_id)
            by_service.setdefault(endpoint["service_id"], []).append(
                {
                    "id": endpoint["id"],
                    "interface": endpoint["interface"],
                    "region_id": endpoint["region_id"],
                    "url": url,
                    "region": endpoint["region_id"],
                }
            )
        return [
            {
                "endpoints": by_service.get(service["id"], []),
                "id": service["id"],
                "type": service["type"],
                "name": service.get("name", ""),
            }
            for service in self._store.records["services"].values()
            if service["enabled"]
        ]

    def _subject(self, call: Call) -> Token:
        secret = call.request.headers.get("x-subject-token", "")
        token = self._tokens.find(secret, self._world.now_ns())
        if token is None:
            raise Refused(404, "Could not recognize Fernet token")
        if token.user_id != call.token.user_id and not call.token.is_admin:
            raise Refused(403, "You are not authorized to perform the requested action: identity:validate_token.")
        return token

    def _who(self, methods: tuple[str, ...], identity: Body) -> tuple[Record, Token | None, str | None]:
        """The user, the token he came with, and the application credential he came with."""
        if not methods:
            raise Refused(400, "Invalid input for field 'identity': 'methods' is empty")
        found: tuple[Record, Token | None, str | None] | None = None
        for method in methods:
            part = identity.get(method)
            if not isinstance(part, dict):
                raise Refused(400, f"Expecting to find {method} in identity. The server could not comply with the "
                                   "request since it is either malformed or otherwise incorrect. The client is "
                                   "assumed to be in error.")  # fmt: skip
            if method == "password":
                found = self._by_password(part), None, None
            elif method == "token":
                found = self._by_token(part)
            elif method == "application_credential":
                found = self._by_application_credential(part)
            else:
                raise Refused(401, "Attempted to authenticate with an unsupported method.")
        assert found is not None
        if not found[0]["enabled"]:
            raise Refused(401, _UNAUTHORIZED)
        return found

    def _by_password(self, part: Body) -> Record:
        user = part.get("user")
        if not isinstance(user, dict) or not isinstance(user.get("password"), str):
            raise Refused(400, "Invalid input for field 'password': 'user' with 'password' is a required property")
        record = self._user(user)
        if record is None or not self._store.is_password(record["id"], user["password"]):
            raise Refused(401, _UNAUTHORIZED)
        return record

    def _by_token(self, part: Body) -> tuple[Record, Token, None]:
        token = self._tokens.find(str(part.get("id", "")), self._world.now_ns())
        if token is None or token.application_credential_id:
            raise Refused(401, _UNAUTHORIZED)
        return self._store.get("users", token.user_id), token, None

    def _by_application_credential(self, part: Body) -> tuple[Record, None, str]:
        credential_id = part.get("id")
        if credential_id is None:
            user = self._user(part.get("user") or {})
            credential_id = next(
                (
                    key
                    for key, held in self._store.application_credentials.items()
                    if user is not None and held.user_id == user["id"] and held.record["name"] == part.get("name")
                ),
                None,
            )
        held = self._store.application_credentials.get(str(credential_id))
        if held is None or held.secret != part.get("secret"):
            raise Refused(401, _UNAUTHORIZED)
        if held.expires_at is not None and held.expires_at <= self._world.fine_stamp():
            raise Refused(401, _UNAUTHORIZED)
        return self._store.get("users", held.user_id), None, str(credential_id)

    def _user(self, part: Body) -> Record | None:
        if isinstance(part.get("id"), str):
            return self._store.records["users"].get(part["id"])
        domain = self._domain(part.get("domain"))
        if domain is None or not isinstance(part.get("name"), str):
            return None
        return self._store.named("users", part["name"], domain["id"])

    def _domain(self, part: Any) -> Record | None:
        if not isinstance(part, dict):
            return None
        if isinstance(part.get("id"), str):
            return self._store.records["domains"].get(part["id"])
        return self._store.named("domains", str(part.get("name", "")))

    def _scope(self, wanted: Any, user: Record, parent: Token | None) -> Scope:
        if wanted == "unscoped" or (isinstance(wanted, dict) and "unscoped" in wanted):
            return UNSCOPED
        if wanted is None:
            # "If no scope is given, the user's default project is taken where he has a role in it."
            default = user.get("default_project_id")
            scope = Scope(kind="project", id=str(default))
            if parent is None and default and self._store.roles_of(user["id"], scope):
                return scope
            return UNSCOPED if parent is None else parent.scope
        if not isinstance(wanted, dict):
            raise Refused(400, "Invalid input for field 'scope': an object is needed")
        if "system" in wanted:
            return SYSTEM
        if "domain" in wanted:
            domain = self._domain(wanted["domain"])
            if domain is None or not domain["enabled"]:
                raise Refused(401, _UNAUTHORIZED)
            return Scope(kind="domain", id=domain["id"])
        project = self._project(wanted.get("project"))
        if project is None or not project["enabled"]:
            raise Refused(401, _UNAUTHORIZED)
        return Scope(kind="project", id=project["id"])

    def _project(self, part: Any) -> Record | None:
        if not isinstance(part, dict):
            return None
        if isinstance(part.get("id"), str):
            return self._store.records["projects"].get(part["id"])
        domain = self._domain(part.get("domain"))
        if domain is None:
            return None
        return self._store.named("projects", str(part.get("name", "")), domain["id"])

    def _told(self, call: Call, token: Token, status: int, *, with_catalog: bool) -> Answer:
        body = orjson.dumps({"token": self._view(call.request.origin, token, with_catalog=with_catalog)})
        return Answer(
            status=status,
            body=body,
            headers=[("Content-Type", "application/json"), ("X-Subject-Token", token.secret)],
        )

    def _view(self, origin: str, token: Token, *, with_catalog: bool) -> Body:
        user = self._store.get("users", token.user_id)
        view: Body = {
            "methods": list(token.methods),
            "user": {
                "domain": self._named_domain(user["domain_id"]),
                "id": user["id"],
                "name": user["name"],
                "password_expires_at": user["password_expires_at"],
            },
            "audit_ids": list(token.audit_ids),
            "expires_at": self._world.moment(token.expires_ns).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
            "issued_at": self._world.moment(token.issued_ns).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        }
        if token.scope.kind == "project":
            project = self._store.get("projects", token.scope.id)
            view["project"] = {
                "domain": self._named_domain(project["domain_id"]),
                "id": project["id"],
                "name": project["name"],
            }
            view["is_domain"] = False
        elif token.scope.kind == "domain":
            view["domain"] = self._named_domain(token.scope.id)
        elif token.scope == SYSTEM:
            view["system"] = {"all": True}
        if token.scope != UNSCOPED:
            view["roles"] = [{"id": role_id, "name": name} for role_id, name in token.roles]
            if with_catalog:
                view["catalog"] = self.catalog(origin, token)
        if token.application_credential_id:
            held = self._store.application_credentials[token.application_credential_id]
            view["application_credential"] = {
                "id": token.application_credential_id,
                "name": held.record["name"],
                "restricted": not held.record["unrestricted"],
            }
        return view

    def _named_domain(self, domain_id: str) -> Body:
        domain = self._store.get("domains", domain_id)
        return {"id": domain["id"], "name": domain["name"]}
