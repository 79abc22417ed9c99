"""libcurl's error codes in the port's words."""

import pycurl
import pytest

from osbench.common.cloud.contract import Failure
from osbench.common.cloud.curl import classify


@pytest.mark.parametrize(
    ("code", "is_sent", "is_answered", "expected"),
    [
        (pycurl.E_COULDNT_RESOLVE_HOST, False, False, Failure.NAME),
        (pycurl.E_COULDNT_CONNECT, False, False, Failure.REFUSED),
        (pycurl.E_OPERATION_TIMEDOUT, False, False, Failure.CONNECT_TIMEOUT),
        (pycurl.E_OPERATION_TIMEDOUT, True, False, Failure.TIMEOUT),
        (pycurl.E_OPERATION_TIMEDOUT, True, True, Failure.TIMEOUT),
        (pycurl.E_PEER_FAILED_VERIFICATION, False, False, Failure.TLS),
        (pycurl.E_SSL_CONNECT_ERROR, False, False, Failure.TLS),
        (pycurl.E_GOT_NOTHING, True, False, Failure.RESET),
        (pycurl.E_SEND_ERROR, True, False, Failure.RESET),
        (pycurl.E_RECV_ERROR, True, False, Failure.RESET),
        (pycurl.E_RECV_ERROR, True, True, Failure.CUT),
        (pycurl.E_PARTIAL_FILE, True, True, Failure.CUT),
        (pycurl.E_ABORTED_BY_CALLBACK, True, False, Failure.RESET),
        (pycurl.E_FILESIZE_EXCEEDED, True, True, Failure.OVERSIZED),
        (pycurl.E_URL_MALFORMAT, False, False, Failure.PROTOCOL),
        (pycurl.E_OUT_OF_MEMORY, True, False, Failure.OTHER),
    ],
)
def test_every_code_has_its_meaning(code: int, is_sent: bool, is_answered: bool, expected: Failure) -> None:
    assert classify(code, is_sent=is_sent, is_answered=is_answered) is expected
