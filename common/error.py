"""The exceptions of this project: one tree, two levels, sorted by what the reader can do about it.

Every class carries the exit code the command line ends with. Foreign exceptions are translated into these in
the adapter that met them, with `from`. What the cloud answers to a load iteration is data (an outcome), not an
exception.
"""


class OsbenchError(Exception):
    """Root of all our exceptions; never raised itself.

    The message is for the user: the bad value, the bound, the cure.
    """

    exit_code = 1


class InputError(OsbenchError):
    """What the user wrote cannot be taken: task file, option, deployment spec. Cure: change the input.

    Raised before anything on the cloud is touched. Its sibling `CloudError` says that the input was
    well-formed but the cloud refused it.
    """


class CloudError(OsbenchError):
    """The cloud, outside the load itself, did not do what was asked: sign-in, catalogue, look-up, context.

    Cure: look at the cloud or at the credentials. Never raised for what a load iteration meets: that is recorded.
    """


class StoreError(OsbenchError):
    """The database refused or is of another schema version. Cure: look at the database URL or upgrade the schema."""


class NotFoundError(StoreError):
    """The named task, run or deployment is not in the store. Cure: list what is there."""


class ProtocolError(OsbenchError):
    """Bytes from the wire or a file do not fit the protocol or its version. Cure: the same release on both ends."""


class AgentError(OsbenchError):
    """A load agent could not be started, or is not there. Cure: look at the agent's log."""


class CoordinatorError(OsbenchError):
    """The coordinator does not answer, or does not know who asks. Cure: start it, or look at its address and token."""


class SlaError(OsbenchError):
    """The service level asked for was not met; the run itself went well."""

    exit_code = 2


class IncompleteError(OsbenchError):
    """Records are missing, or the generator was not fit to be believed."""

    exit_code = 3


class AbortedError(OsbenchError):
    """The user ended the run."""

    exit_code = 4
