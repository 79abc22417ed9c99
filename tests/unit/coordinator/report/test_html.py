"""The HTML report: one well-formed file that escapes what came from the cloud and asks for nothing."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import msgspec
import pytest

from osbench.coordinator.report.html import task_html
from osbench.coordinator.result import CallLine, ErrorLine, EventLine, StatusCount, TaskResult

VOID = {"meta", "link", "input", "br"}
EVIL = '</script><script>alert(1)</script><img src=x onerror=alert(2)>" onclick="alert(3)\' {{ 7*7 }}\u2028'


class Page(HTMLParser):
    """Reads a page, checks that what is opened is closed, and keeps what matters here."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        kept = {"script": self.scripts, "style": self.styles}.get(self.open[-1] if self.open else "", self.texts)
        kept.append(data)


@pytest.fixture(scope="module")
def page(sample: TaskResult) -> Page:
    return Page(task_html(sample))


def test_every_tag_is_closed_in_order(page: Page) -> None:
    assert len(page.tags) > 100


def test_the_verdict_comes_before_any_number_of_the_run(page: Page) -> None:
    classes = [attributes.get("class") or "" for tag, attributes in page.tags if tag in ("section", "div")]
    verdict = next(at for at, name in enumerate(classes) if name.startswith("card verdict"))

    assert verdict < classes.index("tiles") < classes.index("chart")


def test_each_workload_has_its_section_and_its_link(page: Page) -> None:
    anchors = [attributes["id"] for tag, attributes in page.tags if tag == "article"]
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}

    assert anchors == ["run-0", "run-1"]
    assert links == {"#run-0", "#run-1"}


def test_the_page_asks_for_nothing_from_anywhere(page: Page) -> None:
    references = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data") and value and not value.startswith("#")
    ]

    assert references == ["data:,"]
    assert not re.search(r"url\(|@import", "".join(page.styles))


def test_the_policy_names_the_one_style_and_the_one_script(page: Page) -> None:
    policy = next(
        attributes["content"] or ""
        for _, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    script = page.scripts[1]
    digest = b64encode(sha256(script.encode()).digest()).decode()

    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_the_data_of_the_charts_is_json(page: Page) -> None:
    first, second = json.loads(page.scripts[0])

    assert sum(first["started"]) == 1200
    assert first["asked"][:3] == [20, 20, 20]
    assert second["asked"] is None


def test_what_a_cloud_says_is_shown_as_text_and_nothing_else(sample: TaskResult) -> None:
    """Error messages, routes and names may hold anything; in a page that others open, a tag of theirs would run."""
    run = sample.runs[0]
    error = ErrorLine(source="call", kind=EVIL, message=EVIL, count=1, first_second=0, last_second=0, iteration=0)
    status = StatusCount(status=500, count=1)
    call = CallLine(route=EVIL, is_renewal=False, count=1, errors=1, statuses=(status,), took=None, first_byte=None)
    latency = msgspec.structs.replace(run.latencies[-1], kind="call", name=EVIL)
    evil = msgspec.structs.replace(
        run,
        scenario=EVIL,
        description=EVIL,
        settings={EVIL: EVIL},
        errors=(error,),
        calls=(call,),
        latencies=(latency,),
        agents=tuple(msgspec.structs.replace(agent, agent=EVIL) for agent in run.agents),
        hosts=tuple(msgspec.structs.replace(host, agent=EVIL) for host in run.hosts),
        events=(EventLine(kind=EVIL, text=EVIL, at_ns=0, agent=EVIL, worker=0),),
        actions=tuple(msgspec.structs.replace(action, path=(EVIL,)) for action in run.actions),
    )
    text = task_html(
        msgspec.structs.replace(sample, title=EVIL, description=EVIL, failure=EVIL, tags=(EVIL,), runs=(evil,))
    )
    page = Page(text)

    assert [tag for tag, _ in page.tags if tag in ("script", "img")] == ["script", "script"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert json.loads(page.scripts[0])[0]["latencies"][0]["name"] == EVIL
    assert "\u2028" not in page.scripts[0]
    assert any(EVIL in part for part in page.texts)


def test_a_task_without_runs_has_a_page(sample: TaskResult) -> None:
    page = Page(task_html(msgspec.structs.replace(sample, runs=())))

    assert "Nothing was run." in page.texts


def test_secrets_of_the_workload_are_not_on_the_page(sample: TaskResult) -> None:
    assert "swordfish" not in task_html(sample)
