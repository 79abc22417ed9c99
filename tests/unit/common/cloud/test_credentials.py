"""Credentials: what users write, and what they are told when it does not fit."""

from typing import Any

import msgspec
import pytest

from osbench.common.cloud.credentials import (
    CloudCredentials,
    CloudSpec,
    SignInMethod,
    credentials_of_environment,
)
from osbench.common.cloud.rally_spec import cloud_of_rally_spec
from osbench.common.error import InputError

OPENRC = {
    "OS_AUTH_URL": "http://cloud:5000/v3",
    "OS_USERNAME": "admin",
    "OS_PASSWORD": "s3cret",
    "OS_PROJECT_NAME": "admin",
    "OS_USER_DOMAIN_NAME": "Users",
    "OS_PROJECT_DOMAIN_ID": "default",
    "OS_REGION_NAME": "RegionOne",
    "OS_INTERFACE": "internal",
    "OS_COMPUTE_API_VERSION": "2.90",
    "OS_IDENTITY_API_VERSION": "3",
    "OS_INSECURE": "true",
}
ADMIN: dict[str, Any] = {"username": "admin", "password": "s3cret", "project_name": "demo"}
EXISTING: dict[str, Any] = {
    "auth_url": "http://cloud/identity/",
    "region_name": "R1",
    "endpoint_type": "internal",
    "https_insecure": True,
    "https_cacert": "/ca.pem",
    "admin": {**ADMIN, "user_domain_name": "D1", "project_domain_name": "D2"},
    "users": [{"username": "u1", "password": "p1", "tenant_name": "t1"}],
    "api_info": {"nova": {"version": "2.87"}, "cinder": {"version": 3, "service_type": "volumev3"}},
}


def test_an_openrc_is_read_as_it_is_sourced() -> None:
    assert credentials_of_environment(OPENRC) == CloudCredentials(
        auth_url="http://cloud:5000/v3",
        username="admin",
        password="s3cret",
        project_name="admin",
        user_domain_name="Users",
        project_domain_id="default",
        region="RegionOne",
        interface="internal",
        is_insecure=True,
        microversions={"compute": "2.90"},
    )


def test_an_application_credential_in_the_environment_needs_no_user() -> None:
    credentials = credentials_of_environment(
        {
            "OS_AUTH_URL": "http://cloud",
            "OS_AUTH_TYPE": "v3applicationcredential",
            "OS_APPLICATION_CREDENTIAL_ID": "i",
            "OS_APPLICATION_CREDENTIAL_SECRET": "s",
        }
    )

    assert (credentials.method, credentials.auth_url) == (SignInMethod.APPLICATION_CREDENTIAL, "http://cloud/v3")


def test_domains_default_for_names_and_not_for_ids() -> None:
    by_name = credentials_of_environment(
        {"OS_AUTH_URL": "http://c", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_TENANT_NAME": "t"}
    )
    by_id = credentials_of_environment(
        {"OS_AUTH_URL": "http://c", "OS_USER_ID": "u", "OS_PASSWORD": "p", "OS_PROJECT_ID": "t"}
    )

    assert (by_name.user_domain_name, by_name.project_name, by_name.project_domain_name) == ("Default", "t", "Default")
    assert (by_id.user_domain_name, by_id.project_domain_name) == ("", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"OS_AUTH_URL": ""}, "OS_AUTH_URL is not set"),
        ({"OS_AUTH_URL": "cloud:5000"}, "auth_url 'cloud:5000' is not a URL"),
        ({"OS_AUTH_URL": "http://u:p@cloud/"}, "must hold no user"),
        ({"OS_PASSWORD": ""}, "missing key 'password'"),
        ({"OS_USERNAME": ""}, "missing key 'username'"),
        ({"OS_INTERFACE": "publik"}, "did you mean 'public'"),
        ({"OS_INSECURE": "maybe"}, "must be true or false, not 'maybe'"),
        ({"OS_APPLICATION_CREDENTIAL_ID": "x"}, "missing key 'application_credential_secret'"),
    ],
)
def test_a_wrong_environment_is_said_with_its_cure(change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        credentials_of_environment({**OPENRC, **change})

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        {"existing@openstack": EXISTING},
        {"openstack": EXISTING},
        {"type": "ExistingCloud", **EXISTING},
        {"type": "ExistingCloud", "creds": {"openstack": EXISTING}},
        {"!version": 1, "!description": "x", "existing@openstack": EXISTING},
        EXISTING,
    ],
)
def test_all_of_rallys_forms_of_an_existing_cloud_mean_the_same(spec: dict[str, Any]) -> None:
    shared: dict[str, Any] = {
        "auth_url": "http://cloud/identity/v3",
        "region": "R1",
        "interface": "internal",
        "cacert": "/ca.pem",
        "is_insecure": True,
        "microversions": {"compute": "2.87"},
    }

    assert cloud_of_rally_spec(spec) == CloudSpec(
        admin=CloudCredentials(**shared, **ADMIN, user_domain_name="D1", project_domain_name="D2"),
        users=(
            CloudCredentials(
                **shared,
                username="u1",
                password="p1",
                project_name="t1",
                user_domain_name="Default",
                project_domain_name="Default",
            ),
        ),
    )


