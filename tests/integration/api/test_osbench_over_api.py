"""`osbench` over a served API: the same words and exit codes as without one, and what only a coordinator can do."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import Result

from osbench.common.clock import SystemClock
from osbench.coordinator.agent_line import AgentLine, Standing
from osbench.coordinator.api.access import ApiAccess, remove_access, write_access
from osbench.coordinator.api.rehearsal import RehearsedDesk
from osbench.coordinator.api.server import serve_api
from osbench.coordinator.cli.rehearsal import RehearsedEngine, RehearsedRunner, Shell
from osbench.coordinator.home import Home, open_home
from osbench.coordinator.progress import Phase, ProgressUpdate, TaskOutcome
from osbench.coordinator.store.contract import Store
from osbench.coordinator.store.sql import open_store
from osbench.coordinator.task_state import TaskStatus

TOKEN = "a-token-of-the-tests"
TASK = "version: 2\ntitle: A task\nsubtasks:\n- {title: s, scenario: {Dummy.dummy: {sleep: {{ sleep or 1 }}}}}\n"
WAIT_S = 30


@dataclass
class ScriptedDesk(RehearsedDesk):
    """Plays a coordinator: what is told of a task ends with what the user asked for.

    Attributes:
        asked: the ends asked for. is_long: a task runs until it is asked twice to end.
    """

    asked: list[bool] = field(default_factory=list)
    is_long: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)

    async def end(self, task: str, *, soft: bool) -> str:
        self.asked.append(soft)
        if not soft:
            self.stopped.set()
        return f"Task {task} is asked to end; it cleans up first."

    async def updates(self, task: str) -> AsyncIterator[ProgressUpdate | TaskOutcome]:
        yield ProgressUpdate(task=task, workload=1, workloads=1, scenario="Dummy.dummy", phase=Phase.RUNNING, planned=9)
        while self.is_long and not self.stopped.is_set():
            await asyncio.sleep(0.02)
        if task in self.queue:
            self.queue.remove(task)
            is_fresh = (await asyncio.to_thread(self.store.task_get, task)).status is TaskStatus.INIT
            for status in (TaskStatus.VALIDATING, TaskStatus.VALIDATED, TaskStatus.RUNNING) if is_fresh else ():
                await asyncio.to_thread(self.store.task_update_status, task, status)
            ended = TaskStatus.ABORTED if self.stopped.is_set() else TaskStatus.FINISHED
            if ended is TaskStatus.ABORTED:
                await asyncio.to_thread(self.store.task_update_status, task, TaskStatus.ABORTING)
            await asyncio.to_thread(self.store.task_update_status, task, ended)
        yield TaskOutcome(task=task, is_aborted=self.stopped.is_set())


@dataclass
class Coordinator:
    """An API that is served in a thread of the test."""

    home: Home
    desk: ScriptedDesk
    token: str = TOKEN
    url: str = ""
    _ready: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._ready.wait(WAIT_S)

    async def _serve(self) -> None:
        engines = {"nowhere": RehearsedEngine(), "existing": RehearsedEngine()}
        store, home = self.desk.store, self.home
        async with serve_api(
            self.desk, store, home, host="127.0.0.1", port=0, token=self.token, engines=engines
        ) as self.url:
            self._ready.set()
            await self._ended.wait()

    def end(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(WAIT_S)
        self._loop.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    home = open_home(str(tmp_path / "coordinator"), {})
    with closing(open_store(home.database, clock=SystemClock(), key_file=home.key_file)) as opened:
        yield opened


@pytest.fixture
def coordinator(tmp_path: Path, store: Store) -> Iterator[Coordinator]:
    served = Coordinator(home=open_home(str(tmp_path / "coordinator"), {}), desk=ScriptedDesk(store=store))
    served.start()
    yield served
    served.end()


@pytest.fixture
def shell(tmp_path: Path, coordinator: Coordinator) -> Shell:
    """A shell of another home than the coordinator's, that knows where the API is."""
    made = Shell(home=tmp_path / "user", runner=RehearsedRunner())
    write_access(open_home(str(made.home), {}).path, ApiAccess(url=coordinator.url, token=TOKEN))
    return made


@pytest.fixture
def ready(shell: Shell) -> Shell:
    """With a deployment in use."""
    assert_fine(shell("deployment", "create", "d1", "--file", spec_file(shell.home.parent)))
    return shell


def spec_file(folder: Path) -> str:
    path = folder / "spec.yaml"
    path.write_text("type: ExistingCloud\nadmin: {password: swordfish}\n")
    return str(path)


@pytest.fixture
def task_file(tmp_path: Path) -> str:
    path = tmp_path / "task.yaml"
    path.write_text(TASK)
    return str(path)


