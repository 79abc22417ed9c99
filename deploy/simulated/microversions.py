"""Which microversion a request asks for, as nova and cinder read it.

Rules: `OpenStack-API-Version: <service> <major>.<minor>` (several services may stand in it, separated by commas) or
Nova's legacy header; `latest` is the greatest. (API-WG guideline "Microversion Specification".)
"""

import re

from osbench.deploy.simulated.exchange import Refused, Request

_FORM = re.compile(r"^([1-9]\d*)\.([1-9]\d*|0)$")


def requested_minor(
    request: Request, *, service: str, legacy_header: str, major: int, default: int, least: int, maximum: int
) -> int:
    """The minor number asked for, `default` when none is.

    Args:
        service: the service type in the header, e.g. `compute`.
        legacy_header: a further header that carries the version alone; "" for none.

    Raises:
        Refused: 400 on a text that is no version, 406 on one out of range.
    """
    text = ""
    header = request.headers.get("openstack-api-version")
    if header:
        for part in header.split(","):
            words = part.split()
            if len(words) == 2 and words[0].lower() == service:
                text = words[1]
    if not text and legacy_header:
        text = request.headers.get(legacy_header, "")
    if not text:
        return default
    if text.lower() == "latest":
        return maximum
    found = _FORM.match(text)
    if not found:
        raise Refused(400, f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.")
    if int(found.group(1)) != major or not least <= int(found.group(2)) <= maximum:
        raise Refused(
            406,
            f"Version {text} is not supported by the API. Minimum is {major}.{least} and maximum is {major}.{maximum}.",
        )
    return int(found.group(2))


def refused_version(request: Request, service: str, status: int) -> str:
    """The version a 406 echoes in its headers: the one asked for; "" for any other answer."""
    if status != 406:
        return ""
    for part in request.headers.get("openstack-api-version", "").split(","):
        words = part.split()
        if len(words) == 2 and words[0].lower() == service and _FORM.match(words[1]):
            return words[1]
    return ""
