"""Key pairs of CURVE: who somebody is on the wire. An agent has one, and a coordinator has one.

Rules: a secret key is in no repr, no log, no message and no argument of a command; its file is 0600 and is never written
over by a new key. Public keys are z85 text of 40 characters (ZeroMQ RFC 32), which is also how ZAP tells them.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from osbench.common.error import InputError
from osbench.common.private_file import write_private

KEY_CHARACTERS = 40
KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A public key and the secret key that belongs to it, z85 text."""

    public: str
    secret: str = field(repr=False)


def make_key_pair() -> KeyPair:
    """A new key pair, of the system's random source."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public=public.decode(), secret=secret.decode())


def check_key(key: str, what: str) -> str:
    """A key as it was read from outside, if it is one.

    Args:
        key: z85 text. what: whose it is, for the message; the key itself may be a secret one and is not shown.

    Raises:
        InputError: it is not 40 characters of z85.
    """
    if len(key) != KEY_CHARACTERS or set(key.encode()) - set(z85.Z85CHARS):
        raise InputError(f"{what} is no key: a key is {KEY_CHARACTERS} characters of z85")
    return key


def check_key_pair(pair: KeyPair, what: str) -> KeyPair:
    """A key pair as it was read from outside, if its two keys belong together.

    Raises:
        InputError: they do not, or one of them is no key.
    """
    check_key(pair.secret, f"the secret key in {what}")
    check_key(pair.public, f"the public key in {what}")
    if zmq.curve_public(pair.secret.encode()).decode() != pair.public:
        raise InputError(f"the public key in {what} does not belong to its secret key")
    return pair


def key_as_hex(key: str) -> str:
    """A public key as 64 hex digits: for lines that are cut at colons and pasted into shells."""
    return z85.decode(key).hex()


def key_of_hex(digits: str, what: str) -> str:
    """The public key that `key_as_hex` wrote.

    Raises:
        InputError: not 64 hex digits.
    """
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES or len(digits) != 2 * KEY_BYTES:
        raise InputError(f"{what} {digits!r:.80} is no key: {2 * KEY_BYTES} hex digits are")
    return z85.encode(raw).decode()


def fingerprint(key: str) -> str:
    """What people compare of a public key: its first 16 hex digits in groups of four."""
    digits = key_as_hex(key)[:16]
    return ":".join(digits[at : at + 4] for at in range(0, 16, 4))


def save_key_pair(path: Path, pair: KeyPair) -> None:
    """Write a key pair, 0600.

    Raises:
        OSError: it cannot be written.
    """
    write_private(path, json.dumps({"public_key": pair.public, "secret_key": pair.secret}).encode() + b"\n")


def make_key_file(path: Path) -> KeyPair:
    """A new key pair in a new file; of two processes at once the first wins, and both have its keys.

    Raises:
        OSError: it cannot be written.
        InputError: there is a file by now, and it holds something else.
    """
    pair = make_key_pair()
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    save_key_pair(fresh, pair)
    try:
        os.link(fresh, path)
    except FileExistsError:
        found = load_key_pair(path)
        assert found is not None, f"{path} was there a moment ago"
        return found
    finally:
        fresh.unlink()
    return pair


def load_key_pair(path: Path) -> KeyPair | None:
    """The key pair in a file; None if there is no such file.

    Raises:
        InputError: the file can be read by others, cannot be read at all, or holds something else.
    """
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"key file {path}: {error.strerror}") from error
    if mode & 0o077:
        raise InputError(f"key file {path} can be read by others than its owner (mode {mode & 0o777:o}): chmod 600 it")
    try:
        found = json.loads(content)
        pair = KeyPair(public=str(found["public_key"]), secret=str(found["secret_key"]))
    except (ValueError, KeyError, TypeError):
        raise InputError(f"key file {path} holds no key pair; put back the one that was written there") from None
    return check_key_pair(pair, f"key file {path}")
