"""scram-sha-1 and scram-sha-256, with channel binding: RFC 5802, 7677, 5929, 9266.

The caller passes what TLS gave it in the start list: ``cb=tls-exporter cbdata=HEX``
to bind (the -PLUS mechanisms), ``cb=y`` if it could have bound but the server did not
offer it.  A server's key says role=server and holds the password, or better only
``salt= iter= !storedkey= !serverkey=``, salt and keys in hex.
"""

import hashlib
import hmac
import re
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.factotum.key import Key
from mailfs.factotum.proto.digest import accounts
from mailfs.factotum.step import (
    AuthInfo,
    BadKey,
    ConvStart,
    Env,
    Proto,
    ProtoError,
    Steps,
    find_any,
    recv,
    send,
    work,
)

PROMPT = "user? !password?"
PARAMS = frozenset({"authzid", "cb", "cbdata"})
NONCE = 18  # octets of randomness, 24 characters in base64
ITERATIONS = 10000  # of a server that derives from a password; RFC 7677 wants 4096
MIN_ITERATIONS = 4096  # a server that asks for fewer wants to guess; RFC 7677 section 4
MAX_ITERATIONS = 1_000_000  # about a second of work; more is an attack on us
MAX_SALT = 1024  # octets
HASHES = {"scram-sha-256": "sha256", "scram-sha-1": "sha1"}  # the better first
PREFERRED = "tls-exporter"  # RFC 9266, where TLS 1.3 made tls-unique undefined
BINDINGS = frozenset({PREFERRED, "tls-unique", "tls-server-end-point"})
_PRINTABLE = re.compile(rb"[\x21-\x2b\x2d-\x7e]+\Z")  # a nonce; RFC 5802 section 7


def saslprep(text: str) -> str:
    """Prepare a user name or password; RFC 4013.  Raises ProtoError."""
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c
        for c in text
        if not stringprep.in_table_b1(c)
    )
    ready = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if any(table(c) for c in ready for table in _PROHIBITED):
        raise ProtoError("prohibited character in user or password")
    rtl = [stringprep.in_table_d1(c) for c in ready]
    if any(rtl) and (
        any(map(stringprep.in_table_d2, ready)) or not (rtl[0] and rtl[-1])
    ):
        raise ProtoError("text directions mixed in user or password")
    return ready


_PROHIBITED: tuple[Callable[[str], bool], ...] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


@dataclass(frozen=True, slots=True)
class Scram:
    """The functions of one hash."""

    hash: str

    def hmac(self, key: bytes, text: bytes) -> bytes:
        """HMAC(key, text)."""
        return hmac.new(key, text, self.hash).digest()

    def h(self, text: bytes) -> bytes:
        """H(text)."""
        return hashlib.new(self.hash, text).digest()

    def keys(self, password: str, salt: bytes, rounds: int) -> tuple[bytes, bytes]:
        """Return ClientKey and ServerKey; RFC 5802 section 3."""
        raw = saslprep(password).encode()
        salted = hashlib.pbkdf2_hmac(self.hash, raw, salt, rounds)
        return self.hmac(salted, b"Client Key"), self.hmac(salted, b"Server Key")

    @property
    def size(self) -> int:
        """Octets of a digest."""
        return hashlib.new(self.hash).digest_size


def fields(message: bytes, names: str) -> list[bytes]:
    """Return the values of ``r=...,s=...``, in the order names says.

    Extensions may follow, but m=, one that must be understood, is an error, as is
    anything else; RFC 5802 section 5.1.
    """
    parts = message.split(b",")
    if len(parts) < len(names) or any(p[1:2] != b"=" for p in parts):
        raise ProtoError("malformed message")
    for name, part in zip(names, parts, strict=False):
        if part[:1] != name.encode():
            raise ProtoError("malformed message")
    if any(part[:1] == b"m" for part in parts[len(names) :]):
        raise ProtoError("extension not supported")
    return [part[2:] for part in parts[: len(names)]]


def unbase64(text: bytes, limit: int) -> bytes:
    """Decode strict base64 of at most limit octets.  Raises ProtoError."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raise ProtoError("malformed base64") from None
    if len(raw) > limit:
        raise ProtoError("message too long")
    return raw


def rounds(text: bytes, least: int) -> int:
    """Return the iteration count.  Raises ProtoError if it is out of bounds."""
    if not text.isdigit() or len(text) > 9:
        raise ProtoError("malformed iteration count")
    count = int(text)
    if not least <= count <= MAX_ITERATIONS:
        raise ProtoError(f"iteration count {count} refused")
    return count


def binding(start: ConvStart) -> tuple[bytes, bytes]:
    """Return the GS2 flag (``n``, ``y`` or ``p=type``) and the binding's octets."""
    kind = start.get("cb", "n")
    if kind in ("n", "y"):
        return kind.encode(), b""
    if kind not in BINDINGS:
        raise ProtoError(f"unknown channel binding {kind}")
    try:
        data = bytes.fromhex(start.get("cbdata"))
    except ValueError:
        raise ProtoError("bad hex in cbdata") from None
    if not data:
        raise ProtoError("no cbdata for channel binding")
    return f"p={kind}".encode(), data


