"""Who signs in to which cloud: one frozen value, whatever the user wrote it as.

Rules: read at the border, once; what is wrong names the key, what is allowed and the nearest name. Secrets never appear
in a repr or a message. OS_* variables are read here, the other forms by `clouds_yaml` and `rally_spec`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from osbench.common.cloud.catalogue import INTERFACES
from osbench.common.error import InputError
from osbench.common.nearest import did_you_mean

DEFAULT_DOMAIN = "Default"
_VALUE_LIMIT_CHARS = 10_000


class SignInMethod(StrEnum):
    """How one proves to Keystone who one is."""

    PASSWORD = "password"
    TOKEN = "token"
    APPLICATION_CREDENTIAL = "application_credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudCredentials:
    """One identity on one cloud. Empty text means not given.

    Attributes:
        auth_url: Keystone, ends in /v3.
        project_id, project_name, project_domain_id, project_domain_name: scope; or domain_id, domain_name; or
            system_scope (`all`); none of them signs in unscoped.
        region: empty for the first in the catalogue. interface: public, internal or admin.
        cacert, cert, key: PEM files. is_insecure: accept any certificate.
        microversions: by official service type, as asked for.
    """

    auth_url: str
    method: SignInMethod = SignInMethod.PASSWORD
    username: str = ""
    user_id: str = ""
    password: str = field(default="", repr=False)
    user_domain_id: str = ""
    user_domain_name: str = ""
    token: str = field(default="", repr=False)
    application_credential_id: str = ""
    application_credential_name: str = ""
    application_credential_secret: str = field(default="", repr=False)
    project_id: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    project_domain_name: str = ""
    domain_id: str = ""
    domain_name: str = ""
    system_scope: str = ""
    region: str = ""
    interface: str = "public"
    cacert: str = ""
    cert: str = ""
    key: str = ""
    is_insecure: bool = False
    microversions: dict[str, str] = field(default_factory=dict)

    @property
    def can_renew(self) -> bool:
        """Whether a new token can be had when this one ends: a token cannot prolong its own life."""
        return self.method is not SignInMethod.TOKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSpec:
    """An existing cloud: its administrator, and users to act as, if the user named any."""

    admin: CloudCredentials
    users: tuple[CloudCredentials, ...] = ()


#: Keys that say who signs in and for what; the second spelling of a thing points to the first.
SIGN_IN_KEYS = (
    "username",
    "user_id",
    "password",
    "user_domain_id",
    "user_domain_name",
    "token",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "project_id",
    "project_name",
    "project_domain_id",
    "project_domain_name",
    "domain_id",
    "domain_name",
    "system_scope",
)
OLD_SPELLINGS = {"tenant_name": "project_name", "tenant_id": "project_id"}


def normal_auth_url(url: object, where: str) -> str:
    """Keystone's URL ending in /v3, whatever version or slash it was written with.

    Raises:
        InputError: not an http(s) URL with a host.
    """
    text = checked_text(url, where, "auth_url").rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(ord(char) <= 32 for char in text):
        raise InputError(f"{where}: auth_url {text!r} is not a URL: write e.g. https://cloud.example:5000/v3")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(f"{where}: auth_url must hold no user, password, ? or #: write them under their own keys")
    for version in ("/v2.0", "/v3"):
        text = text.removesuffix(version)
    return text + "/v3"


def checked_text(value: object, where: str, key: str) -> str:
    """`value` as text; numbers are taken as they read, since YAML makes numbers of digits."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: {key} must be text, not {type(value).__name__}")
    if len(value) > _VALUE_LIMIT_CHARS:
        raise InputError(f"{where}: {key} is longer than {_VALUE_LIMIT_CHARS} characters")
    return value


def checked_flag(value: object, where: str, key: str) -> bool:
    """`value` as true or false, also as environment variables spell it."""
    if isinstance(value, bool):
        return value
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
        "": False,
    }
    found = words.get(str(value).strip().lower())
    if found is None:
        raise InputError(f"{where}: {key} must be true or false, not {str(value)!r:.80}")
    return found


def checked_interface(value: object, where: str, key: str) -> str:
    """public, internal or admin; `publicURL` and the like are taken for them."""
    text = checked_text(value, where, key).removesuffix("URL")
    if text not in INTERFACES:
        raise InputError(
            f"{where}: {key} must be one of {', '.join(INTERFACES)}, not {text!r:.80}{did_you_mean(text, INTERFACES)}"
        )
    return text


