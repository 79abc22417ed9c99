"""Logs of daemons and of their children: lines of text, or one JSON object a line; to stderr unless told otherwise.

Rules: time is UTC. One event is one line of text (an exception's trace follows it), or one object; a line break that came
with somebody else's words is written as an escape, so that nobody forges a line. Nothing that is logged is a secret, and
so other people's libraries speak from WARNING on: some of them write whole requests at DEBUG. Children are told the form
by the environment: `configure_logging` puts it there and `configure_child_logging` reads it.

    2026-11-23T21:04:05.678Z INFO osbench.agent.supervisor [4711]: connected to the coordinator
    {"time":"2026-11-23T21:04:05.678901Z","level":"INFO","logger":"osbench.agent.supervisor","process":4711,"message":"…"}
"""

import json
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TextIO

from osbench.common.error import InputError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("text", "json")
#: By these a child knows how its parent logs.
ENVIRONMENT_LEVEL = "OSBENCH_LOG"
ENVIRONMENT_FORMAT = "OSBENCH_LOG_FORMAT"

#: Everything that ends a line or moves a terminal's cursor.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")


class TextLines(logging.Formatter):
    """One line for each event; an exception's trace follows on lines of its own."""

    def __init__(self, part: str = "") -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        part = f"{self._part} " if self._part else ""
        time = _time(record, "milliseconds")
        line = f"{time} {record.levelname} {record.name} [{part}{record.process}]: {_one_line(record.getMessage())}"
        trace = _trace(record)
        return f"{line}\n{trace}" if trace else line


class JsonLines(logging.Formatter):
    """One JSON object for each event, ASCII only: time, level, logger, process, message, and exception if there is one."""

    def __init__(self, part: str = "") -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        entry: dict[str, str | int | None] = {
            "time": _time(record, "microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
        }
        if self._part:
            entry["part"] = self._part
        entry["message"] = record.getMessage()
        if trace := _trace(record):
            entry["exception"] = trace
        return json.dumps(entry, separators=(",", ":"))


def configure_logging(
    level: str = "INFO",
    *,
    as_json: bool = False,
    stream: TextIO | None = None,
    part: str = "",
    environment: MutableMapping[str, str] = os.environ,
) -> None:
    """Have this process log, and its children alike: whatever was configured before is replaced.

    Args:
        level: one of LEVELS, in any case; of our own loggers. Libraries speak from WARNING on.
        as_json: one JSON object a line.
        stream: where to; None for stderr.
        part: what this process is of a whole, e.g. "ingest"; in each line.
        environment: of the children to come.

    Raises:
        InputError: there is no such level.
    """
    name = level.upper()
    if name not in LEVELS:
        raise InputError(f"log level {level!r} is not one of {', '.join(LEVELS)}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(part) if as_json else TextLines(part))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.ERROR if name == "ERROR" else logging.WARNING)
    # A module that is run with -m is called __main__.
    for ours in ("osbench", "__main__"):
        logging.getLogger(ours).setLevel(name)
    environment[ENVIRONMENT_LEVEL] = name
    environment[ENVIRONMENT_FORMAT] = "json" if as_json else "text"


def configure_child_logging(part: str, environment: Mapping[str, str] = os.environ) -> None:
    """Have a child process log as its parent does; what the environment does not say well is INFO and text.

    Args:
        part: what the child is, e.g. "worker"; in each line.
    """
    level = environment.get(ENVIRONMENT_LEVEL, "INFO").upper()
    configure_logging(
        level if level in LEVELS else "INFO",
        as_json=environment.get(ENVIRONMENT_FORMAT) == "json",
        part=part,
        environment=dict(environment),
    )


def _time(record: logging.LogRecord, precision: str) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _trace(record: logging.LogRecord) -> str:
    """The exception and the stack of a record, if it has any."""
    parts = []
    if record.exc_info:
        parts.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)
