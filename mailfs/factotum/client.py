"""What programs ask a factotum for; auth(3).

    with Factotum() as keys:
        login = keys.getuserpasswd("proto=pass service=imap server=imap.example.com")

Blocking, for one thread.  Works with plan9port's factotum too.  A missing key is
NeedKey, unless a getkey function is given to ask a person for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from mailfs.attr import Attrs, lines, parse, quote, show, tokenize, typed, value
from mailfs.errors import MailfsError
from mailfs.factotum.step import AuthInfo
from mailfs.p9.client import Client, Dial, OpenFile
from mailfs.p9.dial import NoServer, dial
from mailfs.p9.fcall import ORDWR
from mailfs.secret import Secret
from mailfs.where import DialString

SERVICE = "factotum"
MAX_REPLY = 64 << 10  # octets asked for; other factotums cut at 4096
MAX_ASKED = 3  # times a person is asked for one key
DIGEST = 32  # hex digits apop and cram answer with
GetKey = Callable[[str], None]
"""Ask a person for the key of a template, or the three lines of badkey, and add it."""


class FactotumError(MailfsError):
    """The factotum's refusal."""


class NoFactotum(MailfsError):
    """Nobody serves keys at the address."""


class NeedKey(FactotumError):
    """There is no such key; template says what is wanted."""

    def __init__(self, template: str) -> None:
        shown = show(typed(parse(lines(template)[-1]))) if template else ""
        how = f"-g {quote(shown)}"
        if value(parse(shown), "proto") == "oauth":
            how = "--oauth PROVIDER USER"
        super().__init__(f"no key for {shown}: add it with mailfs factotum {how}")
        self.template = template
        self.wanted = shown  # the key, as a person types it


class KeyRefused(NeedKey):
    """The key there is was refused by the peer; template is the badkey text."""


class RpcPhase(FactotumError):
    """A read when a write was wanted, or the other way round."""