def check_keys(found: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    """Refuse a key nobody would read.

    Raises:
        InputError: naming it, the nearest allowed one and all that are allowed.
    """
    for key in found:
        if key not in allowed:
            raise InputError(
                f"{where}: unknown key {key!r:.80}{did_you_mean(str(key), allowed)} (allowed: {', '.join(allowed)})"
            )


def sign_in_fields(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The part of `CloudCredentials` that says who signs in, with defaults for domains.

    Args:
        found: SIGN_IN_KEYS and OLD_SPELLINGS to values; other keys are not looked at. None counts as not given.
        where: begins the messages.

    Raises:
        InputError: neither a password, nor a token, nor an application credential; or a half of one.
    """
    fields: dict[str, Any] = {}
    for key, value in found.items():
        name = OLD_SPELLINGS.get(key, key)
        if name in SIGN_IN_KEYS and value is not None and value != "":
            fields.setdefault(name, checked_text(value, where, key))
    fields["method"] = _method(fields, where)
    has_user_domain = "user_domain_id" in fields or "user_domain_name" in fields
    if "username" in fields and "user_id" not in fields and not has_user_domain:
        fields["user_domain_name"] = DEFAULT_DOMAIN
    has_project_domain = "project_domain_id" in fields or "project_domain_name" in fields
    if "project_name" in fields and "project_id" not in fields and not has_project_domain:
        fields["project_domain_name"] = DEFAULT_DOMAIN
    return fields


def _method(fields: Mapping[str, Any], where: str) -> SignInMethod:
    if "application_credential_secret" in fields:
        if "application_credential_id" in fields:
            return SignInMethod.APPLICATION_CREDENTIAL
        if "application_credential_name" in fields and ("username" in fields or "user_id" in fields):
            return SignInMethod.APPLICATION_CREDENTIAL
        raise InputError(
            f"{where}: missing key 'application_credential_id' (or application_credential_name with username or user_id)"
        )
    if "application_credential_id" in fields or "application_credential_name" in fields:
        raise InputError(f"{where}: missing key 'application_credential_secret'")
    if "token" in fields and "password" not in fields:
        return SignInMethod.TOKEN
    if "username" not in fields and "user_id" not in fields:
        raise InputError(
            f"{where}: missing key 'username' (or user_id): sign in with username and password, with token, "
            "or with application_credential_id and application_credential_secret"
        )
    if "password" not in fields:
        raise InputError(f"{where}: missing key 'password'")
    return SignInMethod.PASSWORD


#: OS_* variables beside those that only write a sign-in key in capitals.
_ENVIRONMENT_FIELDS = {"OS_REGION_NAME": "region", "OS_CACERT": "cacert", "OS_CERT": "cert", "OS_KEY": "key"}
_ENVIRONMENT_MICROVERSIONS = {
    "OS_COMPUTE_API_VERSION": "compute",
    "OS_VOLUME_API_VERSION": "block-storage",
    "OS_PLACEMENT_API_VERSION": "placement",
}


def credentials_of_environment(environment: Mapping[str, str]) -> CloudCredentials:
    """Credentials of OS_* variables, as an openrc file sets them.

    Args:
        environment: e.g. os.environ.

    Raises:
        InputError: OS_AUTH_URL is missing or something does not fit.
    """
    where = "OS_* variables"
    if not environment.get("OS_AUTH_URL"):
        raise InputError(f"{where}: OS_AUTH_URL is not set: source an openrc file, or name a cloud of clouds.yaml")
    keys = (*SIGN_IN_KEYS, *OLD_SPELLINGS)
    found = {key: environment[f"OS_{key.upper()}"] for key in keys if environment.get(f"OS_{key.upper()}")}
    if environment.get("OS_AUTH_TOKEN") and "token" not in found:
        found["token"] = environment["OS_AUTH_TOKEN"]
    for kind in ("user", "project"):
        default_id, default_name = environment.get("OS_DEFAULT_DOMAIN_ID"), environment.get("OS_DEFAULT_DOMAIN_NAME")
        if not {f"{kind}_domain_id", f"{kind}_domain_name"} & found.keys():
            if default_id:
                found[f"{kind}_domain_id"] = default_id
            elif default_name:
                found[f"{kind}_domain_name"] = default_name
    fields = sign_in_fields(found, where)
    fields |= {name: environment[key] for key, name in _ENVIRONMENT_FIELDS.items() if environment.get(key)}
    interface = environment.get("OS_INTERFACE") or environment.get("OS_ENDPOINT_TYPE")
    if interface:
        fields["interface"] = checked_interface(interface, where, "OS_INTERFACE")
    fields["is_insecure"] = checked_flag(environment.get("OS_INSECURE", ""), where, "OS_INSECURE")
    fields["microversions"] = {
        service: environment[key]
        for key, service in _ENVIRONMENT_MICROVERSIONS.items()
        if "." in environment.get(key, "")
    }
    return CloudCredentials(auth_url=normal_auth_url(environment["OS_AUTH_URL"], where), **fields)


def as_user(credentials: CloudCredentials, fields: Mapping[str, Any]) -> CloudCredentials:
    """Another identity on the same cloud: `fields` of `sign_in_fields` in place of the credentials' own."""
    kept = {"region", "interface", "cacert", "cert", "key", "is_insecure", "microversions"}
    shared = {name: getattr(credentials, name) for name in kept}
    return replace(CloudCredentials(auth_url=credentials.auth_url, **shared), **fields)
