"""Which of the factotum's keys is meant for a server, a user and a protocol.

A key names its server by ``server=`` or, as upas/fs asked for, ``dom=``; it may name
services, and then is for those only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailfs.attr import Attr, Attrs, value

_SELECTS = ("server", "dom", "service", "user")  # attributes that tell keys apart


@dataclass(frozen=True, slots=True)
class LoginTarget:
    """Where to log in, and as whom.

    host      as keys name it
    services  the names a key may give the service, the preferred first
    user      None leaves it to the key
    """

    host: str
    services: tuple[str, ...]
    user: str | None = None


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """A protocol of the factotum and the attributes that select its key."""

    proto: str
    template: str  # without proto; quoted, ready for start


def usable(
    listed: Iterable[Attrs], target: LoginTarget, *, token: bool = False
) -> list[Attrs]:
    """List the keys meant for a target, those that name the service first.

    token includes keys of any service: a token is good for all of its servers.
    """
    named, others = [], []
    for key in listed:
        if not _place(key, target.host) or _other_side(key):
            continue
        if not _allows(key, "user", target.user):
            continue
        services = _values(key, "service")
        if not services or token:
            others.append(key)
        elif any(name in services for name in target.services):
            named.append(key)
    return named + others


def find(
    listed: Sequence[Attrs],
    target: LoginTarget,
    protos: Sequence[str],
    *,
    token: bool = False,
) -> KeyChoice | None:
    """Choose the key for a login; a protocol named earlier is preferred."""
    mine = usable(listed, target, token=token)
    for proto in protos:
        for key in mine:
            if value(key, "proto") == proto:
                return KeyChoice(proto, _template(key, target, service=not token))
    return None


def wanted(listed: Sequence[Attrs], target: LoginTarget) -> str:
    """Describe the key that is missing, as a template without proto.

    The service is named where a key of the host is for another one: without it that
    key would be taken.
    """
    attrs = [Attr("server", target.host)]
    if any(_place(key, target.host) and _values(key, "service") for key in listed):
        attrs.append(Attr("service", target.services[0]))
    if target.user:
        attrs.append(Attr("user", target.user))
    return " ".join(map(str, attrs))


def selecting(key: Attrs) -> Attrs:
    """Reduce a key's attributes to those that tell it from others."""
    return tuple(a for a in key if a.name in _SELECTS and a.value is not None)


def _template(key: Attrs, target: LoginTarget, *, service: bool) -> str:
    place = _place(key, target.host)
    attrs = [place] if place else []
    have = _values(key, "service")
    if service and have:
        attrs.append(Attr("service", next(s for s in target.services if s in have)))
    if target.user and _values(key, "user"):
        attrs.append(Attr("user", target.user))
    return " ".join(map(str, attrs))


def _place(key: Attrs, host: str) -> Attr | None:
    """Find the attribute by which a key names a host, in whatever case."""
    for name in ("server", "dom"):
        for have in _values(key, name):
            if have.lower() == host.lower():
                return Attr(name, have)
    return None


def _other_side(key: Attrs) -> bool:
    """Whether a key is kept for another role than a client's."""
    roles = _values(key, "role")
    return bool(roles) and "client" not in roles


def _allows(key: Attrs, name: str, want: str | None) -> bool:
    values = _values(key, name)
    return not want or not values or want in values


def _values(key: Attrs, name: str) -> list[str]:
    return [a.value for a in key if a.name == name and a.value is not None]
