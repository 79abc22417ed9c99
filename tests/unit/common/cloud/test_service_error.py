"""Error bodies: the service's words, bounded and without what differs from call to call."""

import pytest

from osbench.common.cloud.service_error import generalised, service_message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"badRequest": {"code": 400, "message": "Invalid imageRef"}}', "Invalid imageRef"),
        (b'{"error": {"code": 401, "message": "You shall not pass", "title": "Unauthorized"}}', "You shall not pass"),
        (b'{"NeutronError": {"type": "T", "message": "No more IPs", "detail": ""}}', "No more IPs"),
        (b'{"errors": [{"status": 409, "detail": "in use"}]}', "in use"),
        (b'{"message": "denied<br>", "code": "403"}', "denied<br>"),
        (b"<html><head><title>503</title><style>a{}</style></head><body>No\n server</body></html>", "503 No server"),
        (b"\xff\xfe plain", "\ufffd\ufffd plain"),
        (b'"text"', "text"),
        (b"{}", ""),
        (b"[]", ""),
        (b"null", ""),
        (b"", ""),
        (b"x" * 100_000, ""),
        (b"[" * 5_000, "[" * 500),
    ],
)
def test_the_words_of_every_service_are_found(body: bytes, message: str) -> None:
    assert service_message(body) == message


def test_ids_and_our_own_names_are_replaced() -> None:
    """Without it a thousand failures of one kind are a thousand errors in the report."""
    text = (
        "Instance 0d6e1bd1-9ba4-4ec4-b1c4-1d2c1b9d6ae1 (s_osb_0123456789ab_cdefz0) of 0123456789abcdef0123456789ABCDEF "
        "failed: req-0d6e1bd1-9ba4-4ec4-b1c4-1d2c1b9d6ae1"
    )

    assert generalised(text) == "Instance <id> (<name>) of <id> failed: <id>"


def test_texts_are_bounded() -> None:
    assert len(generalised("a b" * 10_000)) == 500