def assert_fine(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def test_a_task_goes_the_whole_way_over_the_api(ready: Shell, task_file: str, tmp_path: Path, store: Store) -> None:
    started = assert_fine(ready("task", "start", task_file, "--tag", "nightly", "--task-args", "sleep=2"))
    (row,) = json.loads(ready("task", "list", "--json").output)
    task = row["uuid"]

    assert f"Task {task}: queued" in started.stderr
    assert "Dummy.dummy: running" in started.stderr
    assert "A task" in started.stdout
    assert (row["deployment"], row["status"], row["tags"]) == ("d1", "finished", "nightly")
    assert "sleep: 2" in store.task_get(task).source
    assert ready("task", "status").output == f"Task {task}: finished\n"
    assert json.loads(ready("task", "results").output)["task"]["task"] == task
    assert json.loads(ready("task", "detailed", "--json").output)["schema"] == "osbench.result"
    assert_fine(ready("task", "watch"))
    assert_fine(ready("task", "report", "--out", str(tmp_path / "r.html")))
    assert "A task" in (tmp_path / "r.html").read_text()
    assert ready("task", "sla-check").exit_code == 1
    assert_fine(ready("task", "delete"))
    assert "no task is in use" in ready("task", "status").stderr
    assert ready.runner.asked == []


def test_a_detached_task_is_only_put_into_the_queue(ready: Shell, task_file: str, coordinator: Coordinator) -> None:
    options = ("--agents", "3", "--min-agents", "2", "--label", "a", "--label", "b", "--abort-on-sla-failure")
    task = assert_fine(ready("task", "start", task_file, "--detach", *options)).stdout.strip()
    asked = coordinator.desk.options[task]

    assert coordinator.desk.queue == [task]
    assert (asked.agents, asked.min_agents, asked.labels, asked.abort_on_sla_failure) == (3, 2, ("a", "b"), True)
    assert ready("task", "status").output == f"Task {task}: init (waits: place 1 in the queue)\n"
    assert_fine(ready("task", "watch", task))


def test_a_task_that_crashed_at_the_coordinator_is_resumed_from_anywhere(
    ready: Shell, task_file: str, coordinator: Coordinator
) -> None:
    task = assert_fine(ready("task", "start", task_file, "--detach")).stdout.strip()
    assert f"task {task} is init; only one that crashed can be resumed" in ready("task", "resume").stderr
    coordinator.desk.queue.remove(task)
    coordinator.desk.store.task_update_status(task, TaskStatus.CRASHED, failure="no cloud")

    resumed = assert_fine(ready("task", "resume"))

    assert f"Task {task} goes on." in resumed.stderr


def test_options_of_agents_started_here_need_local(ready: Shell, task_file: str) -> None:
    refused = ready("task", "start", task_file, "--workers", "2")

    assert refused.exit_code == 1
    assert "--workers is for agents started here" in refused.stderr


@pytest.mark.parametrize("words", [("--local", "task", "start", "{}"), ("task", "start", "{}", "--local")])
def test_local_does_without_the_coordinator(ready: Shell, task_file: str, words: tuple[str, ...]) -> None:
    assert_fine(ready("--local", "deployment", "create", "d1", "--engine", "nowhere"))
    assert_fine(ready(*(word.format(task_file) for word in words), "--workers", "1"))

    assert ready.runner.asked == [{"agents": 1, "workers": 1, "abort_on_sla_failure": False}]
    assert json.loads(ready("task", "list", "--json").output) == []


def test_deployments_are_the_coordinators(ready: Shell, store: Store) -> None:
    shown = json.loads(assert_fine(ready("deployment", "show", "--json")).output)
    config = json.loads(assert_fine(ready("deployment", "config")).output)
    checked = ready("deployment", "check", "d1")

    assert (shown["name"], shown["username"], shown["auth_url"]) == ("d1", "admin", "http://127.0.0.1:1/v3")
    assert config["spec"]["admin"] == {"password": "***"}
    assert store.deployment_secrets(store.deployment_get("d1").id).spec["admin"] == {"password": "swordfish"}
    assert checked.exit_code == 1
    assert checked.stderr.startswith("Error: ")
    assert "d1" in ready("deployment", "list").output
    assert_fine(ready("deployment", "use", "d1"))
    assert_fine(ready("deployment", "destroy", "d1"))
    assert json.loads(ready("deployment", "list", "--json").output) == []
    assert "no deployment is in use" in ready("deployment", "show").stderr


def test_a_cloud_of_the_environment_is_read_where_the_user_is(shell: Shell, store: Store) -> None:
    shell.environment.update(
        {
            "OS_AUTH_URL": "http://192.0.2.1:5000/v3",
            "OS_USERNAME": "u",
            "OS_PASSWORD": "swordfish",
            "OS_PROJECT_NAME": "p",
        }
    )
    assert_fine(shell("deployment", "create", "e1", "--from-env"))

    assert store.deployment_secrets(store.deployment_get("e1").id).spec["cloud"]["admin"]["password"] == "swordfish"


def test_agents_are_listed_shown_and_drained(shell: Shell, coordinator: Coordinator) -> None:
    coordinator.desk.known["load-1"] = AgentLine(
        name="load-1",
        standing=Standing.CONNECTED,
        life=7,
        cores=4,
        heard_ago_s=0.4,
        offset_ns=12_345,
        offset_error_ns=150_000,
    )
    coordinator.desk.known["load-2"] = AgentLine(name="load-2", standing=Standing.NEVER_SEEN, is_drained=True)
    listed = assert_fine(shell("agent", "list")).output

    assert "0.4 s ago" in listed
    assert "never seen, drained" in listed
    assert "± 0.150 ms" in listed
    assert [row["name"] for row in json.loads(shell("agent", "list", "--json").output)] == ["load-1", "load-2"]
    assert "connected" in assert_fine(shell("agent", "show", "load-1")).output
    assert shell("agent", "drain", "load-1").output == "Agent load-1 gets no new work.\n"
    assert shell("agent", "drain", "load-1", "--undo").output == "Agent load-1 gets work again.\n"
    assert "no agent is called 'load-3'" in shell("agent", "show", "load-3").stderr


def test_watching_survives_a_coordinator_that_is_started_again_elsewhere(
    ready: Shell, task_file: str, coordinator: Coordinator, tmp_path: Path
) -> None:
    """It has another port and another token then, and the result is asked for with those."""
    coordinator.desk.is_long = True
    task = assert_fine(ready("task", "start", task_file, "--detach")).stdout.strip()
    process = start_here(ready, "task", "watch", task)
    again = Coordinator(home=coordinator.home, desk=coordinator.desk, token="another-token")
    try:
        read_until(process, "running")
        coordinator.end()
        again.start()
        write_access(ready.home, ApiAccess(url=again.url, token=again.token))
        coordinator.desk.is_long = False
        shown, said = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        again.end()

    assert process.returncode == 0, said
    assert "A task" in shown


def test_a_wrong_token_says_what_to_do(shell: Shell, coordinator: Coordinator) -> None:
    write_access(shell.home, ApiAccess(url=coordinator.url, token="another"))
    result = shell("task", "list")

    assert result.exit_code == 1
    assert f"refused the token of {shell.home / 'api.json'}" in result.stderr
    assert "another" not in result.stderr.replace("another one's", "")


def test_a_coordinator_that_does_not_answer_says_both_cures(tmp_path: Path) -> None:
    shell = Shell(home=tmp_path / "user", runner=RehearsedRunner())
    write_access(open_home(str(shell.home), {}).path, ApiAccess(url="http://127.0.0.1:9", token=TOKEN))
    result = shell("task", "list")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "`osbench-coordinator start`" in result.stderr
    assert "--local" in result.stderr
    assert shell("--local", "task", "list", "--json").output == "[]\n"


def test_the_environment_names_another_coordinator(shell: Shell, coordinator: Coordinator, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    remove_access(shell.home)
    shell.environment["OSBENCH_API"] = coordinator.url
    assert "OSBENCH_API_TOKEN_FILE is not" in shell("task", "list").stderr
    shell.environment["OSBENCH_API_TOKEN_FILE"] = str(token_file)

    assert_fine(shell("agent", "list"))


def test_what_is_no_coordinator_is_not_understood(tmp_path: Path) -> None:
    """A port that something else has taken since."""
    shell = Shell(home=tmp_path / "user", runner=RehearsedRunner())
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as other:
        try:
            assert other.stdout is not None
            port = other.stdout.readline().split(" port ")[1].split()[0]
            access = ApiAccess(url=f"http://127.0.0.1:{port}", token=TOKEN)
            write_access(open_home(str(shell.home), {}).path, access)
            result = shell("task", "list")
        finally:
            other.kill()

    assert result.exit_code == 1
    assert "something that is no coordinator answered" in result.stderr


PROGRAM = "from osbench.coordinator.cli.main import main; main()"


def start_here(shell: Shell, *words: str) -> "subprocess.Popen[str]":
    """A command line as a process, so that Ctrl-C can be pressed."""
    environment = {**os.environ, "OSBENCH_HOME": str(shell.home)}
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_until(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stderr is not None
    assert any(word in line for line in process.stderr), f"no {word!r}"


def test_ctrl_c_asks_softly_and_then_at_once(ready: Shell, task_file: str, coordinator: Coordinator) -> None:
    coordinator.desk.is_long = True
    process = start_here(ready, "task", "start", task_file)
    try:
        read_until(process, "running")
        process.send_signal(signal.SIGINT)
        read_until(process, "Again to stop now.")
        assert coordinator.desk.asked == [True]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()

    assert process.returncode == 4, said
    assert coordinator.desk.asked == [True, False]


def test_who_only_watches_just_leaves(ready: Shell, task_file: str, coordinator: Coordinator) -> None:
    coordinator.desk.is_long = True
    task = assert_fine(ready("task", "start", task_file, "--detach")).stdout.strip()
    process = start_here(ready, "task", "watch")
    try:
        read_until(process, "running")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        coordinator.desk.stopped.set()

    assert process.returncode == 1
    assert f"Task {task} goes on; look at it again with `osbench task watch {task}`" in said
    assert coordinator.desk.asked == []
