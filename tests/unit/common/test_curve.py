"""Key pairs: whole, hidden, and only their owner's."""

from pathlib import Path

import pytest

from osbench.common.curve import (
    KeyPair,
    check_key,
    fingerprint,
    key_as_hex,
    key_of_hex,
    load_key_pair,
    make_key_pair,
    save_key_pair,
)
from osbench.common.error import InputError


def test_a_key_pair_comes_back_from_its_file_which_is_its_owners_alone(tmp_path: Path) -> None:
    pair = make_key_pair()
    save_key_pair(tmp_path / "key", pair)

    assert load_key_pair(tmp_path / "key") == pair
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert load_key_pair(tmp_path / "none") is None


def test_a_secret_key_is_not_shown() -> None:
    pair = make_key_pair()

    assert pair.secret not in repr(pair)
    assert pair.public in repr(pair)


def test_a_key_file_that_others_can_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    save_key_pair(tmp_path / "key", make_key_pair())
    (tmp_path / "key").chmod(0o640)

    with pytest.raises(InputError, match=r"can be read by others than its owner \(mode 640\): chmod 600 it"):
        load_key_pair(tmp_path / "key")


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"public_key": "a", "secret_key": 5}'])
def test_a_file_without_a_key_pair_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text(content)
    with pytest.raises(InputError, match="key"):
        load_key_pair(tmp_path / "key")


def test_two_keys_that_do_not_belong_together_are_refused_without_showing_the_secret(tmp_path: Path) -> None:
    one, other = make_key_pair(), make_key_pair()
    save_key_pair(tmp_path / "key", KeyPair(public=one.public, secret=other.secret))

    with pytest.raises(InputError, match="does not belong") as raised:
        load_key_pair(tmp_path / "key")
    assert other.secret not in str(raised.value)


@pytest.mark.parametrize("key", ["", "short", "é" * 40, '"' * 40, "0" * 41])
def test_what_is_no_key_is_refused_unseen(key: str) -> None:
    with pytest.raises(InputError, match="the secret key of x is no key") as raised:
        check_key(key, "the secret key of x")
    assert not key or key not in str(raised.value)


def test_a_key_goes_through_hex_and_back() -> None:
    key = make_key_pair().public

    assert key_of_hex(key_as_hex(key), "key") == key
    assert fingerprint(key).replace(":", "") == key_as_hex(key)[:16]
    for wrong in ("", "zz" * 32, "00" * 31, " " + "00" * 32):
        with pytest.raises(InputError, match="is no key"):
            key_of_hex(wrong, "key")
