"""An agent's life as its operator sees it: joined, started, looked at, ended, started again; and what is refused."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from control_node import ControlNode, LoadHost
from local_osbench import wait_for

from osbench.common.messages import Orders

pytestmark = pytest.mark.slow

MakeHost = Callable[[str], LoadHost]


def test_a_host_joins_starts_is_welcomed_ends_and_comes_back_under_a_new_life(
    control_node: ControlNode, load_host: MakeHost
) -> None:
    host = load_host("load-1")
    invitation = control_node.invite("load-1")

    joined = host.join(invitation, "--label", "ssd", "--workers", "1")
    assert (joined.returncode, joined.stderr) == (0, "")
    assert "agent load-1 has joined the coordinator at tcp://127.0.0.1:" in joined.stdout
    assert host.config.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in host.config.parent.iterdir()] == ["agent.json"]

    first = host.start("--log-format", "json", "--log-level", "DEBUG")
    told = host.wait_for_link("connected")
    answer = host.run("status")
    assert answer.returncode == 0
    assert f"agent      load-1, process {first.pid}" in answer.stdout
    wait_for("a report", lambda: control_node.has_report_of("load-1", told["life"]))
    hello = control_node.heard[0]
    assert (hello.labels, hello.workers) == (("ssd",), 1)

    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    gone = host.run("status")
    assert gone.returncode == 1
    assert re.search(rf"is not running; it was last seen \d+ s ago .* as process {first.pid};", gone.stderr)

    host.start()
    wait_for("another life", lambda: any(one.life > told["life"] for one in control_node.heard))
    _log_is_clean(host.log(0), host, invitation)


def _log_is_clean(log: str, host: LoadHost, invitation: str) -> None:
    """Every line is an object, and none holds a secret."""
    entries = [json.loads(line) for line in log.splitlines()]
    assert {"time", "level", "logger", "process", "message"} <= set(entries[0])
    assert any("welcomed by the coordinator" in entry["message"] for entry in entries)
    secrets = (json.loads(host.config.read_text())["secret_key"], invitation.rpartition(":")[2])
    told = log + "".join(path.read_text() for path in host.spool.iterdir() if path.is_file())
    assert [secret for secret in secrets if secret in told] == []


def test_an_agent_in_the_background_is_up_when_the_command_ends_and_is_the_only_one_on_its_spool(
    control_node: ControlNode, load_host: MakeHost
) -> None:
    host = load_host("load-1")
    host.join(control_node.invite("load-1"))

    started = host.run("start", "--daemonize", "--log-format", "json")
    assert started.returncode == 0, started.stderr
    pid = host.status()["pid"]
    assert f"agent load-1 runs as process {pid} and logs to {host.spool}/agent.log" in started.stdout
    assert os.getsid(pid) not in (os.getsid(0), pid)
    host.wait_for_link("connected")

    for option in ("--log-format=text", "--daemonize"):
        second = host.run("start", option)
        assert second.returncode == 1
        assert f"another agent, process {pid}, works on the spool {host.spool}" in second.stderr

    process = psutil.Process(pid)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    entries = [json.loads(line) for line in (host.spool / "agent.log").read_text().splitlines() if line[:1] == "{"]
    assert "batches stay in the spool" in entries[-1]["message"]


def test_an_invitation_is_good_once_and_a_join_whose_answer_was_lost_is_repeated(
    control_node: ControlNode, load_host: MakeHost, tmp_path: Path
) -> None:
    host, other = load_host("load-1"), load_host("other")
    invitation = control_node.invite("load-1")
    control_node.stop()

    lost = host.join(invitation, "--timeout", "1")
    assert lost.returncode == 1
    assert "nobody answered within 1 s" in lost.stderr
    (pending,) = host.config.parent.iterdir()
    assert pending.stat().st_mode & 0o777 == 0o600
    key = json.loads(pending.read_text())["public_key"]

    control_node.start()
    assert host.join(invitation).returncode == 0
    assert json.loads(host.config.read_text())["public_key"] == key

    stranger = other.join(invitation)
    assert stranger.returncode == 1
    assert "the coordinator refused: the invitation is not good" in stranger.stderr
    again = host.join(invitation)
    assert again.returncode == 1
    assert "--force replaces it" in again.stderr


def test_a_join_says_what_is_wrong(control_node: ControlNode, load_host: MakeHost) -> None:
    host = load_host("load-1")
    invitation = control_node.invite("load-1")
    *parts, _, secret = invitation.split(":")
    foreign = ":".join((*parts, "ab" * 32, secret))

    wrong_name = host.join(invitation, "--name", "load-2")
    wrong_key = host.join(foreign)
    expired = host.join(control_node.invite("load-1", minutes=0.0001))

    assert "the invitation is for agent 'load-1', not for 'load-2'" in wrong_name.stderr
    assert "is not the coordinator of this invitation, or its key has changed since" in wrong_key.stderr
    assert "the invitation is not good" in expired.stderr
    for answer in (wrong_name, wrong_key, expired):
        assert answer.returncode == 1
        assert "Traceback" not in answer.stderr
        assert secret not in answer.stdout + answer.stderr
    assert not host.config.exists()


def test_a_revoked_agent_says_so_and_comes_back_by_itself_when_it_has_joined_anew(
    control_node: ControlNode, load_host: MakeHost
) -> None:
    """libzmq never dials again after a refused key: the agent would have to be started again by hand."""
    host = load_host("load-1")
    host.join(control_node.invite("load-1"))
    control_node.stop()
    control_node.revoke("load-1")
    process = host.start()
    host.wait_for_link("unconnected")

    control_node.start()
    told = host.wait_for_link("refused")
    assert "does not know this agent's key: it was revoked or never joined" in told["control"]["reason"]
    assert "does not know this agent's key" in host.run("check").stdout
    assert process.poll() is None

    control_node.restore("load-1", json.loads(host.config.read_text())["public_key"])
    host.wait_for_link("connected")


def test_a_coordinator_that_refuses_is_asked_again_slowly_and_its_reason_is_shown(
    control_node: ControlNode, load_host: MakeHost
) -> None:
    host = load_host("load-1")
    host.join(control_node.invite("load-1"))
    control_node.refusal = "speaks another protocol"
    host.start()

    told = host.wait_for_link("refused")
    time.sleep(2.5)

    assert told["control"]["reason"] == "speaks another protocol"
    assert len(control_node.heard) <= 3
    assert host.log().count("the coordinator refuses this agent: speaks another protocol") == 1


def test_an_agent_comes_back_to_a_coordinator_that_was_started_again(
    control_node: ControlNode, load_host: MakeHost
) -> None:
    host = load_host("load-1")
    host.join(control_node.invite("load-1"))
    host.start()
    host.wait_for_link("connected")

    control_node.stop()
    host.wait_for_link("unconnected")
    before = len(control_node.heard)
    control_node.start()

    host.wait_for_link("connected")
    wait_for("another hello", lambda: len(control_node.heard) > before)


def test_a_run_that_only_the_spool_knows_is_named_and_deleted_and_nothing_outside_the_spool_ever_is(
    control_node: ControlNode, load_host: MakeHost
) -> None:
    """After a reboot marks are not trusted: what nobody names would stay on the disk for ever."""
    host = load_host("load-1")
    host.join(control_node.invite("load-1"))
    left = host.spool / "run-of-old"
    left.mkdir()
    (left / "1-0.marks").write_bytes(b"of another boot")
    host.start()
    wait_for("a hello", lambda: [hello.runs for hello in control_node.heard] and control_node.reports)

    assert control_node.heard[-1].runs == ("run-of-old",)
    for name in ("..", "../etc", str(host.config.parent)):
        control_node.send("load-1", Orders(run=name, revision=1, goal="forget"))
    control_node.send("load-1", Orders(run="run-of-old", revision=1, goal="forget"))

    wait_for("the folder to be gone", lambda: not left.exists())
    assert host.config.exists()
    assert host.log().count("is no name of a run") == 3


def test_a_healthy_host_passes_its_check_and_keys_that_others_can_read_are_refused(
    control_node: ControlNode, load_host: MakeHost
) -> None:
    host = load_host("load-1")
    host.join(control_node.invite("load-1"))

    findings = {one["what"]: one for one in json.loads(host.run("check", "--json").stdout)}
    assert [one["what"] for one in findings.values() if one["level"] == "fail"] == []
    assert findings["key"]["text"] == "the coordinator knows this agent's key"

    host.config.chmod(0o644)
    refused = host.run("start")
    assert refused.returncode == 1
    assert f"can be read by others (mode 644): chmod 600 {host.config}" in refused.stderr
