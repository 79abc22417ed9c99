"""clouds.yaml: read by openstacksdk, turned into our value."""

from pathlib import Path

import pytest

from osbench.common.cloud.clouds_yaml import credentials_of_cloud
from osbench.common.cloud.credentials import CloudCredentials, SignInMethod
from osbench.common.error import InputError

CLOUDS = """
clouds:
  mine:
    auth:
      auth_url: http://cloud:5000
      username: admin
      password: s3cret
      project_name: admin
      user_domain_name: Default
      project_domain_id: default
    region_name: RegionOne
    interface: internal
    verify: false
    compute_default_microversion: "2.79"
  robot:
    auth_type: v3applicationcredential
    auth: {auth_url: "http://cloud/v3", application_credential_id: a, application_credential_secret: s3cret}
  pass:
    auth_type: v3token
    auth: {auth_url: "http://cloud/v3", token: s3cret, project_id: p}
  other:
    auth_type: v3oidcpassword
    auth: {auth_url: "http://cloud/v3"}
  half:
    auth: {auth_url: "http://cloud/v3", username: u}
  bare: {}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "clouds.yaml"
    path.write_text(CLOUDS)
    return str(path)


def test_a_cloud_is_read_with_all_that_says_who_and_where(file: str) -> None:
    assert credentials_of_cloud("mine", file=file) == CloudCredentials(
        auth_url="http://cloud:5000/v3",
        username="admin",
        password="s3cret",
        project_name="admin",
        user_domain_name="Default",
        project_domain_id="default",
        region="RegionOne",
        interface="internal",
        is_insecure=True,
        microversions={"compute": "2.79"},
    )


def test_application_credentials_and_tokens_are_ways_to_sign_in(file: str) -> None:
    assert credentials_of_cloud("robot", file=file).method is SignInMethod.APPLICATION_CREDENTIAL
    assert credentials_of_cloud("pass", file=file).method is SignInMethod.TOKEN


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mien", r"no cloud 'mien'; did you mean 'mine'\? \(it has: bare, half, mine, other, pass, robot"),
        ("other", "auth_type 'v3oidcpassword' is not supported"),
        ("half", "missing key 'password'"),
        ("bare", "missing key 'auth.auth_url'"),
    ],
)
def test_a_cloud_that_cannot_be_used_is_said_with_its_cure(file: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        credentials_of_cloud(name, file=file)

    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_yaml_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text("clouds: [")

    with pytest.raises(InputError, match=r"clouds\.yaml"):
        credentials_of_cloud("mine", file=str(path))
