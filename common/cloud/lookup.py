"""Finds the image, flavor or network a task names: by id, by name, or by a regular expression, as Rally's converters do.

The order, Rally's: an id is asked for as it is. A name that is exactly one thing's is that thing. Else the name is taken
as a regular expression and searched for in all names. Several matches: the last by name for images, unless `accurate`; an
error for flavors and networks. Text alone is taken as an id first and then as a name.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from osbench.common.cloud.contract import CallFailed
from osbench.common.cloud.glance import Glance, Image
from osbench.common.cloud.neutron import Network, Neutron
from osbench.common.cloud.nova import Flavor, Nova
from osbench.common.error import CloudError, InputError
from osbench.common.nearest import nearest

#: How many names a message shows.
_SHOWN = 10
_ABSENT = frozenset({400, 403, 404})


class Named(Protocol):
    """Has an id and perhaps a name."""

    @property
    def id(self) -> str:
        """The id."""
        ...

    @property
    def name(self) -> str | None:
        """The name."""
        ...


Found = TypeVar("Found", bound=Named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a task names: exactly one of the first four is not empty."""

    text: str = ""
    id: str = ""
    name: str = ""
    regex: str = ""
    is_accurate: bool = False

    @classmethod
    def of(cls, value: str | Mapping[str, Any]) -> "Reference":
        """A reference as the task's arguments have it, checked already when the task was read.

        Raises:
            InputError: it is none.
        """
        if isinstance(value, str) and value:
            return cls(text=value)
        ways = (
            {key: value[key] for key in ("id", "name", "regex") if value.get(key)} if isinstance(value, Mapping) else {}
        )
        if len(ways) != 1:
            raise InputError(
                f"{value!r:.200} names nothing: write exactly one of {{id: …}}, {{name: …}} or {{regex: …}}"
            )
        return cls(is_accurate=bool(value.get("accurate", False)), **{key: str(text) for key, text in ways.items()})  # type: ignore[union-attr]

    def __str__(self) -> str:
        for key in ("id", "name", "regex"):
            if getattr(self, key):
                return f"with {key} {getattr(self, key)!r}"
        return repr(self.text)


def pick(what: str, reference: Reference, candidates: Sequence[Found], *, takes_last: bool = False) -> Found:
    """The one candidate that is meant.

    Args:
        what: `image`, `flavor`, `network`: for messages.
        reference: by text, name or regex.
        candidates: all there are.
        takes_last: of several matches of a regular expression take the last by name.

    Raises:
        CloudError: none, or several; says what was asked for and what there is.
        InputError: the regular expression is none.
    """
    wanted = reference.name or reference.text
    if wanted:
        exact = [candidate for candidate in candidates if candidate.name == wanted]
        if len(exact) == 1:
            return exact[0]
        if exact:
            ids = ", ".join(candidate.id for candidate in exact[:_SHOWN])
            raise CloudError(f"{len(exact)} {what}s have the name {wanted!r}: name one by id ({ids})")
    try:
        pattern = re.compile(reference.regex or wanted)
    except re.error as error:
        if wanted:
            raise _none(what, reference, candidates) from error
        raise InputError(f"{what} {reference}: not a regular expression: {error}") from error
    matches = [candidate for candidate in candidates if pattern.search(candidate.name or "")]
    if not matches:
        raise _none(what, reference, candidates)
    matches.sort(key=lambda candidate: (candidate.name or "", candidate.id))
    if len(matches) > 1 and (not takes_last or reference.is_accurate):
        names = ", ".join(repr(candidate.name) for candidate in matches[:_SHOWN])
        raise CloudError(f"{len(matches)} {what}s match {reference}: {names}; name one of them")
    return matches[-1]


def _none(what: str, reference: Reference, candidates: Sequence[Named]) -> CloudError:
    names = sorted({candidate.name for candidate in candidates if candidate.name})
    wanted = reference.name or reference.text or reference.regex
    near = nearest(wanted, names)
    shown = ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    meant = f"; did you mean {near!r}?" if near else ""
    return CloudError(f"the cloud has no {what} {reference}{meant} (it has: {shown or 'none at all'})")


async def _find(
    what: str,
    value: str | Mapping[str, Any],
    get: Callable[[str], Awaitable[Found]],
    list_all: Callable[[], Awaitable[list[Found]]],
    takes_last: bool = False,
) -> Found:
    reference = Reference.of(value)
    try:
        wanted_id = reference.id or reference.text
        if wanted_id:
            try:
                return await get(wanted_id)
            except CallFailed as failed:
                if failed.status not in _ABSENT:
                    raise
        candidates = await list_all()
    except CallFailed as failed:
        raise failed.as_cloud_error(f"looking up the {what} {reference}") from failed
    if reference.id:
        listed = ", ".join(f"{candidate.id} ({candidate.name})" for candidate in candidates[:_SHOWN])
        raise CloudError(f"the cloud has no {what} {reference} (it has: {listed or 'none at all'})")
    return pick(what, reference, candidates, takes_last=takes_last)


async def find_image(glance: Glance, value: str | Mapping[str, Any]) -> Image:
    """The image that is meant; of several that match, the last by name unless `accurate`.

    Args:
        glance: of the user the image must be visible to.
        value: text, or {id: …}, {name: …} or {regex: …}, with `list_kwargs` of Glance's own filters.

    Raises:
        CloudError: there is none, or the cloud did not say.
    """
    filters = dict(value.get("list_kwargs") or {}) if isinstance(value, Mapping) else {}
    return await _find("image", value, glance.get_image, lambda: glance.list_all_images(**filters), takes_last=True)


async def find_flavor(nova: Nova, value: str | Mapping[str, Any]) -> Flavor:
    """The flavor that is meant.

    Raises:
        CloudError: there is none, there are several, or the cloud did not say.
    """
    return await _find("flavor", value, nova.get_flavor, nova.list_all_flavors)


async def find_network(neutron: Neutron, value: str | Mapping[str, Any]) -> Network:
    """The network that is meant.

    Raises:
        CloudError: there is none, there are several, or the cloud did not say.
    """
    return await _find("network", value, neutron.get_network, neutron.list_networks)
