"""The transport of the load: libcurl by pycurl, easy handles pooled, driven by `CurlLoop`.

Rules: CAINFO is always set, since wheels carry the path of another distribution's bundle. No proxy is taken from the
environment. libcurl sends a request again by itself when a kept-alive connection turns out dead, POSTs too
(`Curl_retry_request` in its lib/transfer.c): PREREQFUNCTION, which it calls before each sending, lets the first pass and
aborts the second, so that the caller hears of a reset and decides. It also refuses a kept connection that the server has
ended meanwhile, whereupon the request, of which nothing was sent yet, starts over on another. Stamps are libcurl's own,
taken when it saw the byte, not when our coroutine got its turn.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pycurl

from osbench.common.clock import Clock
from osbench.common.cloud.contract import DETAIL_LIMIT_CHARS, Exchange, Failure, Request, TransportOptions
from osbench.common.cloud.curl_loop import CurlLoop, Transfer
from osbench.common.error import InputError

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine
)

#: Constants looked up once: an attribute of the module for each call of the load is measurable.
_RESPONSE_CODE = pycurl.RESPONSE_CODE
_NUM_CONNECTS = pycurl.NUM_CONNECTS
_REQUEST_SIZE = pycurl.REQUEST_SIZE
_SIZE_UPLOAD = pycurl.SIZE_UPLOAD_T
_QUEUE_TIME = pycurl.QUEUE_TIME_T
_LOOKUP_TIME = pycurl.NAMELOOKUP_TIME_T
_CONNECT_TIME = pycurl.CONNECT_TIME_T
_TLS_TIME = pycurl.APPCONNECT_TIME_T
_FIRST_BYTE_TIME = pycurl.STARTTRANSFER_TIME_T
_TOTAL_TIME = pycurl.TOTAL_TIME_T
_URL = pycurl.URL
_HTTPHEADER = pycurl.HTTPHEADER
_POSTFIELDS = pycurl.POSTFIELDS
_PASS = int(pycurl.PREREQFUNC_OK)
_ABORT = int(pycurl.PREREQFUNC_ABORT)

_TLS_CODES = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_SSL_ENGINE_NOTFOUND,
        pycurl.E_SSL_ENGINE_SETFAILED,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_USE_SSL_FAILED,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_SHUTDOWN_FAILED,
        pycurl.E_SSL_CRL_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
        pycurl.E_SSL_INVALIDCERTSTATUS,
        98,  # CURLE_SSL_CLIENTCERT, for which pycurl has no name
    }
)
_PLAIN_CODES = {
    pycurl.E_COULDNT_RESOLVE_HOST: Failure.NAME,
    pycurl.E_COULDNT_CONNECT: Failure.REFUSED,
    pycurl.E_PARTIAL_FILE: Failure.CUT,
    pycurl.E_FILESIZE_EXCEEDED: Failure.OVERSIZED,
    pycurl.E_URL_MALFORMAT: Failure.PROTOCOL,
    pycurl.E_UNSUPPORTED_PROTOCOL: Failure.PROTOCOL,
    pycurl.E_HTTP2: Failure.PROTOCOL,
    8: Failure.PROTOCOL,  # CURLE_WEIRD_SERVER_REPLY, likewise
    100: Failure.OVERSIZED,  # CURLE_TOO_LARGE, for which pycurl has no name
}
_BROKEN_CODES = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR})
_NO_HEADERS = ("Expect:",)
RESEND_DETAIL = "the kept-alive connection was closed by the server; not sent again"


def classify(code: int, *, is_sent: bool, is_answered: bool) -> Failure:
    """What a libcurl error code means here.

    Args:
        code: CURLcode, not 0.
        is_sent: whether request bytes reached the wire.
        is_answered: whether bytes of an answer came.
    """
    plain = _PLAIN_CODES.get(code)
    if plain is not None:
        return plain
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return Failure.TIMEOUT if is_sent else Failure.CONNECT_TIMEOUT
    if code in _BROKEN_CODES or code == pycurl.E_ABORTED_BY_CALLBACK:
        return Failure.CUT if is_answered else Failure.RESET
    if code in _TLS_CODES:
        return Failure.TLS
    return Failure.OTHER


def default_ca_file() -> str:
    """The bundle of public authorities: certifi's, as OpenStack's own clients take it, or else the system's."""
    try:
        import certifi
    except ImportError:
        for bundle in _SYSTEM_BUNDLES:
            if Path(bundle).is_file():
                return bundle
        raise InputError(
            f"no bundle of certificate authorities found (looked at {', '.join(_SYSTEM_BUNDLES)}): "
            "install ca-certificates or certifi, or name one with cacert"
        ) from None
    return certifi.where()


