"""Stage 10/10 · The report as JSON: the values of coordinator/result as they are, under a schema version.

Rules: docs/results.md describes it. Within a version fields are only added; one that goes, is renamed or changes its
meaning makes a new version, and every version that was ever released stays readable here.
"""

from typing import Literal

import msgspec

from osbench.common.error import InputError
from osbench.coordinator.result import TaskResult

SCHEMA: Literal["osbench.result"] = "osbench.result"
SCHEMA_VERSION = 1


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The outermost object."""

    schema: Literal["osbench.result"]
    schema_version: int
    task: TaskResult


class _Envelope(msgspec.Struct):
    """As much of a document as tells whether the rest can be read."""

    schema: str
    schema_version: int


def task_json(result: TaskResult) -> bytes:
    """A task as one line of JSON (UTF-8), with a newline at its end."""
    document = Document(schema=SCHEMA, schema_version=SCHEMA_VERSION, task=result)
    return msgspec.json.encode(document) + b"\n"


def read_json(data: bytes) -> TaskResult:
    """What `task_json` wrote.

    Raises:
        InputError: not a result of ours, or of a version that is not known here.
    """
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        if envelope.schema != SCHEMA:
            raise InputError(f"schema {envelope.schema!r:.80} is not {SCHEMA!r}: not a result of osbench")
        if envelope.schema_version != SCHEMA_VERSION:
            found = envelope.schema_version
            raise InputError(
                f"results of schema version {found} are not known here; this release reads {SCHEMA_VERSION}"
            )
        return msgspec.json.decode(data, type=Document).task
    except msgspec.DecodeError as error:
        raise InputError(f"not a result of osbench: {error}") from error
