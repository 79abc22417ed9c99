"""An error as the API tells it, and what the client makes of it again.

    {"error": {"kind": "NotFoundError", "message": "there is no task …", "exit_code": 1}}

Rules: `kind` is the name of a class of common/error, or one of the words of HTTP here. A message is for the user and
holds no secret; of an error that nobody foresaw the client learns nothing but that there was one.
"""

from collections.abc import Mapping

import msgspec

from osbench.common.error import (
    AbortedError,
    AgentError,
    CloudError,
    CoordinatorError,
    IncompleteError,
    InputError,
    NotFoundError,
    OsbenchError,
    ProtocolError,
    SlaError,
    StoreError,
)

#: Our errors by HTTP status; the first class that fits counts. CloudError: another server did not do what was asked.
STATUS_OF: Mapping[type[OsbenchError], int] = {
    NotFoundError: 404,
    InputError: 400,
    CloudError: 502,
    StoreError: 503,
    AgentError: 503,
    CoordinatorError: 503,
    ProtocolError: 400,
    SlaError: 409,
    IncompleteError: 409,
    AbortedError: 409,
}
ERROR_OF_KIND = {kind.__name__: kind for kind in STATUS_OF}

#: Words for what HTTP itself refuses.
UNAUTHORIZED = "Unauthorized"
WRONG_HOST = "WrongHost"
NO_SUCH_ROUTE = "NoSuchRoute"
NO_SUCH_METHOD = "NoSuchMethod"
TOO_LARGE = "TooLarge"
NOT_JSON = "NotJson"
BUSY = "Busy"
UNEXPECTED = "Unexpected"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong; exit_code is the one the command line ends with."""

    kind: str
    message: str
    exit_code: int = 1


class FaultBody(msgspec.Struct, frozen=True, kw_only=True):
    """The outermost object of every answer that is no success."""

    error: Fault


class RefusedError(Exception):
    """A request that ends before it means anything: HTTP's own refusals. Never leaves the API."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


def status_of(error: OsbenchError) -> int:
    """The HTTP status of one of our errors."""
    return next((status for kind, status in STATUS_OF.items() if isinstance(error, kind)), 500)


def fault_body(kind: str, message: str, exit_code: int = 1) -> bytes:
    """The JSON of a fault."""
    return msgspec.json.encode(FaultBody(error=Fault(kind=kind, message=message, exit_code=exit_code)))


def error_of(fault: Fault) -> OsbenchError:
    """The error that a fault tells of."""
    return ERROR_OF_KIND.get(fault.kind, CoordinatorError)(fault.message)
