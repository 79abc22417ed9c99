"""Signing in to Keystone v3: the request, and the token out of the answer.

Rules: pure: what is sent and what is read are values; `Account` and the Keystone client do the sending. The
answer is decoded once, into a `Token`; a token that could not be put into a header is refused.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import orjson

from osbench.common.cloud.catalogue import Catalogue
from osbench.common.cloud.contract import CallFailed, Exchange
from osbench.common.cloud.credentials import CloudCredentials, SignInMethod
from osbench.common.cloud.route import Route

#: Signing in twice is as good as once: a lost answer is a plain failure.
SIGN_IN = Route("identity", "POST", "/auth/tokens", frozenset({201}), True)
VALIDATE_TOKEN = Route("identity", "GET", "/auth/tokens", frozenset({200}))
REVOKE_TOKEN = Route("identity", "DELETE", "/auth/tokens", frozenset({204}))

_TOKEN_LIMIT_CHARS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token and what Keystone said about it.

    Attributes:
        expires_at: seconds since the Unix epoch, 0 if it does not say.
        project_id: empty if it is not scoped to a project.
    """

    value: str = field(repr=False)
    expires_at: float
    user_id: str
    user_name: str = ""
    project_id: str = ""
    project_name: str = ""
    roles: tuple[str, ...] = ()
    catalogue: Catalogue = field(default=Catalogue(), repr=False)


class _Named(msgspec.Struct):
    id: str = ""
    name: str = ""


class _TokenReply(msgspec.Struct):
    user: _Named
    expires_at: str | None = None
    project: _Named | None = None
    roles: list[_Named] = []
    catalog: Any = None


class _Reply(msgspec.Struct):
    token: _TokenReply


_decode = msgspec.json.Decoder(_Reply).decode


def _domain(id_: str, name: str) -> dict[str, str]:
    return {"id": id_} if id_ else {"name": name}


def _user(credentials: CloudCredentials) -> dict[str, Any]:
    if credentials.user_id:
        return {"id": credentials.user_id}
    return {
        "name": credentials.username,
        "domain": _domain(credentials.user_domain_id, credentials.user_domain_name),
    }


def _identity(credentials: CloudCredentials) -> dict[str, Any]:
    if credentials.method is SignInMethod.TOKEN:
        return {"methods": ["token"], "token": {"id": credentials.token}}
    if credentials.method is SignInMethod.APPLICATION_CREDENTIAL:
        secret = credentials.application_credential_secret
        if credentials.application_credential_id:
            proof: dict[str, Any] = {"id": credentials.application_credential_id, "secret": secret}
        else:
            name = credentials.application_credential_name
            proof = {"name": name, "secret": secret, "user": _user(credentials)}
        return {"methods": ["application_credential"], "application_credential": proof}
    user = {**_user(credentials), "password": credentials.password}
    return {"methods": ["password"], "password": {"user": user}}


def _scope(credentials: CloudCredentials) -> dict[str, Any] | None:
    if credentials.method is SignInMethod.APPLICATION_CREDENTIAL:
        return None  # it has its project built in, and Keystone refuses to be told one
    if credentials.project_id:
        return {"project": {"id": credentials.project_id}}
    if credentials.project_name:
        domain = _domain(credentials.project_domain_id, credentials.project_domain_name)
        return {"project": {"name": credentials.project_name, "domain": domain}}
    if credentials.domain_id or credentials.domain_name:
        return {"domain": _domain(credentials.domain_id, credentials.domain_name)}
    if credentials.system_scope:
        return {"system": {"all": True}}
    return None


def sign_in_body(credentials: CloudCredentials) -> bytes:
    """The JSON body of POST /v3/auth/tokens for these credentials."""
    auth: dict[str, Any] = {"identity": _identity(credentials)}
    scope = _scope(credentials)
    if scope is not None:
        auth["scope"] = scope
    return orjson.dumps({"auth": auth})


def token_of(exchange: Exchange, route: Route = SIGN_IN, value: str | None = None) -> Token:
    """The token of a successful sign-in or validation.

    Args:
        exchange: answered with an expected status.
        route: for the message.
        value: the token, where the answer need not repeat it.

    Raises:
        CallFailed: the answer is not that of a Keystone v3.
    """
    text = exchange.header("X-Subject-Token") or value or ""
    if not text or len(text) > _TOKEN_LIMIT_CHARS or not text.isascii() or not text.isprintable() or " " in text:
        raise _bad_answer(route, exchange, "no usable X-Subject-Token header")
    try:
        reply = _decode(exchange.body).token
        expires_at = datetime.fromisoformat(reply.expires_at).timestamp() if reply.expires_at else 0.0
    except (msgspec.DecodeError, ValueError) as error:
        raise _bad_answer(route, exchange, f"not a token: {error}") from error
    project = reply.project or _Named()
    return Token(
        value=text,
        expires_at=expires_at,
        user_id=reply.user.id,
        user_name=reply.user.name,
        project_id=project.id,
        project_name=project.name,
        roles=tuple(role.name for role in reply.roles),
        catalogue=Catalogue.of_token(reply.catalog),
    )


def _bad_answer(route: Route, exchange: Exchange, message: str) -> CallFailed:
    return CallFailed(route.name, status=exchange.status, kind="bad_body", message=message)
