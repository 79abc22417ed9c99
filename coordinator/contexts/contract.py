"""The port of a context: something that stands on the cloud around a run.

Contract, for every context:
- Contexts are set up in ascending order and taken down in descending order.
- Whatever is about to be made is told to `Stage.intend` first, which returns when it is recorded; then it is made, and
  told to `Stage.made`. Names come from common/naming: what is not recorded can be found again by name.
- `set_up` may raise `CloudError`, or be cancelled, at any moment; `clean_up` is then called for whatever was made.
- `clean_up` may be called without `set_up`, in another process, and again; what is gone is fine. It raises nothing: what it
  cannot remove it returns.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

from osbench.common.cloud.administration import CloudView
from osbench.common.cloud.credentials import CloudCredentials
from osbench.common.job import UserAccess
from osbench.coordinator.contexts.messages import CloudResource, Leftover


class Reporter(Protocol):
    """Where a request tells what it does."""

    async def intend(self, resources: tuple[CloudResource, ...]) -> None:
        """These are about to be made; returns when they are recorded."""
        ...

    def made(self, *resources: CloudResource) -> None:
        """These were made."""
        ...

    def gone(self, *resources: CloudResource) -> None:
        """These are no longer there."""
        ...

    def progress(self, what: str, done: int, total: int) -> None:
        """How far it is."""
        ...


class Stage:
    """What the contexts of one run share.

    Attributes:
        task, run: whose stage it is. cloud: the deployment's, signed in as the deployment's credentials say.
        reporter: where it is told. existing_users: those of the deployment.
        users: those the iterations will act as; contexts add to it.
    """

    def __init__(
        self,
        *,
        task: str,
        run: str,
        cloud: CloudView,
        reporter: Reporter,
        existing_users: tuple[CloudCredentials, ...] = (),
    ) -> None:
        self.task = task
        self.run = run
        self.cloud = cloud
        self.reporter = reporter
        self.existing_users = existing_users
        self.users: list[UserAccess] = []


class Context(Protocol):
    """A context with its configuration."""

    name: ClassVar[str]
    order: ClassVar[int]

    @classmethod
    def configured(cls, config: Mapping[str, Any]) -> Self:
        """The context of a configuration as written; defaults are filled in.

        Raises:
            InputError: a key or a value does not fit.
        """
        ...

    async def set_up(self, stage: Stage) -> None:
        """Make it.

        Raises:
            CloudError: the cloud did not do what was asked.
        """
        ...

    async def clean_up(self, stage: Stage) -> tuple[Leftover, ...]:
        """Remove all of this run's that `set_up` may have made; returns what is left."""
        ...
