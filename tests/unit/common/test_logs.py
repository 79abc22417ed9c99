"""What daemons and their children log, line by line."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from osbench.common.error import InputError
from osbench.common.logs import configure_child_logging, configure_logging


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """The test runner's own handlers come back."""
    loggers = [logging.getLogger(name) for name in ("", "osbench", "__main__")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def test_a_line_of_text_says_when_how_bad_who_and_what() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream, environment={})

    record = logging.getLogger("osbench.part").makeRecord(
        "osbench.part", logging.WARNING, "file", 1, "spool %s is full", ("a",), None
    )
    record.created, record.process = 1_700_000_000.25, 77
    logging.getLogger("osbench.part").handle(record)

    assert stream.getvalue() == "2023-11-14T22:13:20.250Z WARNING osbench.part [77]: spool a is full\n"


def test_a_json_line_is_one_object_even_with_a_trace() -> None:
    """Whoever collects logs parses line by line; a trace on lines of its own would be lost."""
    stream = io.StringIO()
    configure_logging("INFO", as_json=True, stream=stream, part="ingest", environment={})

    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("osbench.part").exception("it \u2028broke: %s", "ä")

    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["exception"].endswith("ValueError: two\nlines")
    assert (entry["level"], entry["logger"], entry["part"]) == ("ERROR", "osbench.part", "ingest")
    assert entry["message"] == "it \u2028broke: ä"
    assert entry["time"].endswith("Z")


def test_nobody_forges_a_line_by_a_line_break_in_what_he_says() -> None:
    """What a peer says as its reason is logged; it must not be able to write lines of its own."""
    stream = io.StringIO()
    configure_logging("INFO", stream=stream, environment={})

    logging.getLogger("osbench.part").info("refused: %s", "no\n2026-11-23T00:00:00Z INFO osbench: all is fine\x1b[2J")

    (line,) = stream.getvalue().splitlines()
    assert line.endswith(r"refused: no\n2026-11-23T00:00:00Z INFO osbench: all is fine\x1b[2J")


def test_libraries_are_heard_from_warning_on_whatever_the_level() -> None:
    """Some write whole requests, tokens and all, at DEBUG."""
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream, environment={})

    logging.getLogger("keystoneauth.session").debug("REQ: curl -H X-Auth-Token: secret")
    logging.getLogger("osbench.agent").debug("ours")

    assert "secret" not in stream.getvalue()
    assert "ours" in stream.getvalue()


def test_a_child_logs_as_its_parent_does(capsys: pytest.CaptureFixture[str]) -> None:
    environment: dict[str, str] = {}
    configure_logging("ERROR", as_json=True, stream=io.StringIO(), environment=environment)
    assert environment == {"OSBENCH_LOG": "ERROR", "OSBENCH_LOG_FORMAT": "json"}

    configure_child_logging("worker", environment)
    logging.getLogger("osbench.agent").warning("not heard")
    logging.getLogger("osbench.agent").error("heard")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["part"] == "worker"
    assert json.loads(line)["message"] == "heard"


def test_a_child_without_a_word_in_its_environment_logs_text_at_info(capsys: pytest.CaptureFixture[str]) -> None:
    configure_child_logging("worker", {"OSBENCH_LOG": "LOUD"})
    logging.getLogger("osbench.agent").info("heard")

    assert capsys.readouterr().err.endswith("]: heard\n")


def test_a_level_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="log level 'LOUD' is not one of DEBUG, INFO, WARNING, ERROR"):
        configure_logging("LOUD", environment={})
