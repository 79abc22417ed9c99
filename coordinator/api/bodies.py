"""What requests carry, as typed values with bounds, and the small answers that no other module has a value for.

Rules: decoded once, at the border; a field that is not known here is refused, so that a misspelt option is not taken for
none. Nothing of a bundle is a path that anybody opens here.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from osbench.coordinator.agent_line import AgentLine
from osbench.coordinator.deployment_state import Deployment
from osbench.coordinator.task_file.document import MAX_CHARACTERS
from osbench.coordinator.task_line import TaskLine
from osbench.coordinator.task_state import TaskStatus

#: Bounds of bodies, bytes.
BUNDLE_BYTES = 16 * 2**20
DRAFT_BYTES = 2**20
SMALL_BYTES = 4096
MAX_AGENTS = 1024

#: Ids and names as they stand in a path or a query.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$"
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
#: One line of the user's own words.
MAX_WORD = 255
Word = Annotated[str, Meta(min_length=1, max_length=MAX_WORD, pattern=r"^[^\x00-\x1f\x7f]+$")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
AgentCount = Annotated[int, Meta(ge=1, le=MAX_AGENTS)]


class SubmitOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a task is to be run: see TaskOptions."""

    agents: AgentCount | None = None
    min_agents: AgentCount | None = None
    labels: Annotated[tuple[Word, ...], Meta(max_length=32)] = ()
    abort_on_sla_failure: bool = False


class SubmitBundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task as it comes: its file with the template expanded, and the local files it refers to.

    Attributes:
        title: of a task of format 1, which has none of its own. source: YAML or JSON; nothing in it is expanded.
        deployment: id or name. files: contents by their SHA-256.
    """

    title: Word
    source: Annotated[str, Meta(max_length=MAX_CHARACTERS)]
    deployment: Word
    tags: Annotated[tuple[Word, ...], Meta(max_length=64)] = ()
    options: SubmitOptions = SubmitOptions()
    files: Annotated[dict[Digest, bytes], Meta(max_length=64)] = {}


class DeploymentDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deployment to make; the spec may hold secrets, and is never told again."""

    name: Name
    engine: Word
    spec: dict[str, Any] = {}


class EndRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """soft: let what is in flight end."""

    soft: bool = False


class DrainRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """undo: take the agent in again."""

    undo: bool = False


class TaskFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks to list: those that meet all that is given. deployment: id or name.

    Unset and not None, since a query has no null: `?tag=null` asks for the tag `null`.
    """

    deployment: Word | UnsetType = UNSET
    status: TaskStatus | UnsetType = UNSET
    tag: Word | UnsetType = UNSET


class DeleteChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """force: even if it left something on the cloud, which is then forgotten."""

    force: bool = False


class NoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of routes without a query."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What will happen, in words for people."""

    message: str


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks, oldest first."""

    tasks: tuple[TaskLine, ...]


class DeploymentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Deployments, oldest first."""

    deployments: tuple[Deployment, ...]


class AgentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Agents, by name."""

    agents: tuple[AgentLine, ...]