def test_a_spec_of_the_seed_era_names_the_administrator_alone() -> None:
    endpoint = {
        "auth_url": "http://example.net:5000/v2.0/",
        "username": "admin",
        "password": "myadminpass",
        "tenant_name": "demo",
        "region_name": "RegionOne",
        "use_public_urls": True,
        "admin_port": 35357,
    }

    cloud = cloud_of_rally_spec({"type": "ExistingCloud", "endpoint": endpoint})

    assert (cloud.admin.auth_url, cloud.admin.project_name) == ("http://example.net:5000/v3", "demo")
    assert (cloud.admin.region, cloud.admin.user_domain_name) == ("RegionOne", "Default")


def _without(spec: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != key}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "found nothing; expected 'existing@openstack'"),
        ([], "deployment spec must be a mapping, not list"),
        ({"existing@openstak": EXISTING}, "found 'existing@openstak'"),
        ({"type": "DevstackEngine"}, "type 'DevstackEngine' is not an existing cloud"),
        ({"openstack": {**EXISTING, "auth_ulr": "x"}}, "unknown key 'auth_ulr'; did you mean 'auth_url'"),
        ({"openstack": _without(EXISTING, "auth_url")}, "missing key 'auth_url'"),
        ({"openstack": _without(EXISTING, "admin")}, "missing key 'admin'"),
        ({"openstack": {**EXISTING, "endpoint_type": "publc"}}, "did you mean 'public'"),
        ({"openstack": {**EXISTING, "admin": {**ADMIN, "pasword": 1}}}, "admin: unknown key 'pasword'; did you mean"),
        ({"openstack": {**EXISTING, "admin": _without(ADMIN, "password")}}, "admin: missing key 'password'"),
        ({"openstack": {**EXISTING, "admin": {**ADMIN, "password": ["x"]}}}, "password must be text, not list"),
        ({"openstack": {**EXISTING, "users": [{"username": "u"}]}}, r"users\[0\]: missing key 'password'"),
        ({"openstack": {**EXISTING, "users": {}}}, "users must be a list"),
        (
            {"type": "ExistingCloud", "endpoint": {"auth_url": "http://c", **_without(ADMIN, "project_name")}},
            "tenant_name",
        ),
        (
            {"type": "ExistingCloud", "endpoint": {"auth_url": "http://c", "user": "x"}},
            "unknown key 'user'; did you mean",
        ),
    ],
)
def test_a_wrong_spec_names_the_key_and_the_nearest_right_one(spec: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        cloud_of_rally_spec(spec)

    assert "s3cret" not in str(caught.value)


def test_no_secret_is_in_a_repr() -> None:
    credentials = CloudCredentials(
        auth_url="http://c/v3", password="hush-1", token="hush-2", application_credential_secret="hush-3"
    )

    assert "hush" not in repr(CloudSpec(admin=credentials, users=(credentials,)))


def test_credentials_survive_being_stored() -> None:
    cloud = cloud_of_rally_spec(EXISTING)

    assert msgspec.convert(msgspec.to_builtins(cloud), CloudSpec) == cloud
