"""Where the API is and what opens it: the file that the daemon leaves for the command line of its own user.

Rules: the file is 0600 in a home that is 0700. The token is read from files only: never from argv, where every user of
the machine would see it, and never shown.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from osbench.common.error import InputError
from osbench.common.private_file import write_private

ENVIRONMENT_URL = "OSBENCH_API"
ENVIRONMENT_TOKEN_FILE = "OSBENCH_API_TOKEN_FILE"
FILE_NAME = "api.json"
TOKEN_BYTES = 32
MAX_FILE_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAccess:
    """An API: its URL without a path, e.g. `http://127.0.0.1:7760`, and its token.

    `origin` says where this was found, for messages.
    """

    url: str
    token: str = field(repr=False)
    origin: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    token: str


def make_token() -> str:
    """A token nobody can guess: 256 bits of the system's randomness."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def write_access(home: Path, access: ApiAccess) -> None:
    """Leave the access in the home, 0600.

    Raises:
        InputError: it cannot be written.
    """
    path = home / FILE_NAME
    try:
        write_private(path, msgspec.json.encode(_File(url=access.url, token=access.token)))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; the home must be writable") from error


def remove_access(home: Path) -> None:
    """Take it away again; fine if it is not there."""
    (home / FILE_NAME).unlink(missing_ok=True)


def find_access(home: Path, environment: Mapping[str, str]) -> ApiAccess | None:
    """The API that the environment names, or else the one whose file is in the home; None if there is neither.

    Raises:
        InputError: what is there cannot be used; says which of them and how to go on without it.
    """
    url = environment.get(ENVIRONMENT_URL, "")
    token_file = environment.get(ENVIRONMENT_TOKEN_FILE, "")
    if url and not token_file:
        raise InputError(
            f"{ENVIRONMENT_URL} is set to {url!r:.200} and {ENVIRONMENT_TOKEN_FILE} is not: name the file with its token"
        )
    if url:
        token = _read(Path(token_file), ENVIRONMENT_TOKEN_FILE).decode("ascii", "replace").strip()
        return _checked(url, token, ENVIRONMENT_URL)
    path = home / FILE_NAME
    if not path.exists():
        return None
    try:
        found = msgspec.json.decode(_read(path, str(path)), type=_File)
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: {error}; remove it, or start the coordinator again, which writes it anew") from error
    return _checked(found.url, found.token, str(path))


def _read(path: Path, origin: str) -> bytes:
    try:
        with path.expanduser().open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise InputError(f"{origin}: {path}: {error.strerror}; --local does without a coordinator") from error


def _checked(url: str, token: str, origin: str) -> ApiAccess:
    parts = urlsplit(url)
    is_url = parts.scheme in ("http", "https") and parts.hostname and not any(ord(letter) <= 32 for letter in url)
    if not is_url or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username or parts.password:
        raise InputError(f"{origin}: {url!r:.200} is not the URL of an API; write e.g. http://127.0.0.1:7760")
    if not token or not all(33 <= ord(letter) <= 126 for letter in token):
        raise InputError(f"{origin}: its token is empty or has characters that no token has")
    return ApiAccess(url=url.rstrip("/"), token=token, origin=origin)
