"""Engine `existing`: a cloud that is there already. Nothing is made, so nothing is destroyed; it is looked at before it is
believed.

    type: existing                       or no type, or Rally's forms of an existing cloud (common/cloud/rally_spec)
    auth_url: https://cloud.example:5000/v3
    admin: {username, password, project_name, …}
    users: [{username, password, project_name, …}, …]      optional: whom iterations may act as

or, from clouds.yaml and OS_* variables: {cloud: {admin: {…}, users: […]}}, which is common/cloud/credentials.CloudSpec.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from osbench.common.cloud.credentials import CloudSpec
from osbench.common.cloud.rally_spec import cloud_of_rally_spec
from osbench.common.error import InputError
from osbench.deploy.fingerprint import cloud_facts

log = logging.getLogger(__name__)

NAME = "existing"


class ExistingEngine:
    """Takes a cloud as it is."""

    def deploy(self, spec: Mapping[str, Any], folder: Path) -> CloudSpec:
        """Sign in and look around.

        Args:
            spec: as above. folder: not used.

        Returns:
            How to sign in.

        Raises:
            InputError: the spec does not fit; the cloud was not asked.
            CloudError: nobody there, sign-in refused, no administrator and no users, no such region, or a service of the
                catalogue that does not answer; within ten seconds.
        """
        cloud = cloud_of_spec(spec)
        facts = asyncio.run(cloud_facts(cloud))
        if facts.missing:
            log.warning("the cloud at %s has no %s", facts.auth_url, ", ".join(facts.missing))
        return cloud

    def destroy(self, spec: Mapping[str, Any], folder: Path) -> None:
        """Nothing was made: nothing is removed."""
        log.debug("the existing cloud in %s stays as it is", folder.name)


def cloud_of_spec(spec: Mapping[str, Any]) -> CloudSpec:
    """Credentials out of a spec of this engine.

    Raises:
        InputError: it does not fit.
    """
    if "cloud" in spec:
        try:
            return msgspec.convert(spec["cloud"], CloudSpec)
        except msgspec.ValidationError as error:
            raise InputError(f"deployment spec: cloud: {error}") from error
    return cloud_of_rally_spec({key: value for key, value in spec.items() if (key, value) != ("type", NAME)})