class RpcTooSmall(FactotumError):
    """The message is not complete; it may have up to size octets."""

    def __init__(self, size: int) -> None:
        super().__init__(f"message incomplete: up to {size} octets")
        self.size = size


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and password."""

    user: str
    password: Secret


class RpcClient:
    """One conversation: an open rpc file."""

    def __init__(self, file: OpenFile, getkey: GetKey | None = None) -> None:
        self._file = file
        self._getkey = getkey

    def __enter__(self) -> "RpcClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def close(self) -> None:
        """End the conversation."""
        self._file.close()

    def start(self, template: str) -> None:
        """Begin a protocol."""
        self._ok("start", template.encode())

    def read(self) -> bytes | None:
        """Return the next message for the peer; None if the protocol is done."""
        verb, arg = self._call("read")
        return None if verb == "done" else arg

    def write(self, data: bytes) -> None:
        """Pass on a message of the peer.  Raises TooSmall if it is a part of one."""
        self._call("write", data)

    def attrs(self) -> Attrs:
        """Return the attributes in use: of the start, then of the key."""
        return parse(self._ok("attr").decode(errors="replace"))

    def authinfo(self) -> AuthInfo:
        """Read the authenticated user."""
        return unmarshal(self._ok("authinfo"))

    def _ok(self, verb: str, data: bytes = b"") -> bytes:
        reply, arg = self._call(verb, data)
        if reply != "ok":
            raise FactotumError(f"unexpected reply to {verb}: {reply}")
        return arg

    def _call(self, verb: str, data: bytes = b"") -> tuple[str, bytes]:
        """Carry out a request, asking for keys that are missing."""
        asked = 0
        while True:
            reply, arg = self._exchange(verb, data)
            if reply not in ("needkey", "badkey"):
                break
            template = arg.decode(errors="replace")
            if self._getkey is None or asked == MAX_ASKED:
                raise (KeyRefused if reply == "badkey" else NeedKey)(template)
            self._getkey(template)
            asked += 1
        text = arg.decode(errors="replace")
        if reply == "error":
            raise FactotumError(text or "refused")
        if reply == "phase":
            raise RpcPhase(text)
        if reply == "toosmall":
            raise RpcTooSmall(int(text) if text.isdecimal() and len(text) < 8 else 0)
        return reply, arg

    def _exchange(self, verb: str, data: bytes) -> tuple[str, bytes]:
        # One read and one write: a longer request would arrive in pieces.
        request = verb.encode() + b" " + data
        if len(request) > self._file.iounit:
            raise FactotumError("message too long")
        self._file.write(request)
        reply, _, arg = self._file.read(MAX_REPLY).partition(b" ")
        known = reply.decode("ascii", "replace")
        if known not in _REPLIES:
            raise FactotumError("malformed rpc response")
        return known, arg


_REPLIES = ("ok", "done", "error", "needkey", "badkey", "phase", "toosmall")


class Factotum:
    """A connection to the agent, dialled when it is first asked for something.

    address   a service in the name space, or a dial string
    getkey    asks a person for a key that is missing
    timeout   seconds to wait for each answer; None waits for ever
    instead   starts an agent of this run where none runs, and gives its address
    dial      gives a socket connected to an address
    """

    def __init__(
        self,
        address: DialString | str = SERVICE,
        *,
        getkey: GetKey | None = None,
        timeout: float | None = None,
        instead: Callable[[], DialString] | None = None,
        dial: Dial = dial,
    ) -> None:
        self.getkey = getkey
        self._address = address
        self._timeout = timeout
        self._instead = instead
        self._connect = dial
        self._dialled: Client | None = None
        self._notes_version = False
        self.began: tuple[int, str] | None = None  # see note_version

    def __enter__(self) -> "Factotum":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; conversations end."""
        if self._dialled is not None:
            self._dialled.close()

    def reach(self) -> "Factotum":
        """Dial now.  Raises NoFactotum if there is none, else MailfsError."""
        if self._dialled is None:
            self._dialled = self._found()
            if self._notes_version:
                self.began = self.version()
        return self

    def note_version(self) -> None:
        """Have began tell the version of the keys now, or when it will be dialled."""
        self._notes_version = True
        if self._dialled is not None:
            self.began = self.version()

    def _found(self) -> Client:
        try:
            return self._client_of(self._address)
        except NoServer as e:
            if self._instead is not None:
                return self._client_of(self._instead())
            if self._address == SERVICE:
                raise NoFactotum("no factotum runs: mailfs factotum &") from e
            raise NoFactotum(str(e)) from e

    def _client_of(self, address: DialString | str) -> Client:
        return Client(address, timeout=self._timeout, dial=self._connect)

    @property
    def _client(self) -> Client:
        self.reach()
        assert self._dialled is not None
        return self._dialled

    def rpc(self) -> RpcClient:
        """Open a conversation."""
        return RpcClient(self._client.open("rpc", ORDWR), self.getkey)

    def start(self, template: str) -> RpcClient:
        """Open a conversation and begin a protocol."""
        rpc = self.rpc()
        try:
            rpc.start(template)
        except BaseException:
            rpc.close()
            raise
        return rpc

    def control(self, message: str) -> None:
        """Write a control message: key, delkey, debug."""
        self._client.write("ctl", message.encode(), 1)

    def keys(self) -> list[Attrs]:
        """Return the public attributes of all keys, secrets as queries."""
        text = self._client.read("ctl").decode(errors="replace")
        return [parse(line.removeprefix("key ")) for line in lines(text)]

    def version(self) -> tuple[int, str]:
        """Return a value that another key changes, if only by its secret.

        plan9port's factotum has the public attributes only to tell keys apart.
        """
        return self._client.stat("ctl").qid.vers, self._client.read("ctl").decode(
            errors="replace"
        )

    def refused(self, attrs: Attrs) -> None:
        """Delete a key that the peer has refused; attrs as Rpc.attrs gave them.

        For an answer that leaves no doubt, such as AUTHENTICATIONFAILED, when a person
        is there to type it again.
        """
        self.control(f"delkey {show(attrs)}")

    def getuserpasswd(self, template: str) -> Login:
        """Return a user name and password; auth_getuserpasswd."""
        if value(parse(template), "role") is None:
            template += " role=client"
        with self.start(template) as rpc:
            words = tokenize((rpc.read() or b"").decode())
        if len(words) != 2:
            raise FactotumError("malformed user and password")
        return Login(words[0], Secret(words[1]))

    def respond(self, challenge: bytes, template: str) -> tuple[str, bytes]:
        """Return the user and the response to a challenge; auth_respond.

        plan9port's factotum gives the user before the digits.
        """
        with self.start(template) as rpc:
            rpc.write(challenge)
            response = rpc.read() or b""
            if not is_digest(response):
                response = rpc.read() or b""
            user = value(rpc.attrs(), "user") or ""
        if not is_digest(response):
            raise FactotumError("malformed response")
        return user, response.lower()

    def sign(self, digest: bytes, template: str) -> bytes:
        """Return the PKCS#1 v1.5 signature of a digest, by ``proto=rsa role=sign``."""
        with self.start(template) as rpc:
            rpc.write(digest)
            return rpc.read() or b""

    def message(self, template: str) -> Secret:
        """Return the one message of a protocol that has one: totp, oauth."""
        with self.start(template) as rpc:
            return Secret(rpc.read() or b"")

    def challenge(self, template: str) -> "Challenge":
        """Begin to authenticate a client of ours; auth_challenge."""
        return Challenge(self.start(template))

    def proxy(
        self, template: str, send: Callable[[bytes], None], recv: Callable[[int], bytes]
    ) -> AuthInfo:
        """Run a protocol over a connection; auth_proxy.

        recv returns some octets, at most as many as asked for, and none at the end.
        """
        with self.start(template) as rpc:
            while True:
                try:
                    data = rpc.read()
                except RpcPhase:
                    _pass_on(rpc, recv)
                    continue
                if data is None:
                    return rpc.authinfo()
                send(data)