def escape(name: str) -> bytes:
    """Return a name as a saslname: ``=2C`` for a comma, ``=3D`` for =."""
    ready = saslprep(name)
    return ready.replace("=", "=3D").replace(",", "=2C").encode()


def unescape(name: bytes) -> str:
    """Undo escape.  Raises ProtoError for any other =."""
    plain = name.replace(b"=2C", b"").replace(b"=3D", b"")
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise ProtoError("malformed user") from None
    if b"=" in plain or not text:
        raise ProtoError("malformed user")
    return text.replace("=2C", ",").replace("=3D", "=")


def nonce(start: ConvStart) -> bytes:
    """Return a fresh printable nonce."""
    return b64encode(start.env.random(NONCE))


def xor(a: bytes, b: bytes) -> bytes:
    """Return a xor b, which are of one length."""
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _client(scram: Scram, proto: str) -> Callable[[ConvStart], Steps]:
    def client(start: ConvStart) -> Steps:
        """Out: client-first.  In: server-first.  Out: client-final.  In: server-final.

        A server that does not prove it knows the password is refused.
        """
        flag, cbdata = binding(start)
        key = yield from find_any(start, PROMPT, (proto, "pass"))
        authzid = start.get("authzid")
        header = flag + b"," + (b"a=" + escape(authzid) if authzid else b"") + b","
        mine = nonce(start)
        bare = b"n=" + escape(key.user) + b",r=" + mine
        yield from send(header + bare)
        first = yield from recv()
        joint, salt, count = fields(first, "rsi")
        if not joint.startswith(mine) or joint == mine or not _PRINTABLE.match(joint):
            raise ProtoError("server's nonce does not continue ours")
        raw, times = unbase64(salt, MAX_SALT), rounds(count, MIN_ITERATIONS)
        if not raw:
            raise ProtoError("empty salt refused")
        ckey, skey = yield from work(
            lambda: scram.keys(key.secret().text(), raw, times)
        )
        final = b"c=" + b64encode(header + cbdata) + b",r=" + joint
        signed = b",".join((bare, first, final))
        proof = xor(ckey, scram.hmac(scram.h(ckey), signed))
        yield from send(final + b",p=" + b64encode(proof))
        answer = yield from recv()
        if answer.startswith(b"e="):
            why = answer[2:].decode(errors="replace")
            raise BadKey(key, f"server refuses: {why}")
        (verifier,) = fields(answer, "v")
        want = scram.hmac(skey, signed)
        if not hmac.compare_digest(unbase64(verifier, scram.size), want):
            raise ProtoError("server does not know the password")
        return None

    return client


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server knows of a password; RFC 5802 section 3."""

    salt: bytes
    rounds: int
    stored: bytes
    server: bytes

    def proves(self, scram: Scram, proof: bytes, signed: bytes) -> bool:
        """Whether a client's proof of the messages signed is right."""
        ckey = xor(proof, scram.hmac(self.stored, signed))
        return hmac.compare_digest(scram.h(ckey), self.stored)


def derive(scram: Scram, password: str, salt: bytes, rounds: int) -> Verifier:
    """Make a password's verifier; it takes some milliseconds.  Raises ProtoError."""
    ckey, skey = scram.keys(password, salt, rounds)
    return Verifier(salt, rounds, scram.h(ckey), skey)


def held(key: Key) -> Verifier:
    """Read the verifier that a key holds."""
    return Verifier(
        bytes.fromhex(key.get("salt")),
        int(key.get("iter")),
        bytes.fromhex(key.secret("!storedkey").text()),
        bytes.fromhex(key.secret("!serverkey").text()),
    )


def made_salt(env: Env, user: str) -> bytes:
    """Make the salt of a user who has none, always the same one.

    Nobody else can make it, and so tell who has one.
    """
    return hmac.digest(env.secret, b"mailfs scram salt " + user.encode(), "sha256")[:16]


def _known(scram: Scram, env: Env, user: str, keys: Sequence[Key]) -> list[Verifier]:
    """Give the verifiers of a user, all of one salt and count, the first key's.

    There is always one: of an unknown user it is one no password fits.  Keys are
    derived once for anybody, which blocks for some milliseconds.
    """
    mine = [held(key) for key in keys if key.has("!storedkey")]
    salt, count = made_salt(env, user), ITERATIONS
    if mine:
        salt, count = mine[0].salt, mine[0].rounds
    found = [one for one in mine if (one.salt, one.rounds) == (salt, count)]
    words = [key.secret().text() for key in keys if not key.has("!storedkey")]
    for word in words or [""]:
        with suppress(ProtoError):  # a password that nobody can type in SCRAM
            one = derive(scram, word, salt, count)
            found += [one] if words else []
    return found or [
        Verifier(salt, count, env.random(scram.size), env.random(scram.size))
    ]


