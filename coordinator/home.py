"""Where OSBench keeps its things on this machine: database, key, last choices, agents' folders, locks, traces.

    <home>/                 0700     OSBENCH_HOME, --home, or the user's data folder (XDG)
      osbench.db            0600     the database, unless OSBENCH_DATABASE names another
      key                   0600     of the secrets in it
      state.json            0600     last deployment and task: the defaults of the command line
      deployments/<id>/     0700     what a deploy engine keeps of a deployment, e.g. of a simulated cloud's process
      agents/<name>/        0700     a local agent's own folder: config, spool
      locks/<task>          0600     held by the process that runs the task, so that a dead one is known
      traces/               0700     of unexpected errors

Rules: everything is made with its mode, never widened; files are replaced whole, so a reader sees the old or the new.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from osbench.common.error import InputError, NotFoundError, OsbenchError
from osbench.common.private_file import write_private

ENVIRONMENT_HOME = "OSBENCH_HOME"
ENVIRONMENT_DATABASE = "OSBENCH_DATABASE"


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """The last deployment and the last task, by id; empty for none."""

    deployment: str = ""
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folders and files of one user on one machine.

    Attributes:
        path: its root. database: path of a SQLite file, or a URL.
    """

    path: Path
    database: str

    @property
    def key_file(self) -> Path:
        return self.path / "key"

    @property
    def state_file(self) -> Path:
        return self.path / "state.json"

    def deployment_folder(self, deployment: str) -> Path:
        """A deploy engine's own folder for a deployment; made if it is not there."""
        return _private_folder(self.path / "deployments" / _name(deployment))

    def agent_folder(self, agent: str) -> Path:
        """A local agent's own folder; made if it is not there."""
        return _private_folder(self.path / "agents" / _name(agent))

    @property
    def traces_folder(self) -> Path:
        """Where traces of unexpected errors are written; made if it is not there."""
        return _private_folder(self.path / "traces")

    def choices(self) -> Choices:
        """What was last chosen; nothing at first.

        Raises:
            OsbenchError: the state file is there and cannot be read.
        """
        try:
            return msgspec.json.decode(self.state_file.read_bytes(), type=Choices)
        except FileNotFoundError:
            return Choices()
        except (OSError, msgspec.MsgspecError) as error:
            raise OsbenchError(f"{self.state_file}: {error}; delete the file to begin without defaults") from error

    def choose(self, *, deployment: str | None = None, task: str | None = None) -> None:
        """Remember what is given as the last choice."""
        changes = {"deployment": deployment, "task": task}
        choices = msgspec.structs.replace(
            self.choices(), **{key: value for key, value in changes.items() if value is not None}
        )
        write_private(self.state_file, msgspec.json.encode(choices))

    @contextmanager
    def task_lock(self, task: str) -> Iterator[None]:
        """Be the process that runs a task; freed when the block ends, and by the system when the process dies.

        Raises:
            InputError: another process runs it.
        """
        path = _private_folder(self.path / "locks") / _name(task)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"task {task} is run by another process; watch it with `osbench task status`"
                ) from None
            yield
        finally:
            os.close(descriptor)

    def is_task_run(self, task: str) -> bool:
        """Whether a process of this machine runs the task now."""
        try:
            descriptor = os.open(self.path / "locks" / _name(task), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # A shared lock, so that two who ask at once do not take each other for the runner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def open_home(path: str | None, environment: Mapping[str, str]) -> Home:
    """The home to use, made if it is not there.

    Args:
        path: of the command line; None for that of the environment, or the user's data folder.

    Raises:
        InputError: it cannot be made, or belongs to somebody else.
    """
    chosen = path or environment.get(ENVIRONMENT_HOME) or _default_path()
    root = Path(chosen).expanduser().absolute()
    try:
        _private_folder(root)
        owner = root.stat().st_uid
    except OSError as error:
        raise InputError(f"home {root}: {error.strerror}; choose another with --home or {ENVIRONMENT_HOME}") from error
    if owner != os.geteuid():
        raise InputError(f"home {root} belongs to user {owner}, not to you; choose another with --home")
    return Home(path=root, database=environment.get(ENVIRONMENT_DATABASE) or str(root / "osbench.db"))


def _default_path() -> str:
    import platformdirs

    return str(platformdirs.user_data_path("osbench"))


def chosen_deployment(home: Home, named: str | None) -> str:
    """The deployment that was named, or the last one.

    Raises:
        InputError: neither.
    """
    chosen = named or home.choices().deployment
    if not chosen:
        raise InputError(
            "no deployment is in use; make one with `osbench deployment create NAME …` or name one with --deployment"
        )
    return chosen


def chosen_task(home: Home, named: str | None) -> str:
    """The task that was named, or the last one.

    Raises:
        NotFoundError: neither.
    """
    chosen = named or home.choices().task
    if not chosen:
        raise NotFoundError(
            "no task is in use: none was started yet, or the last one was deleted; name one of `osbench task list`, "
            "or start one with `osbench task start FILE`"
        )
    return chosen


def _private_folder(path: Path) -> Path:
    """The folder, made if it is not there, and the missing ones above it too: each for its owner only.

    `Path.mkdir` gives its mode to the last one alone.
    """
    if not path.is_dir():
        if not path.parent.is_dir():
            _private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def _name(identity: str) -> str:
    """An id or a name that is about to become a part of a path: it must be one part, and not a hidden one."""
    assert identity, "a name of a file cannot be empty"
    assert "/" not in identity, f"{identity!r} is more than one part of a path"
    assert not identity.startswith("."), f"{identity!r} would be hidden, or another folder"
    return identity
