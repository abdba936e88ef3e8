"""Logging in, by the strongest way that server and key allow; RFC 1939, RFC 5034."""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator

from mailfs.attr import Attr, Attrs, parse, value
from mailfs.errors import MailfsError
from mailfs.factotum.client import Factotum, FactotumError, NeedKey
from mailfs.factotum.sasl import MECHANISMS, NONE, Binding, Sasl, choose
from mailfs.pop.account import Account
from mailfs.pop.error import Busy, LoginRefused, PopError
from mailfs.pop.wire import Pop3Wire

MAX_COMMAND = 255  # octets of AUTH with an initial response; RFC 5034 section 4
MAX_STEPS = 10  # messages of the server's in one exchange; SCRAM has two
_SERVICES = ("pop", "pop3")  # what a key may call the service, beside the form

_SELECTS = ("server", "dom", "service", "user")  # what tells a key from others

# RFC 1939 section 7: a msg-id.  What is not printable could be part of an attack on
# MD5 that finds out a password octet by octet; CVE-2007-1558.
_STAMP = re.compile(rb"<[!-;=?-~]+@[!-;=?-~]+>")

Way = Callable[[], None]


def stamp(greeting: bytes) -> bytes:
    """Return APOP's challenge, brackets included; empty if the greeting has none."""
    m = _STAMP.search(greeting)
    return m[0] if m and m[0].count(b"@") == 1 else b""


