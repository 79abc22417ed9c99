"""Reads the specs of an existing cloud that Rally users have: of today and of Rally's first days.

The forms, all ending in the same values:

    existing@openstack: {auth_url, …, admin: {…}, users: […]}       Rally's environments
    openstack: {auth_url, …, admin: {…}, users: […]}                Rally's deployments, later years
    type: ExistingCloud, auth_url, …, admin: {…}, users: […]        … and with creds: {openstack: {…}}
    type: ExistingCloud, endpoint: {auth_url, username, …}          the seed era: the administrator alone
    auth_url, …, admin: {…}                                         the bare inside
"""

from collections.abc import Mapping
from typing import Any

from osbench.common.cloud.catalogue import official_type
from osbench.common.cloud.credentials import (
    OLD_SPELLINGS,
    SIGN_IN_KEYS,
    CloudCredentials,
    CloudSpec,
    as_user,
    check_keys,
    checked_flag,
    checked_interface,
    checked_text,
    normal_auth_url,
    sign_in_fields,
)
from osbench.common.cloud.route import SERVICE_NAMES
from osbench.common.error import InputError

#: Keys of the whole; the profiler's are Rally's, allowed and of no effect here.
_CLOUD_KEYS = (
    "auth_url",
    "region_name",
    "endpoint_type",
    "endpoint",
    "https_insecure",
    "https_cacert",
    "https_cert",
    "https_key",
    "profiler_hmac_key",
    "profiler_conn_str",
    "api_info",
    "admin",
    "users",
)
_USER_KEYS = (*SIGN_IN_KEYS, *OLD_SPELLINGS)
_SEED_KEYS = (
    "auth_url",
    "region_name",
    "use_public_urls",
    "admin_port",
    "endpoint_type",
    "https_insecure",
    "https_cacert",
    *_USER_KEYS,
)
_OUTER_KEYS = ("!version", "!description", "!extras", "!config")
_USER_LIMIT = 100_000


def cloud_of_rally_spec(spec: object) -> CloudSpec:
    """Credentials of a Rally-style spec, already parsed from YAML or JSON.

    Raises:
        InputError: it has none of the forms, an unknown or missing key, or a value that does not fit.
    """
    where = "deployment spec"
    spec = _mapping(spec, where)
    for key in ("existing@openstack", "openstack"):
        if key in spec:
            check_keys(spec, (key, *_OUTER_KEYS), where)
            return _cloud(_mapping(spec[key], key), key)
    if "type" in spec or "creds" in spec:
        return _existing_cloud(spec)
    if "auth_url" in spec or "admin" in spec:
        return _cloud(spec, where)
    raise InputError(
        f"{where}: found {', '.join(map(repr, list(spec)[:10])) or 'nothing'}; "
        "expected 'existing@openstack': {…}, 'openstack': {…} or 'type': 'ExistingCloud'"
    )


def _existing_cloud(spec: Mapping[str, Any]) -> CloudSpec:
    where = "ExistingCloud"
    if spec.get("type", where) != where:
        raise InputError(f"deployment spec: type {spec['type']!r:.80} is not an existing cloud: write ExistingCloud")
    if "creds" in spec:
        check_keys(spec, ("type", "creds"), where)
        creds = _mapping(spec["creds"], f"{where}: creds")
        check_keys(creds, ("openstack",), f"{where}: creds")
        if "openstack" not in creds:
            raise InputError(f"{where}: creds: missing key 'openstack'")
        return _cloud(_mapping(creds["openstack"], "openstack"), "openstack")
    if isinstance(spec.get("endpoint"), Mapping):
        check_keys(spec, ("type", "endpoint"), where)
        return _seed_era(_mapping(spec["endpoint"], f"{where}: endpoint"), f"{where}: endpoint")
    return _cloud({key: value for key, value in spec.items() if key != "type"}, where)


def _cloud(spec: Mapping[str, Any], where: str) -> CloudSpec:
    check_keys(spec, _CLOUD_KEYS, where)
    for key in ("auth_url", "admin"):
        if spec.get(key) is None:
            raise InputError(f"{where}: missing key {key!r}")
    admin_spec = _mapping(spec["admin"], f"{where}: admin")
    check_keys(admin_spec, _USER_KEYS, f"{where}: admin")
    shared: dict[str, Any] = {}
    for key, name in {
        "region_name": "region",
        "https_cacert": "cacert",
        "https_cert": "cert",
        "https_key": "key",
    }.items():
        if spec.get(key):
            shared[name] = checked_text(spec[key], where, key)
    if spec.get("endpoint_type"):
        shared["interface"] = checked_interface(spec["endpoint_type"], where, "endpoint_type")
    shared["is_insecure"] = checked_flag(spec.get("https_insecure") or False, where, "https_insecure")
    shared["microversions"] = _microversions(spec.get("api_info"), f"{where}: api_info")
    admin = CloudCredentials(
        auth_url=normal_auth_url(spec["auth_url"], where), **shared, **sign_in_fields(admin_spec, f"{where}: admin")
    )
    return CloudSpec(admin=admin, users=_users(spec.get("users"), admin, where))


def _users(users: object, admin: CloudCredentials, where: str) -> tuple[CloudCredentials, ...]:
    if users is None:
        return ()
    if not isinstance(users, list | tuple):
        raise InputError(f"{where}: users must be a list, not {type(users).__name__}")
    if len(users) > _USER_LIMIT:
        raise InputError(f"{where}: {len(users)} users are more than {_USER_LIMIT}")
    found = []
    for place, user in enumerate(users):
        user_where = f"{where}: users[{place}]"
        user_spec = _mapping(user, user_where)
        check_keys(user_spec, _USER_KEYS, user_where)
        found.append(as_user(admin, sign_in_fields(user_spec, user_where)))
    return tuple(found)


def _seed_era(endpoint: Mapping[str, Any], where: str) -> CloudSpec:
    check_keys(endpoint, _SEED_KEYS, where)
    if not endpoint.get("auth_url"):
        raise InputError(f"{where}: missing key 'auth_url'")
    fields = sign_in_fields(endpoint, where)
    if not fields.keys() & {"project_name", "project_id"}:
        raise InputError(f"{where}: missing key 'tenant_name' (or project_name)")
    for key, name in {"region_name": "region", "https_cacert": "cacert"}.items():
        if endpoint.get(key):
            fields[name] = checked_text(endpoint[key], where, key)
    if endpoint.get("endpoint_type"):
        fields["interface"] = checked_interface(endpoint["endpoint_type"], where, "endpoint_type")
    fields["is_insecure"] = checked_flag(endpoint.get("https_insecure") or False, where, "https_insecure")
    return CloudSpec(admin=CloudCredentials(auth_url=normal_auth_url(endpoint["auth_url"], where), **fields))


def _microversions(api_info: object, where: str) -> dict[str, str]:
    """Microversions out of Rally's `api_info`: {nova: {version: 2.87}}; a bare major version asks for none."""
    if api_info is None:
        return {}
    by_name = {name: service for service, name in SERVICE_NAMES.items()}
    found: dict[str, str] = {}
    for service, entry in _mapping(api_info, where).items():
        check_keys(_mapping(entry, f"{where}: {service}"), ("version", "service_type"), f"{where}: {service}")
        version = checked_text(entry.get("version", ""), f"{where}: {service}", "version")
        if "." in version and not version.endswith(".0"):
            found[official_type(by_name.get(service, service))] = version
    return found


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be a mapping, not {type(value).__name__}")
    return value