def _pass_on(rpc: RpcClient, recv: Callable[[int], bytes]) -> None:
    """Read from the peer until the factotum has a whole message."""
    data = b""
    while True:
        try:
            rpc.write(data)
        except RpcTooSmall as e:
            more = recv(e.size - len(data)) if e.size > len(data) else b""
            if not more:
                raise FactotumError("peer hung up in the middle") from None
            data += more
        else:
            return


class Challenge:
    """A server's side of apop or cram; auth_challenge, auth_response."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self.challenge = rpc.read() or b""

    def response(self, user: str, response: bytes) -> AuthInfo:
        """Read the user that has answered.  After FactotumError one may try again."""
        self._rpc.write(user.encode())
        self._rpc.write(response)
        answer = self._rpc.read()
        if answer == b"ok":  # plan9port's factotum says so before it is done
            answer = self._rpc.read()
        if answer is not None:
            raise FactotumError(answer.decode(errors="replace"))
        return self._rpc.authinfo()

    def close(self) -> None:
        """End the conversation."""
        self._rpc.close()


def is_digest(text: bytes) -> bool:
    """Whether text is an MD5 in hex."""
    return len(text) == DIGEST and all(c in b"0123456789abcdefABCDEF" for c in text)


def unmarshal(data: bytes) -> AuthInfo:
    """Unpack the authinfo reply: three texts and a secret, each after its length."""
    fields = []
    for _ in range(4):
        size = int.from_bytes(data[:2], "little")
        if len(data) < 2 + size:
            raise FactotumError("malformed authinfo")
        fields.append(data[2 : 2 + size])
        data = data[2 + size :]
    if data:
        raise FactotumError("malformed authinfo")
    cuid, suid, cap, secret = fields
    return AuthInfo(cuid.decode(), suid.decode(), Secret(secret), cap.decode())
