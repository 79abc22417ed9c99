"""The HTML report in a real browser: it draws, asks nobody for anything, and runs nothing of a cloud's.

Needs Debian's `chromium`; without it these tests are skipped and say so.
"""

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from osbench.coordinator.report.html import task_html
from osbench.coordinator.report.json import read_json
from osbench.coordinator.result import ErrorLine, TaskResult

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SAMPLE = Path(__file__).parents[1] / "unit/coordinator/report/golden/result-1.json"
#: What the browser asks for by itself, whatever the page: the time, its updates, its sign-in.
BROWSERS_OWN = (b"//clients2.google.com/", b"update.googleapis.com", b" accounts.google.com:")
OWNED = "document.documentElement.dataset.owned='yes'"
EVIL = f'</script><script>{OWNED}</script><img src="x" onerror="{OWNED}"><svg onload="{OWNED}">'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that answers nobody and remembers what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(2)
                    try:
                        asked.append(connection.recv(4096))
                    except TimeoutError:
                        asked.append(b"(nothing)")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            done.set()
            thread.join()


def rendered(page: str, tmp_path: Path, width: int = 1280) -> tuple[str, str, list[bytes]]:
    """The page after its script has run: DOM, the browser's log, and requests that left the page."""
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    assert CHROMIUM is not None
    with listening() as (port, asked):
        command = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-domain-reliability",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--proxy-server=127.0.0.1:{port}",
            "--proxy-bypass-list=<-loopback>",
            f"--window-size={width},2000",
            "--virtual-time-budget=5000",
            "--dump-dom",
            path.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr, [line for line in asked if not any(own in line[:100] for own in BROWSERS_OWN)]


def console(log: str) -> list[str]:
    """What the page, or the browser about the page, wrote to the console."""
    return [line for line in log.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def sample() -> TaskResult:
    return read_json(SAMPLE.read_bytes())


@pytest.mark.parametrize("width", [1280, 500])
def test_the_page_draws_all_its_charts_without_a_word_on_the_console(
    sample: TaskResult, tmp_path: Path, width: int
) -> None:
    dom, log, asked = rendered(task_html(sample), tmp_path, width)

    assert console(log) == []
    assert 'data-drawn="yes"' in dom
    assert len(re.findall(r'class="s k\w+', dom)) >= 14
    assert "NaN" not in dom
    assert asked == []


def test_what_a_cloud_says_does_not_run(sample: TaskResult, tmp_path: Path) -> None:
    error = ErrorLine(source="call", kind=EVIL, message=EVIL, count=1, first_second=0, last_second=0, iteration=0)
    run = sample.runs[0]
    latency = msgspec.structs.replace(run.latencies[-1], name=EVIL)
    evil = msgspec.structs.replace(run, scenario=EVIL, errors=(error,), latencies=(latency,))
    dom, log, asked = rendered(task_html(msgspec.structs.replace(sample, title=EVIL, runs=(evil,))), tmp_path)

    assert "data-owned" not in dom.split("<body", 1)[0]
    assert 'data-drawn="yes"' in dom
    assert console(log) == []
    assert asked == []


def test_the_policy_stops_what_escaping_would_have_missed(sample: TaskResult, tmp_path: Path) -> None:
    """The second line of defence is tried by putting a script and an image into the finished page."""
    page = task_html(sample).replace("<main>", f'<main><script>{OWNED}</script><img src="http://192.0.2.1/x.png">', 1)
    dom, log, asked = rendered(page, tmp_path)

    assert "data-owned" not in dom.split("<body", 1)[0]
    assert len([line for line in console(log) if "Content Security Policy" in line]) >= 2
    assert asked == []
