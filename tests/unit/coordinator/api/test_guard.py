"""Who may speak to the API."""

import logging

import httpx2
import pytest

from osbench.coordinator.api.operations import OPERATIONS

PATHS = [*(operation.path for operation in OPERATIONS), "/v1/openapi.json", "/", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_the_token(stranger: httpx2.Client, path: str) -> None:
    answer = stranger.get(path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["kind"] == "Unauthorized"


WRONG_TOKENS = ["", "Bearer", "Bearer ", "Bearer a-token-of-the-test", "Basic a-token-of-the-tests", "Bearer \u00e9"]


@pytest.mark.parametrize("value", WRONG_TOKENS)
def test_a_wrong_token_is_none(stranger: httpx2.Client, value: str) -> None:
    assert stranger.get("/v1/status", headers={b"authorization": value.encode("latin-1")}).status_code == 401


def test_two_tokens_are_none(client: httpx2.Client) -> None:
    """Which of them counts would be anybody's guess."""
    headers = [("authorization", client.headers["authorization"])] * 2

    assert client.build_request("GET", "/v1/status", headers=headers) is not None
    assert (
        client.get("/v1/status", headers=[("Authorization", "Bearer a"), ("Authorization", "Bearer b")]).status_code
        == 401
    )


OURS = [
    "127.0.0.1",
    "127.0.0.1:7760",
    "localhost:7760",
    "LOCALHOST",
    "[::1]:7760",
    "[::1]",
    "load.example:80",
    "192.0.2.7",
]
OTHERS = [
    "evil.example",
    "evil.example:7760",
    "localhost.evil.example",
    "127.0.0.1.nip.io",
    "",
    "localhost:port",
    "::1",
    "a:b:c",
]


@pytest.mark.parametrize(("host", "status"), [*((host, 200) for host in OURS), *((host, 421) for host in OTHERS)])
def test_a_page_of_another_site_cannot_ask(client: httpx2.Client, host: str, status: int) -> None:
    """A browser tells by the Host header whose page it thinks it asks for."""
    assert client.get("/v1/status", headers={"host": host}).status_code == status


def test_refusals_are_logged_once_for_each_address_and_without_the_token(
    stranger: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            stranger.get("/v1/status", headers={"authorization": "Bearer hunter2hunter2"})

    assert len(caplog.records) == 1
    assert "hunter2" not in caplog.text


def test_nothing_may_be_kept_or_framed(client: httpx2.Client) -> None:
    headers = client.get("/v1/status").headers

    assert (headers["cache-control"], headers["x-frame-options"]) == ("no-store", "DENY")
    assert headers["osbench-version"] == "1.2.3"
