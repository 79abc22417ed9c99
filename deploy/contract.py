"""The port of deploy engines: what puts a cloud there, or takes one as it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from osbench.common.cloud.credentials import CloudSpec


class Engine(Protocol):
    """Makes a cloud of a spec. One engine at a time works on a folder.

    A folder belongs to one deployment, is private to its user, and outlives the process: whatever an engine makes it
    notes there before it makes it, so that `destroy` finds it in another process, after a crash too.
    """

    def deploy(self, spec: Mapping[str, Any], folder: Path) -> CloudSpec:
        """Put the cloud there.

        Args:
            spec: as the user wrote it, with or without `type`. folder: for the engine's own notes.

        Returns:
            How to sign in.

        Raises:
            InputError: the spec does not fit; nothing was made.
            CloudError: it could not be made, or is not as it should be; what was made is removed again.
        """
        ...

    def destroy(self, spec: Mapping[str, Any], folder: Path) -> None:
        """Remove all that was made, and nothing else. May be called again, and on what was half made.

        Raises:
            CloudError: something is left; the message names it.
        """
        ...
