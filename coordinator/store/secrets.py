"""Secrets at rest: encrypted with a key file that is not in the database.

Rules: the key file is 0600 and is made on the first use, never replaced. The database remembers a mark of its key, so
that another key is refused by name and nothing is ever encrypted with two keys. No secret is in any message.
"""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from osbench.common.error import StoreError


class Vault:
    """Encrypts and decrypts JSON values.

    The key is read when it is first needed: who stores no secret needs none.
    """

    def __init__(self, key_file: Path | None) -> None:
        self._key_file = key_file
        self._fernet: Fernet | None = None
        self._mark = b""

    def mark(self, *, may_make: bool) -> bytes:
        """What tells this key from another, and nothing about it.

        Args:
            may_make: make a key if there is none; False where the database already has secrets.

        Raises:
            StoreError: no key file, or not a key.
        """
        if self._fernet is None:
            key = self._read(may_make)
            try:
                self._fernet = Fernet(key)
            except ValueError as error:
                raise StoreError(
                    f"key file {self._key_file} does not hold a key; put back the one made for this database"
                ) from error
            self._mark = blake2b(key, digest_size=16, person=b"osbench-mark").digest()
        return self._mark

    def _read(self, may_make: bool) -> bytes:
        path = self._key_file
        if path is None:
            raise StoreError("this database has no file beside it: name a key file for its secrets")
        try:
            return path.read_bytes().strip()
        except FileNotFoundError:
            if not may_make:
                raise StoreError(
                    f"key file {path} is missing and this database has secrets made with it; put it back"
                ) from None
        except OSError as error:
            raise StoreError(f"key file {path} cannot be read: {error.strerror}") from error
        return _make_key(path)

    def seal(self, value: Any) -> bytes:
        """A JSON value, encrypted. `mark` was called before."""
        assert self._fernet is not None, "ask for the mark first: it reads the key"
        return self._fernet.encrypt(msgspec.json.encode(value))

    def unseal(self, token: bytes) -> Any:
        """The value.

        Raises:
            StoreError: it was encrypted with another key, or is damaged.
        """
        assert self._fernet is not None, "ask for the mark first: it reads the key"
        try:
            return msgspec.json.decode(self._fernet.decrypt(token))
        except InvalidToken:
            raise StoreError(
                f"a secret in the database does not open with key file {self._key_file}: another key, or damaged"
            ) from None


def _make_key(path: Path) -> bytes:
    """A new key in a new file; of two processes at once the first wins and both use its key."""
    key = Fernet.generate_key()
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            key = path.read_bytes().strip()
        finally:
            fresh.unlink()
    except OSError as error:
        raise StoreError(f"key file {path} cannot be made: {error.strerror}") from error
    return key
