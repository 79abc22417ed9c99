"""Identity: the body of a sign-in for every way and scope, and the token out of the answer."""

from typing import Any

import orjson
import pytest

from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.credentials import CloudCredentials, SignInMethod
from osbench.common.cloud.identity import sign_in_body, token_of
from osbench.common.cloud.scripted import answer

URL = "http://k/v3"


@pytest.mark.parametrize(
    ("fields", "identity", "scope"),
    [
        (
            {"username": "u", "user_domain_name": "D", "password": "p", "project_name": "t", "project_domain_id": "d"},
            {"methods": ["password"], "password": {"user": {"name": "u", "domain": {"name": "D"}, "password": "p"}}},
            {"project": {"name": "t", "domain": {"id": "d"}}},
        ),
        (
            {"user_id": "u1", "password": "p", "project_id": "p1"},
            {"methods": ["password"], "password": {"user": {"id": "u1", "password": "p"}}},
            {"project": {"id": "p1"}},
        ),
        (
            {"method": SignInMethod.TOKEN, "token": "t", "domain_name": "D"},
            {"methods": ["token"], "token": {"id": "t"}},
            {"domain": {"name": "D"}},
        ),
        (
            {"user_id": "u1", "password": "p", "system_scope": "all"},
            {"methods": ["password"], "password": {"user": {"id": "u1", "password": "p"}}},
            {"system": {"all": True}},
        ),
        (
            {
                "method": SignInMethod.APPLICATION_CREDENTIAL,
                "application_credential_id": "a",
                "application_credential_secret": "s",
                "project_id": "ignored",
            },
            {"methods": ["application_credential"], "application_credential": {"id": "a", "secret": "s"}},
            None,
        ),
        (
            {
                "method": SignInMethod.APPLICATION_CREDENTIAL,
                "application_credential_name": "n",
                "application_credential_secret": "s",
                "user_id": "u1",
            },
            {
                "methods": ["application_credential"],
                "application_credential": {"name": "n", "secret": "s", "user": {"id": "u1"}},
            },
            None,
        ),
    ],
)
def test_every_way_to_sign_in_is_what_keystone_documents(
    fields: dict[str, Any], identity: dict[str, Any], scope: dict[str, Any] | None
) -> None:
    sent = orjson.loads(sign_in_body(CloudCredentials(auth_url=URL, **fields)))["auth"]

    assert (sent["identity"], sent.get("scope")) == (identity, scope)


def test_a_token_is_read_with_its_end_in_seconds_since_the_epoch() -> None:
    body = {
        "token": {
            "expires_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "u1", "name": "u", "domain": {"id": "d"}},
            "project": {"id": "p1", "name": "p"},
            "roles": [{"id": "1", "name": "admin"}],
        }
    }

    token = token_of(answer(201, body, {"x-subject-token": "gAAA"}))

    assert (token.value, token.expires_at, token.project_id, token.roles) == ("gAAA", 1767225600.0, "p1", ("admin",))
    assert "gAAA" not in repr(token)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{}", {"X-Subject-Token": "t"}),
        (b"<html>", {"X-Subject-Token": "t"}),
        ({"token": {"user": {"id": "u"}}}, {}),
        ({"token": {"user": {"id": "u"}}}, {"X-Subject-Token": "a b"}),
        ({"token": {"user": {"id": "u"}, "expires_at": "soon"}}, {"X-Subject-Token": "t"}),
        ({"token": {"user": {"id": "u"}}}, {"X-Subject-Token": "t" * 70_000}),
    ],
)
def test_an_answer_that_is_not_keystones_is_a_failed_call(body: Any, headers: dict[str, str]) -> None:
    with pytest.raises(CallFailed) as caught:
        token_of(answer(201, body, headers))

    assert caught.value.kind == "bad_body"