def checked_file(path: str, what: str) -> str:
    """`path` if it can be read, else an InputError that says what it is for."""
    try:
        with Path(path).open("rb"):
            return path
    except OSError as error:
        raise InputError(f"{what} {path!r} cannot be read ({error.strerror}): name an existing PEM file") from error


class _Easy(Transfer):
    """One reusable easy handle and what is set on it, so that only differences are set again."""

    __slots__ = (
        "body_limit",
        "chunks",
        "connect_ms",
        "head",
        "is_ended",
        "is_stale",
        "method",
        "sendings",
        "total_ms",
    )

    def __init__(self, options: TransportOptions, ca_file: str, is_ended: Callable[[int], bool]) -> None:
        super().__init__(pycurl.Curl())
        self.chunks: list[bytes] = []
        self.head: list[bytes] = []
        self.method = ""
        self.connect_ms = self.total_ms = self.body_limit = -1
        self.sendings = 0
        #: whether the connection libcurl chose was refused before anything was sent on it.
        self.is_stale = False
        self.is_ended = is_ended
        settings: dict[int, Any] = {
            pycurl.WRITEFUNCTION: self.chunks.append,
            pycurl.HEADERFUNCTION: self.head.append,
            pycurl.PREREQFUNCTION: self._before_sending,
            pycurl.NOSIGNAL: 1,
            pycurl.TCP_NODELAY: 1,
            pycurl.TCP_KEEPALIVE: 1,
            pycurl.FOLLOWLOCATION: 0,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.PROXY: "",
            pycurl.USERAGENT: "",
            pycurl.BUFFERSIZE: 65_536,
            pycurl.MAXAGE_CONN: options.idle_limit_s,
            pycurl.CAINFO: ca_file,
            pycurl.SSL_VERIFYPEER: 0 if options.is_insecure else 1,
            pycurl.SSL_VERIFYHOST: 0 if options.is_insecure else 2,
        }
        if options.client_cert_file:
            settings[pycurl.SSLCERT] = options.client_cert_file
        if options.client_key_file:
            settings[pycurl.SSLKEY] = options.client_key_file
        for option, value in settings.items():
            self.curl.setopt(option, value)

    def _before_sending(self, _remote_ip: str, _local_ip: str, _remote_port: int, local_port: int) -> int:
        if not self.sendings and self.is_ended(local_port):
            self.is_stale = True
            return _ABORT
        self.sendings += 1
        return _PASS if self.sendings == 1 else _ABORT

    def prepare(self, request: Request) -> None:
        """Set what differs from the request before."""
        setopt = self.curl.setopt
        setopt(_URL, request.url)
        headers: Sequence[str] = request.headers
        method, body = request.method, request.body
        if body is not None or method in ("POST", "PUT", "PATCH"):
            if method != self.method:
                setopt(pycurl.POST, 1)
                setopt(pycurl.CUSTOMREQUEST, method)
                self.method = method
            if body is None:
                # Else libcurl would call an empty body a form.
                headers = [*headers, "Content-Type:", "Expect:"]
            else:
                headers = [*headers, "Expect:"]
            setopt(_POSTFIELDS, body or b"")
            if method in ("GET", "HEAD", "DELETE"):
                self.method = ""  # with a body they were set up as a POST: set up anew next time
        elif method != self.method:
            self._set_bodiless(method)
        # pycurl takes an empty list for nothing to do and would leave the headers of the request before.
        setopt(_HTTPHEADER, headers or _NO_HEADERS)
        if request.connect_timeout_ms != self.connect_ms:
            self.connect_ms = request.connect_timeout_ms
            setopt(pycurl.CONNECTTIMEOUT_MS, self.connect_ms)
        if request.total_timeout_ms != self.total_ms:
            self.total_ms = request.total_timeout_ms
            setopt(pycurl.TIMEOUT_MS, self.total_ms)
        if request.body_limit_bytes != self.body_limit:
            self.body_limit = request.body_limit_bytes
            setopt(pycurl.MAXFILESIZE, self.body_limit)
        self.sendings = 0
        self.is_stale = False

    def _set_bodiless(self, method: str) -> None:
        if method == "HEAD":
            self.curl.setopt(pycurl.NOBODY, 1)
            self.curl.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            self.curl.setopt(pycurl.HTTPGET, 1)  # takes NOBODY back, too
            if method == "GET":
                self.curl.unsetopt(pycurl.CUSTOMREQUEST)
            else:
                self.curl.setopt(pycurl.CUSTOMREQUEST, method)
        self.method = method

    def result(self, request: Request, code: int, message: str) -> Exchange:
        """Read what became of the transfer, and be ready for the next."""
        info = self.curl.getinfo
        body = b"".join(self.chunks)
        head = b"".join(self.head)
        self.chunks.clear()
        self.head.clear()
        if b"\r\n\r\nHTTP/" in head:
            head = head[head.rindex(b"\r\n\r\nHTTP/") + 4 :]  # what came before are 1xx answers
        received_bytes = len(head) + len(body)
        sent_bytes = info(_REQUEST_SIZE)
        if request.body:
            sent_bytes += info(_SIZE_UPLOAD)
        failure, detail = None, ""
        if code:
            failure = classify(code, is_sent=sent_bytes > 0, is_answered=received_bytes > 0)
            detail = (RESEND_DETAIL if self.sendings > 1 else message)[:DETAIL_LIMIT_CHARS]
            body = b""
        elif b"\r\n\r\n" not in head and b"\n\n" not in head:
            # libcurl calls it a success when the connection ends within the headers.
            failure, detail, body = Failure.CUT, "the connection ended within the headers", b""
        is_new = info(_NUM_CONNECTS) > 0
        started_ns = self.started_ns
        # Positional, in the order of the fields: keywords cost a microsecond here.
        return Exchange(
            info(_RESPONSE_CODE),
            failure,
            detail,
            head,
            body,
            started_ns,
            started_ns + info(_TOTAL_TIME) * 1000,
            info(_QUEUE_TIME),
            info(_LOOKUP_TIME) if is_new else 0,
            info(_CONNECT_TIME) if is_new else 0,
            info(_TLS_TIME) if is_new else 0,
            info(_FIRST_BYTE_TIME),
            is_new,
            sent_bytes,
            received_bytes,
        )

    def drop(self) -> None:
        """Forget a transfer that was abandoned."""
        self.chunks.clear()
        self.head.clear()


