from typing import Any

import msgspec
import pytest

from osbench.common.cloud.credentials import CloudCredentials, CloudSpec
from osbench.common.error import InputError
from osbench.deploy.existing import cloud_of_spec

ADMIN = {"username": "admin", "password": "x", "project_name": "admin"}
CLOUD = CloudSpec(
    admin=CloudCredentials(
        auth_url="http://cloud:5000/v3",
        username="admin",
        password="x",
        user_domain_name="Default",
        project_name="admin",
        project_domain_name="Default",
    )
)


@pytest.mark.parametrize(
    "spec",
    [
        {"auth_url": "http://cloud:5000", "admin": ADMIN},
        {"type": "existing", "auth_url": "http://cloud:5000", "admin": ADMIN},
        {"type": "ExistingCloud", "auth_url": "http://cloud:5000", "admin": ADMIN},
        {"existing@openstack": {"auth_url": "http://cloud:5000", "admin": ADMIN}},
        {"cloud": msgspec.to_builtins(CLOUD)},
    ],
)
def test_every_form_of_a_spec_gives_the_same_credentials(spec: dict[str, Any]) -> None:
    assert cloud_of_spec(spec) == CLOUD


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"cloud": {}}, r"deployment spec: cloud: Object missing required field `admin`"),
        ({"type": "existing"}, "deployment spec: found nothing"),
        ({"type": "other", "admin": ADMIN}, "type 'other' is not an existing cloud"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_cloud_is_asked(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cloud_of_spec(spec)