class Login:
    """One login.

    offered    the SASL mechanisms that the server names
    challenge  APOP's, empty if there is none
    secure     whether nobody on the way can listen
    """

    def __init__(
        self,
        wire: Pop3Wire,
        account: Account,
        keys: Factotum,
        *,
        offered: list[str],
        challenge: bytes,
        secure: bool,
        binding: Binding = NONE,
    ) -> None:
        self._wire = wire
        self._account = account
        self._keys = keys
        self._offered = offered
        self._challenge = challenge
        self._secure = secure
        self._binding = binding
        self._attrs: Attrs = ()

    def run(self) -> str:
        """Log in, and return the user.

        Raises LoginRefused, Busy, PopError, FactotumError (NeedKey if there is no
        key) and OSError.  A refused key is asked for again where a person can answer.
        """
        try:
            self._any()
        except LoginRefused:
            if self._keys.getkey is None or not self._forget():
                raise
            self._any()
        return self._account.user or value(self._attrs, "user") or ""

    def _forget(self) -> bool:
        """Have the refused key deleted, so that it is asked for; whether it was."""
        named = tuple(a for a in self._attrs if a.name in _SELECTS)
        for proto in (value(self._attrs, "proto"), "pass"):
            try:
                self._keys.refused((Attr("proto", proto), *named))
            except MailfsError:
                continue  # SCRAM and others may have used the key of proto=pass
            return True
        return False

    def _any(self) -> None:
        """Try what can be tried, best first; without a key for it, the next."""
        missing: NeedKey | None = None
        getkey, self._keys.getkey = self._keys.getkey, None
        try:
            for way in self._ways():
                try:
                    way()
                except NeedKey as e:
                    missing = missing or e
                else:
                    return
        finally:
            self._keys.getkey = getkey
        if missing is None:
            raise self._hopeless()
        if getkey is None:
            raise missing
        next(self._ways())()  # ask a person for the key of the best

    def _ways(self) -> Iterator[Way]:
        if self._account.form.apop:
            if not self._challenge:
                raise PopError(self._wire.server, "no APOP hdr from server")
            yield self._apop
            return
        ways = choose(
            self._offered, tls=self._secure, binding=self._binding, token=self._token()
        )
        for name in ways:
            if not MECHANISMS[name].clear or MECHANISMS[name].token:
                yield lambda name=name: self._sasl(name)  # type: ignore[misc]
        if self._challenge:
            yield self._apop
        for name in ways:
            if MECHANISMS[name].clear and not MECHANISMS[name].token:
                yield lambda name=name: self._sasl(name)  # type: ignore[misc]
        if self._secure:
            yield self._userpass

    def _hopeless(self) -> PopError:
        form = self._account.name.removesuffix("notls")
        why = f"no password is sent in clear: want {form}s, {form}tls or {form}notls"
        return PopError(self._wire.server, why)

    def _listed(self) -> list[Attrs]:
        """Return the public attributes of all keys."""
        found = self._keys.keys()
        return found

    def _token(self) -> bool:
        """Whether there is a key of OAuth2 for the user."""
        user = self._account.user
        return any(
            value(attrs, "proto") == "oauth"
            and (user is None or value(attrs, "user") in (user, None))
            for attrs in self._listed()
        )

    def _template(self) -> str:
        """Return what selects the key: by server, or by dom as upas/fs asked.

        The service is named only if a key for this host names it.
        """
        account = self._account
        names = (*_SERVICES, account.name)
        where, service = "server", None
        for key in self._listed():
            if account.user is not None and value(key, "user") != account.user:
                continue
            hosts = [n for n in ("server", "dom") if value(key, n) == account.host]
            if hosts and value(key, "service") in (None, *names):
                where, service = hosts[0], value(key, "service")
                break
        attrs = [Attr(where, account.host)]
        if service is not None:
            attrs.append(Attr("service", service))
        if account.user is not None:
            attrs.append(Attr("user", account.user))
        return " ".join(map(str, attrs))

    def _refused(self, line: bytes) -> None:
        """Raise what -ERR to a login means; the code AUTH is of RFC 3206."""
        try:
            self._wire.refuse(line, words=True)
        except Busy:
            raise
        except PopError as e:
            if e.code not in ("", "AUTH"):
                raise
            text = str(e).removeprefix(f"{e.server}: ")
            why = f"login refused: {text}"
            raise LoginRefused(e.server, why, code=e.code) from e

    def _sasl(self, name: str) -> None:
        for _ in range(2):
            sasl = Sasl(
                self._keys,
                name,
                self._template(),
                binding=self._binding,
                advertised=self._offered,
            )
            first = sasl.initial()
            self._attrs = sasl.attrs()
            try:
                self._exchange(sasl, name, first)
            except LoginRefused:
                if not sasl.again():
                    raise
            else:
                return
        raise LoginRefused(self._wire.server, "login refused: token refused")

    def _exchange(self, sasl: Sasl, name: str, first: bytes | None) -> None:
        wire = self._wire
        command = b"AUTH " + name.encode()
        if first is not None:
            whole = command + b" " + (b64encode(first) or b"=")
            if len(whole) + 2 <= MAX_COMMAND:
                command, first = whole, None
        wire.put(command)
        for _ in range(MAX_STEPS):
            line = wire.answer()
            if line.startswith(b"+OK"):
                self._attrs = sasl.attrs()
                return
            if not line.startswith(b"+"):
                self._refused(line)
            if first is not None:
                response, first = first, None
            else:
                response = self._step(sasl, line[1:].strip())
            wire.put(b64encode(response))
        raise PopError(wire.server, "protocol error: endless login")

    def _step(self, sasl: Sasl, challenge: bytes) -> bytes:
        wire = self._wire
        try:
            return sasl.step(b64decode(challenge, validate=True))
        except (binascii.Error, FactotumError) as e:
            wire.put(b"*")  # RFC 5034 section 4: the exchange is off
            wire.answer()
            if isinstance(e, FactotumError):
                raise
            raise PopError(wire.server, "protocol error: malformed challenge") from e

    def _apop(self) -> None:
        template = f"proto=apop role=client {self._template()}"
        user, digest = self._keys.respond(self._challenge, template)
        self._name(user)
        self._attrs = (*parse(template), Attr("user", user))
        wire = self._wire
        wire.put(b"APOP " + user.encode() + b" " + digest)
        line = wire.answer()
        if not line.startswith(b"+"):
            self._refused(line)

    def _name(self, user: str) -> None:
        if not user or any(c <= " " for c in user):
            raise PopError(self._wire.server, "factotum did not return a user name")

    def _userpass(self) -> None:
        login = self._keys.getuserpasswd(f"proto=pass {self._template()}")
        template = f"proto=pass {self._template()}"
        self._attrs = (*parse(template), Attr("user", login.user))
        self._name(login.user)
        wire = self._wire
        for command in (b"USER " + login.user.encode(), b"PASS "):
            if command == b"PASS ":
                command += login.password.reveal()
            wire.put(command)
            line = wire.answer()
            if not line.startswith(b"+"):
                self._refused(line)
