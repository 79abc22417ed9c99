"""Lines of a result."""

import pytest

from osbench.coordinator.result_lines import without_kind


@pytest.mark.parametrize(
    ("message", "kind", "expected"),
    [
        ("nova POST /servers: http_403: Quota exceeded", "http_403", "nova POST /servers: Quota exceeded"),
        ("nova POST /servers: http_500", "http_500", "nova POST /servers"),
        ("nova GET /servers/{id}: given up", "cancelled", "nova GET /servers/{id}: given up"),
        ("iteration exceeded 2 s", "TimeoutError", "iteration exceeded 2 s"),
    ],
)
def test_the_kind_of_an_error_is_not_said_twice(message: str, kind: str, expected: str) -> None:
    assert without_kind(message, kind) == expected
