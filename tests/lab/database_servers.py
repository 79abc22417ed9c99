"""PostgreSQL and MariaDB servers of the tests' own: in a folder, on a Unix socket, as a user without rights.

Rules: nothing is left behind, also not by `kill -9` of the tests: the kernel ends a server with the thread that started
it (setpriv --pdeathsig). Start servers in the main thread only. fsync stays on, as where it counts.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

_START_S = 60.0
_STOP_S = 20.0
_POSTGRESQL_FOLDERS = "/usr/lib/postgresql/*/bin"
#: Who owns the server's files, where the tests are root: a server refuses to run as root.
_USERS = {"postgresql": "postgres", "mariadb": "mysql"}


class NoServer(Exception):
    """This machine has not what a server needs; the text says what."""


class Server:
    """A server that runs.

    Attributes:
        kind: `postgresql` or `mariadb`.
    """

    def __init__(self, kind: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.kind = kind
        self._folder = folder
        self.process = process
        self._databases = 0

    def url(self, database: str) -> str:
        """A URL of a database there, without a driver."""
        if self.kind == "postgresql":
            return f"postgresql://tester@/{database}?host={self._folder}"
        return f"mariadb://root@localhost/{database}?unix_socket={self._folder}/sock"

    def execute(self, statement: str, database: str | None = None) -> None:
        """One statement of the server's owner, outside a transaction."""
        administered = database or ("postgres" if self.kind == "postgresql" else "mysql")
        driver = "psycopg" if self.kind == "postgresql" else "pymysql"
        engine = create_engine(self.url(administered).replace("://", f"+{driver}://"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"store_{self._databases}"
        # As an unaware operator makes it: MariaDB's default is Latin 1, or compares without case.
        self.execute(f"CREATE DATABASE {name}" + ("" if self.kind == "postgresql" else " CHARACTER SET latin1"))
        return self.url(name)


@contextmanager
def running(kind: str) -> Iterator[Server]:
    """A fresh server, ended and removed with the block.

    Raises:
        NoServer: it is not installed, or there is no user to run it.
    """
    start = _start_postgresql if kind == "postgresql" else _start_mariadb
    # Not below pytest's folder: that is for its owner alone, and a socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="osbench-db-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        process = start(folder)
        server = Server(kind, folder, process)
        _wait(server, folder)
        yield server
    finally:
        if process is not None:
            # At once, for the data is thrown away: PostgreSQL ends its children by that, MariaDB is one process.
            process.send_signal(signal.SIGQUIT if kind == "postgresql" else signal.SIGKILL)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder)


def _start_postgresql(folder: Path) -> subprocess.Popen[bytes]:
    found = sorted(Path("/").glob(_POSTGRESQL_FOLDERS.lstrip("/")))
    binaries = found[-1] if found else None
    if binaries is None or not (binaries / "initdb").exists():
        raise NoServer(f"PostgreSQL's server is not installed ({_POSTGRESQL_FOLDERS}); apt-get install postgresql")
    data = str(folder / "data")
    _run(
        _as("postgresql", folder),
        [str(binaries / "initdb"), "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
    )
    settings = ("listen_addresses=", f"unix_socket_directories={folder}", "fsync=on", "shared_buffers=32MB")
    command = [str(binaries / "postgres"), "-D", data, *(word for line in settings for word in ("-c", line))]
    return _serve(_as("postgresql", folder), command, folder)


def _start_mariadb(folder: Path) -> subprocess.Popen[bytes]:
    server, install = shutil.which("mariadbd", path="/usr/sbin:/usr/bin"), shutil.which("mariadb-install-db")
    if server is None or install is None:
        raise NoServer("MariaDB's server is not installed (mariadbd); apt-get install mariadb-server")
    data = f"--datadir={folder}/data"
    # Whoever reaches the socket is in: its folder is this user's alone.
    _run(
        _as("mariadb", folder),
        [install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"],
    )
    command = [
        *(server, "--no-defaults", data, f"--socket={folder}/sock", "--skip-networking", f"--pid-file={folder}/pid"),
        *("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=32M"),
    ]
    return _serve(_as("mariadb", folder), command, folder)


def _as(kind: str, folder: Path) -> list[str]:
    """What makes a command run without root's rights and die with its parent; the folder becomes that user's."""
    if shutil.which("setpriv") is None:
        raise NoServer("setpriv of util-linux is not installed")
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "KILL"]
    try:
        user = pwd.getpwnam(_USERS[kind])
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    rights = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    # The signal of the parent's death is forgotten where the user changes: it is set last.
    return ["setpriv", *rights, "setpriv", "--pdeathsig", "KILL"]


def _run(prefix: Sequence[str], command: Sequence[str]) -> None:
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=_START_S, check=False, cwd="/")
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stdout[-500:]} {done.stderr[-500:]}")


def _serve(prefix: Sequence[str], command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")


def _wait(server: Server, folder: Path) -> None:
    until = time.monotonic() + _START_S
    socket = folder / (".s.PGSQL.5432" if server.kind == "postgresql" else "sock")
    while True:
        try:
            # Tried only where somebody listens: PyMySQL does not close a socket that could not connect.
            if socket.exists():
                server.execute("SELECT 1")
                return
            raise FileNotFoundError(socket)
        except (OperationalError, FileNotFoundError):
            if server.process.poll() is not None or time.monotonic() > until:
                raise OSError((folder / "log").read_text(errors="replace")[-1_000:]) from None
            time.sleep(0.1)