class CurlTransport:
    """`Transport` on libcurl. Make it inside a running loop.

    Args:
        clock: gives the stamp of the start of each exchange.
        options: TLS and connection limits, the same for all exchanges.
    """

    def __init__(self, clock: Clock, options: TransportOptions | None = None) -> None:
        options = options or TransportOptions()
        self._options = options
        self._ca_file = checked_file(options.ca_file, "the CA file") if options.ca_file else default_ca_file()
        for path, what in (
            (options.client_cert_file, "the client certificate"),
            (options.client_key_file, "the client key"),
        ):
            if path:
                checked_file(path, what)
        self._loop = CurlLoop(clock)
        self._loop.multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_NOTHING)
        if options.connection_limit:
            self._loop.multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, options.connection_limit)
        self._cache_size = 64
        self._loop.multi.setopt(pycurl.M_MAXCONNECTS, self._cache_size)
        self._idle: list[_Easy] = []

    async def exchange(self, request: Request) -> Exchange:
        easy = self._idle.pop() if self._idle else _Easy(self._options, self._ca_file, self._loop.is_ended)
        easy.prepare(request)
        loop = self._loop
        if loop.in_flight >= self._cache_size:
            # Fewer cached connections than transfers in flight would close good ones all the time.
            self._cache_size *= 2
            loop.multi.setopt(pycurl.M_MAXCONNECTS, self._cache_size)
        try:
            while True:  # ends: each turn takes a dead connection out of libcurl's cache
                future = loop.start(easy)
                if future.done():
                    # A server on this machine may answer before we look away: the loop must have its turn all the same.
                    await asyncio.sleep(0)
                code, message = await future
                if not easy.is_stale:
                    break
                easy.is_stale = False
                easy.drop()
        except asyncio.CancelledError:
            loop.abandon(easy)
            easy.drop()
            if not loop.is_closed:
                self._idle.append(easy)
            raise
        result = easy.result(request, code, message)
        self._idle.append(easy)
        return result

    async def aclose(self) -> None:
        self._loop.close()
        while self._idle:
            self._idle.pop().curl.close()