def fits(keys: Sequence[Key], password: bytes) -> bool:
    """Whether a password is that of one of the keys, which all hold verifiers.

    It derives once for each salt, once if there are no keys, and blocks.
    """
    try:
        text = password.decode()
        saslprep(text)
    except (UnicodeDecodeError, ProtoError):
        keys, text = (), ""
    if not keys:
        derive(Scram("sha256"), text, b"nobody", ITERATIONS)
    derived: dict[tuple[str, bytes, int], Verifier] = {}
    right = []
    for key in keys:
        scram, want = Scram(HASHES[key.proto]), held(key)
        way = (scram.hash, want.salt, want.rounds)
        if way not in derived:
            derived[way] = derive(scram, text, want.salt, want.rounds)
        right.append(hmac.compare_digest(derived[way].stored, want.stored))
    return any(right)


def _server(scram: Scram) -> Callable[[ConvStart], Steps]:
    def server(start: ConvStart) -> Steps:
        """In: client-first.  Out: server-first.  In: client-final.  Out: server-final.

        A wrong proof is answered ``e=invalid-proof`` inside the error.
        """
        flag, cbdata = binding(start)
        header, bare = _split((yield from recv()))
        _check_flag(header, flag)
        name, theirs = fields(bare, "nr")
        user = unescape(name)
        if header.split(b",")[1] not in (b"", b"a=" + name):
            raise ProtoError("e=other-error: authorization identity refused")
        if not _PRINTABLE.match(theirs):
            raise ProtoError("malformed nonce")
        keys = yield from accounts(start, user, "")
        known = yield from work(lambda: _known(scram, start.env, user, keys))
        joint = theirs + nonce(start)
        salt = b64encode(known[0].salt)
        first = b"r=" + joint + b",s=" + salt + b",i=%d" % known[0].rounds
        yield from send(first)
        message = yield from recv()
        final, _, proof = message.rpartition(b",p=")
        bound, again = fields(final, "cr")
        if not hmac.compare_digest(again, joint):
            raise ProtoError("e=other-error: nonce is not the one we sent")
        if unbase64(bound, 1 << 16) != header + cbdata:
            raise ProtoError("e=channel-bindings-dont-match")
        signed = b",".join((bare, first, final))
        given = unbase64(proof, scram.size)
        if len(given) != scram.size:
            raise ProtoError("e=invalid-proof")
        right = [one for one in known if one.proves(scram, given, signed)]
        if not right or not keys:
            raise ProtoError("e=invalid-proof")
        yield from send(b"v=" + b64encode(scram.hmac(right[0].server, signed)))
        return AuthInfo(user, user)

    return server


def _split(message: bytes) -> tuple[bytes, bytes]:
    """Return the GS2 header, commas included, and client-first-bare."""
    parts = message.split(b",", 2)
    if len(parts) != 3:
        raise ProtoError("malformed message")
    flag, authzid, bare = parts
    if authzid and not authzid.startswith(b"a="):
        raise ProtoError("malformed message")
    return flag + b"," + authzid + b",", bare


def _check_flag(header: bytes, flag: bytes) -> None:
    """Refuse a downgrade: who could bind, must; RFC 5802 section 6."""
    given = header.split(b",")[0]
    if flag.startswith(b"p="):
        if given != flag:
            raise ProtoError("e=server-does-support-channel-binding")
    elif given.startswith(b"p="):
        raise ProtoError("e=channel-binding-not-supported")
    elif given not in (b"n", b"y") or (given == b"y" and flag == b"y"):
        raise ProtoError("e=server-does-support-channel-binding")


def _check(key: Key) -> None:
    """Want a password, or the four attributes of a verifier."""
    if key.has("!storedkey") and key.get("role") == "server":
        try:
            bytes.fromhex(key.get("salt") + key.secret("!serverkey").text())
            bytes.fromhex(key.secret("!storedkey").text())
            rounds(key.get("iter").encode(), 1)
        except ValueError:
            raise MailfsError("malformed key data") from None
    elif not key.has("!password"):
        raise MailfsError("missing attributes -- want !password?")


def _row(proto: str) -> Proto:
    scram = Scram(HASHES[proto])
    roles = {"client": _client(scram, proto), "server": _server(scram)}
    return Proto(proto, roles, "user?", PARAMS, check=_check)


SHA1 = _row("scram-sha-1")
SHA256 = _row("scram-sha-256")
