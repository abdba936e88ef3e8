"""The keys by which our servers know a user: verifiers, which show no password.

A user has one password, or one for each program, and for each password a key of each
SCRAM protocol, ``proto=scram-sha-256 role=server user=USER app=APP salt= iter=
!storedkey= !serverkey=``.  All of a user have one salt, since a server tells the salt
before it hears which password is meant; RFC 5802 section 5.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailfs.attr import Attr, Attrs, parse, reveal, value
from mailfs.errors import MailfsError
from mailfs.factotum.proto import scram
from mailfs.secret import Secret

MAIN = "main"  # the app of the password that is for no program in particular
LEAST = 8  # characters of a password
MOST = 255  # octets; what PLAIN may send, RFC 4616 section 2
SALT = 16  # octets


@dataclass(frozen=True, slots=True)
class Salt:
    """What a password is derived with: octets, and how many rounds."""

    octets: bytes
    rounds: int = scram.ITERATIONS


def salt_of(keys: Iterable[Attrs], user: str) -> Salt | None:
    """Find the salt that a user's keys have, by their public attributes."""
    for key in keys:
        salt, count = value(key, "salt"), value(key, "iter")
        if (
            value(key, "proto") in scram.HASHES
            and value(key, "role") == "server"
            and value(key, "user") == user
            and salt
            and count
        ):
            try:
                octets, rounds = bytes.fromhex(salt), int(count)
            except ValueError:
                continue
            if rounds >= scram.MIN_ITERATIONS:
                return Salt(octets, rounds)
    return None


def verifiers(user: str, app: str, password: Secret, salt: Salt) -> list[Secret]:
    """Make the key lines, ``key ...``, of a password; it takes some milliseconds.

    Raises MailfsError for a password that is too short, or that cannot be typed.
    """
    text = password.text()
    if len(text) < LEAST:
        raise MailfsError(f"password must be at least {LEAST} characters")
    if len(password.reveal()) > MOST:
        raise MailfsError(f"password must be at most {MOST} octets")
    return [_line(proto, user, app, text, salt) for proto in scram.HASHES]


def _line(proto: str, user: str, app: str, text: str, salt: Salt) -> Secret:
    made = scram.derive(
        scram.Scram(scram.HASHES[proto]), text, salt.octets, salt.rounds
    )
    attrs = (
        *_public(proto, user, app),
        Attr("salt", made.salt.hex()),
        Attr("iter", str(made.rounds)),
        Attr("!storedkey", made.stored.hex()),
        Attr("!serverkey", made.server.hex()),
    )
    return Secret(f"key {reveal(attrs)}")


def patterns(user: str, app: str | None) -> list[Attrs]:
    """Make the templates that match the keys of an app, or of all apps."""
    return [
        (*_public(proto, user, app), *parse("!storedkey?")) for proto in scram.HASHES
    ]


def _public(proto: str, user: str, app: str | None) -> tuple[Attr, ...]:
    named = () if app is None else (Attr("app", app),)
    return (Attr("proto", proto), Attr("role", "server"), Attr("user", user), *named)


def others(keys: Iterable[Attrs], user: str) -> list[str]:
    """List the protocols by which a user logs in with keys that are no verifiers."""
    return sorted(
        {
            value(key, "proto") or ""
            for key in keys
            if value(key, "role") == "server"
            and value(key, "user") == user
            and not any(a.name == "!storedkey" for a in key)
        }
    )


def invented(random: Callable[[int], bytes]) -> Secret:
    """Make up a password that is easy to type: 80 bits, in four groups."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"  # 32, none like another
    octets = random(16)
    text = "".join(letters[octet & 31] for octet in octets)
    return Secret("-".join(text[at : at + 4] for at in range(0, 16, 4)))
