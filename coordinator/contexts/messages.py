"""What the coordinator and its contexts process say to each other, over that process's standard input and output.

Rules: framed by common/framing. The pipe is private to the two processes, which is why credentials go over it and never
over a command line. Every message names the request it is about. The end of the input means that the coordinator is gone.

    coordinator   SetUp | CleanUp          ─▶                                                   Recorded ─▶  Cancel ─▶
    contexts                                 ◀─ Progress, Intended, Made, Gone (any number)
                                             ◀─ SetUpDone | CleanUpDone | Refused (one, the last)
"""

import asyncio
from typing import Any, cast

import msgspec

from osbench.common.framing import read_frame
from osbench.common.job import CloudAccess, UserAccess


class CloudResource(msgspec.Struct, frozen=True, kw_only=True):
    """Something of ours on the cloud.

    Attributes:
        kind: `server`, `project`, `user`, … name: on the cloud, of common/naming or in a project of such a name.
        cloud_id: empty while it is only intended. project: id of the project it is in, empty for none.
    """

    kind: str
    name: str
    cloud_id: str = ""
    project: str = ""


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """Something of ours that could not be removed, and why."""

    resource: CloudResource
    reason: str

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.resource.name} ({self.resource.cloud_id}): {self.reason}"


class SetUp(msgspec.Struct, frozen=True, kw_only=True, tag="set_up"):
    """Set the contexts of a run up and resolve its scenario's references.

    Attributes:
        credentials: of the deployment, as its engine made them: common/cloud/credentials.CloudSpec as plain data.
        contexts: name to configuration.
        scenario, arguments: as in the workload.
    """

    request: int
    task: str
    run: str
    credentials: dict[str, Any]
    contexts: dict[str, Any] = {}
    scenario: str = ""
    arguments: dict[str, Any] = {}


class CleanUp(msgspec.Struct, frozen=True, kw_only=True, tag="clean_up"):
    """Remove all that was made.

    Attributes:
        task, run: whose; an empty run means the whole task, an empty task all that OSBench ever made.
        recorded: what was recorded; it is removed even if no listing shows it.
        users: whose projects are looked through if the credentials may not see all projects.
    """

    request: int
    credentials: dict[str, Any]
    task: str = ""
    run: str = ""
    recorded: tuple[CloudResource, ...] = ()
    users: tuple[UserAccess, ...] = ()


class Recorded(msgspec.Struct, frozen=True, kw_only=True, tag="recorded"):
    """What `Intended` named is in the store: it may be made now."""

    request: int
    mark: int


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """End a request. What a set-up has made until then is removed; a clean-up just ends."""

    request: int


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress"):
    """How far a request is: `done` of `total` things, named by `what`."""

    request: int
    what: str
    done: int
    total: int


class Intended(msgspec.Struct, frozen=True, kw_only=True, tag="intended"):
    """These are about to be made; nothing is made before `Recorded` with the same mark."""

    request: int
    mark: int
    resources: tuple[CloudResource, ...]


class Made(msgspec.Struct, frozen=True, kw_only=True, tag="made"):
    """These were made; by kind and name they were intended before."""

    request: int
    resources: tuple[CloudResource, ...]


class Gone(msgspec.Struct, frozen=True, kw_only=True, tag="gone"):
    """These are no longer on the cloud."""

    request: int
    resources: tuple[CloudResource, ...]


class SetUpDone(msgspec.Struct, frozen=True, kw_only=True, tag="set_up_done"):
    """All is there.

    Attributes:
        users: signed in. admin: the deployment's administrator, signed in. arguments: references resolved to ids.
    """

    request: int
    cloud: CloudAccess
    users: tuple[UserAccess, ...]
    admin: UserAccess | None
    arguments: dict[str, Any]


class CleanUpDone(msgspec.Struct, frozen=True, kw_only=True, tag="clean_up_done"):
    """What was removed, counted by kind, and what is left in spite of it."""

    request: int
    removed: dict[str, int]
    leftovers: tuple[Leftover, ...]


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The request ended otherwise.

    Attributes:
        error: name of the class of common/error. leftovers: what a failed set-up made and could not remove.
    """

    request: int
    error: str
    message: str
    leftovers: tuple[Leftover, ...] = ()


ToContexts = SetUp | CleanUp | Recorded | Cancel
FromContexts = Progress | Intended | Made | Gone | SetUpDone | CleanUpDone | Refused

_to_contexts: Any = msgspec.msgpack.Decoder(ToContexts)
_from_contexts: Any = msgspec.msgpack.Decoder(FromContexts)


async def read_to_contexts(stream: asyncio.StreamReader) -> ToContexts | None:
    """The next message to the contexts process; None at the end of the pipe.

    Raises:
        ProtocolError: it does not fit.
    """
    return cast(ToContexts | None, await read_frame(stream, _to_contexts))


async def read_from_contexts(stream: asyncio.StreamReader) -> FromContexts | None:
    """The next message from the contexts process; None at the end of the pipe.

    Raises:
        ProtocolError: it does not fit.
    """
    return cast(FromContexts | None, await read_frame(stream, _from_contexts))
