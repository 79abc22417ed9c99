"""Reads a cloud of clouds.yaml, by openstacksdk's own loader: its search path, secure.yaml, profiles and variables.

Rules: openstacksdk is imported only here and only when asked: it takes half a second, and agents have no use for it.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from osbench.common.cloud.catalogue import official_type
from osbench.common.cloud.credentials import (
    CloudCredentials,
    checked_flag,
    checked_interface,
    normal_auth_url,
    sign_in_fields,
)
from osbench.common.error import InputError
from osbench.common.nearest import did_you_mean

_SIGN_IN_TYPES = (
    "password",
    "v3password",
    "token",
    "v3token",
    "v3applicationcredential",
)


def credentials_of_cloud(name: str, *, file: str | None = None) -> CloudCredentials:
    """Credentials of one cloud of clouds.yaml.

    Args:
        name: its name there.
        file: path of a clouds.yaml; None searches where openstacksdk does.

    Raises:
        InputError: no such file or cloud, or a way of signing in we have not.
    """
    where = f"clouds.yaml: cloud {name!r}"
    with warnings.catch_warnings():
        # openstacksdk warns of what it means to give up itself; nobody here can do anything about it.
        warnings.simplefilter("ignore")
        return credentials_of_config(_config(name, file, where), where)


def _config(name: str, file: str | None, where: str) -> Mapping[str, Any]:
    import openstack.config
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import ConfigException
    from yaml import YAMLError

    try:
        loader = openstack.config.OpenStackConfig(config_files=[file] if file else None, load_envvars=file is None)
        known = sorted(loader.get_cloud_names())
        if name not in known:
            raise InputError(
                f"clouds.yaml has no cloud {name!r}{did_you_mean(name, known)} "
                f"(it has: {', '.join(known) or 'none'}; read: {loader.config_filename or 'no file found'})"
            )
        config: Mapping[str, Any] = loader.get_one(cloud=name, load_yaml_config=True, validate=False).config
    except (ConfigException, ClientException, OSError, YAMLError) as error:
        raise InputError(f"{where}: {error}") from error
    return config


def credentials_of_config(config: Mapping[str, Any], where: str) -> CloudCredentials:
    """Credentials of one cloud as openstacksdk hands it out.

    Raises:
        InputError: something is missing or of no use to us.
    """
    kind = str(config.get("auth_type") or "password").replace("_", "")
    if kind not in _SIGN_IN_TYPES:
        raise InputError(f"{where}: auth_type {kind!r} is not supported: use one of {', '.join(_SIGN_IN_TYPES)}")
    auth = config.get("auth")
    if not isinstance(auth, Mapping) or not auth.get("auth_url"):
        raise InputError(f"{where}: missing key 'auth.auth_url'")
    fields = sign_in_fields(_with_default_domain(auth), where)
    if config.get("region_name"):
        fields["region"] = str(config["region_name"])
    interface = config.get("interface") or config.get("endpoint_type")
    if interface:
        fields["interface"] = checked_interface(interface, where, "interface")
    fields |= {key: str(config[key]) for key in ("cacert", "cert", "key") if config.get(key)}
    is_verified = checked_flag(
        config.get("verify", True) if config.get("verify") is not None else True, where, "verify"
    )
    fields["is_insecure"] = not is_verified or checked_flag(config.get("insecure") or False, where, "insecure")
    fields["microversions"] = {
        official_type(key.removesuffix("_default_microversion").replace("_", "-")): str(value)
        for key, value in config.items()
        if key.endswith("_default_microversion") and value
    }
    return CloudCredentials(auth_url=normal_auth_url(auth["auth_url"], where), **fields)


def _with_default_domain(auth: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(auth)
    for kind in ("user", "project"):
        if not {f"{kind}_domain_id", f"{kind}_domain_name"} & found.keys():
            if auth.get("default_domain_id"):
                found[f"{kind}_domain_id"] = auth["default_domain_id"]
            elif auth.get("default_domain_name"):
                found[f"{kind}_domain_name"] = auth["default_domain_name"]
    return found
