"""The line of an invitation: what is printed is read, and what is wrong is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbench.common.error import InputError
from osbench.common.invitation import Invitation, make_secret, parse_invitation, secret_digest

KEY = "0" * 40
SECRET = bytes(range(32))
HEX = "00" * 32
LINE = f"osbench-invite:1:load-1:192.0.2.7:7763:{HEX}:{SECRET.hex()}"
INVITATION = Invitation(name="load-1", host="192.0.2.7", port=7763, server_key=KEY, secret=SECRET)


def test_the_line_has_the_seven_parts() -> None:
    assert INVITATION.line() == LINE
    assert parse_invitation(f"  {LINE}\n") == INVITATION


@pytest.mark.parametrize("host", ["2001:db8::7", "fe80::1%eth0", "coordinator.example.org", "::1"])
def test_any_host_comes_back(host: str) -> None:
    invitation = Invitation(name="a", host=host, port=1, server_key=KEY, secret=make_secret())

    assert parse_invitation(invitation.line()) == invitation


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "no invitation was given; paste the whole line"),
        ("hello", "begins with osbench-invite:"),
        (LINE.replace(":1:", ":2:", 1), "of version '2', this release reads version 1"),
        (LINE.rpartition(":")[0], "seven parts"),
        (LINE + ":", "seven parts"),
        (LINE.replace("load-1", ""), "agent name '' must be"),
        (LINE.replace("load-1", "../x"), "agent name '../x' must be"),
        (LINE.replace("192.0.2.7", ""), "host '' is no host name"),
        (LINE.replace("192.0.2.7", "2001:db8::7"), "seven parts"),
        (LINE.replace("192.0.2.7", "a b"), "host 'a b' is no host"),
        (LINE.replace("7763", "0"), "port '0' must be 1 to 65535"),
        (LINE.replace("7763", "65536"), "port '65536'"),
        (LINE.replace("7763", "x"), "port 'x'"),
        (LINE.replace(HEX, HEX[:-1]), "server key .* is no key"),
        (LINE[:-1], "secret has 63 characters, not 64 hex digits"),
        (LINE[:-1] + "x", "secret has 64 characters"),
        (LINE * 9, "characters are no invitation"),
    ],
)
def test_a_line_that_is_wrong_is_told_where_and_without_its_secret(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        parse_invitation(line)
    assert SECRET.hex()[:32] not in str(raised.value)


@given(st.text(max_size=300) | st.text(max_size=60).map(lambda text: f"osbench-invite:1:{text}"))
def test_any_text_is_an_invitation_or_an_input_error(text: str) -> None:
    try:
        parse_invitation(text)
    except InputError:
        pass


def test_a_digest_does_not_tell_the_secret_and_tells_two_apart() -> None:
    assert SECRET.hex() not in secret_digest(SECRET)
    assert secret_digest(SECRET) != secret_digest(make_secret())
    assert SECRET.hex() not in repr(INVITATION)
    assert str(SECRET) not in repr(INVITATION)
