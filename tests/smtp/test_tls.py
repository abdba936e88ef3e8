"""Who may be talked to: STARTTLS, TLS at once, thumbprints, DANE, what is logged."""

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from dns.rdataclass import IN
from dns.rdatatype import TLSA as TLSA_TYPE
from dns.rdtypes.ANY.TLSA import TLSA

from mailfs.site.log import SysLog
from mailfs.smtp import dane
from mailfs.smtp.client import HostUnreachable
from mailfs.smtp.dialogue import Opener
from mailfs.smtp.fate import DeliveryError, Fate
from mailfs.smtp.route import Target
from mailfs.tls.vouch import Unvouched
from tests.descriptors import none_left
from tests.net.scripted import Scripted, Talk
from tests.smtp.nameserver import NameServer
from tests.smtp.world import TEXT, Box, client, context, logged, logs, posted, receiver
from tests.tls.conftest import Serve
from tests.tls.pki import Issued, Pki


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sys/lib/tls").mkdir(parents=True)
    logs(tmp_path)
    return tmp_path


def deliver(
    root: Path, port: int, *words: str, host: str = "localhost", **told: object
) -> Fate:
    sender = client(root, *words, **told)  # type: ignore[arg-type]
    try:
        dest = f"net!{host}!{port}"
        (fate,) = sender.deliver(posted(TEXT, dest, "glenda", ("a@b.com",)))
        return fate
    finally:
        sender.close()


def server(pki: Pki, who: str, box: Box):  # type: ignore[no-untyped-def]
    return receiver(box, tls_context=context(pki.folder / f"{who}.pem"))


def test_starttls(root: Path, our_ca: Pki) -> None:
    box = Box()
    with server(our_ca, "good", box) as port:
        assert deliver(root, port, "-s").ok
    assert len(box.names) == 2  # EHLO again, inside
    assert "started TLS to localhost" in logged(root)


@pytest.mark.parametrize("who", ["unknown", "alone", "expired", "wrong"])
def test_refused_until_listed(root: Path, our_ca: Pki, who: str) -> None:
    box = Box()
    cert = ssl.PEM_cert_to_DER_cert(
        (our_ca.folder / f"{who}.pem").read_text().partition("-----END")[0]
        + "-----END CERTIFICATE-----\n"
    )
    sha1, sha256 = (hashlib.new(h, cert).hexdigest() for h in ("sha1", "sha256"))
    line = f"x509 sha256={sha256} server=localhost"
    with server(our_ca, who, box) as port:
        with pytest.raises(HostUnreachable, match=f"mailfs trust .*{line}") as e:
            deliver(root, port, "-s")
        assert (e.value.permanent, e.value.enhanced) == (False, "4.7.5")
        assert logged(root) == [
            f"remote cert. has bad thumbprint: x509 sha1={sha1} server=localhost",
            f"to trust it append to {root}/sys/lib/tls/smtp: {line}",
        ]
        assert box.got == []
        (root / "sys/lib/tls/smtp").write_text(f"x509 sha1={sha1} server=localhost\n")
        assert deliver(root, port, "-s").ok
        (root / "sys/lib/tls/smtp").write_text(line + "\n")
        assert deliver(root, port, "-s", "--strict").ok


def test_strict(root: Path, our_ca: Pki) -> None:
    with server(our_ca, "good", Box()) as port:
        with pytest.raises(HostUnreachable, match="not listed in"):
            deliver(root, port, "-s", "--strict")


def test_without_demand_anybody_will_do_but_the_excluded(root: Path, pki: Pki) -> None:
    box = Box()
    with server(pki, "unknown", box) as port:
        assert deliver(root, port).ok
        assert logged(root)[0] == "started TLS to localhost"
        assert deliver(root, port, "-s", "-o").ok
        digest = hashlib.sha256(pki.unknown.der).hexdigest()
        barred = root / "sys/lib/tls/smtp.exclude"
        barred.write_text(f"x509 sha256={digest}\n")
        for words in ((), ("-s", "-o")):
            with pytest.raises(HostUnreachable, match="excluded"):
                deliver(root, port, *words)
        barred.write_text("nonsense\n")
        with pytest.raises(HostUnreachable, match="bad thumbprints"):
            deliver(root, port)


def test_a_line_for_the_host_pins_it(root: Path, pki: Pki) -> None:
    listed = root / "sys/lib/tls/smtp"
    listed.write_text(f"x509 sha256={64 * '0'} server=localhost\n")
    with server(pki, "unknown", Box()) as port, pytest.raises(HostUnreachable):
        deliver(root, port)
    with receiver(Box()) as port:  # without TLS, on this machine
        assert deliver(root, port).ok
    listed.write_text("x509 sha256=bad\n")
    with server(pki, "unknown", Box()) as port:
        with pytest.raises(HostUnreachable, match="bad thumbprints"):
            deliver(root, port)


def test_a_list_that_cannot_be_opened_is_not_called_bad(root: Path) -> None:
    """The mail waits, and the error says what is lacking."""
    (root / "sys/lib/tls/smtp").write_text("")
    opener = Opener(root, "me", SysLog(root, "me"), lambda: pytest.fail("asked"))
    target = Target("localhost", 25)
    with none_left(), pytest.raises(DeliveryError, match="too many open files") as e:
        opener.open(target)
    assert not e.value.permanent


def elsewhere(address: str, port: int, seconds: float):  # type: ignore[no-untyped-def]
    """Dial loopback, but look as if it were another machine."""
    import socket

    class Far(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return ("192.0.2.1", port)

    near = socket.create_connection(("127.0.0.1", port), seconds)
    return Far(near.family, near.type, fileno=near.detach())


def test_no_starttls_where_it_is_a_must(root: Path) -> None:
    with receiver(Box()) as port:
        assert deliver(root, port, "-s").ok  # this machine cannot be overheard
        with pytest.raises(HostUnreachable, match="does not offer starttls") as e:
            deliver(root, port, "-s", dialer=elsewhere)
    assert not e.value.permanent


def test_tls_at_once(root: Path, our_ca: Pki) -> None:
    box = Box()
    with receiver(box, implicit=context(our_ca.folder / "good.pem")) as port:
        assert deliver(root, port, "-t").ok
        with pytest.raises(HostUnreachable):
            deliver(root, port, "-t", host="127.0.0.2")
    with receiver(box, implicit=context(our_ca.folder / "unknown.pem")) as port:
        with pytest.raises(HostUnreachable, match="not recognized"):
            deliver(root, port, "-t")


def test_words_slipped_in_before_tls(root: Path) -> None:
    def act(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send("250-mx", "250 STARTTLS")
        talk.line()
        talk.send("220 go", "250 injected")
        while True:
            talk.line()

    with Scripted(act) as server, pytest.raises(HostUnreachable, match="clear text"):
        deliver(root, server.port, "-s")


def test_broken_tls_falls_back_only_if_it_may(root: Path) -> None:
    def broken(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send("250-mx", "250 STARTTLS")
        talk.line()
        talk.send("220 go")
        talk.sock.recv(5)
        talk.send(b"this is no TLS at all\r\n")

    def clear(talk: Talk) -> None:
        talk.send("220 mx")
        talk.line()
        talk.send("250-mx", "250 STARTTLS")
        for reply in ("250 ok", "250 ok", "354 go"):
            assert talk.line() != "STARTTLS"
            talk.send(reply)
        while talk.line() != ".":
            pass
        talk.send("250 ok")

    with Scripted(broken, clear) as server:
        assert deliver(root, server.port).ok
    assert "going on without TLS" in logged(root)[0]
    with Scripted(broken, clear) as server, pytest.raises(HostUnreachable, match="tls"):
        deliver(root, server.port, "-s")


def test_openssl_serves(root: Path, our_ca: Pki, s_server: Serve) -> None:
    """OpenSSL's own server, which says whatever its standard input says."""
    port = s_server("good", "-tls1_2", "-rev")  # it sends our lines back, reversed
    with pytest.raises(HostUnreachable, match="timed out"):  # TLS was agreed upon
        deliver(root, port, "-t")
    assert not [line for line in logged(root) if "thumbprint" in line]


def record(usage: int, selector: int, kind: int, octets: bytes) -> TLSA:
    return TLSA(IN, TLSA_TYPE, usage, selector, kind, octets)  # type: ignore[no-untyped-call]


def digest(issued: Issued, selector: int, kind: int) -> bytes:
    octets = issued.spki if selector else issued.der
    return (
        octets
        if not kind
        else hashlib.new(("", "sha256", "sha512")[kind], octets).digest()
    )


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_dane_own_certificate(pki: Pki, selector: int, kind: int) -> None:
    right = record(3, selector, kind, digest(pki.expired, selector, kind))
    dane.voucher([right], ("mx.b.com",))([pki.expired.der], "mx.b.com")
    with pytest.raises(Unvouched, match="no TLSA record matches"):
        dane.voucher([right], ("mx.b.com",))([pki.good.der], "mx.b.com")


@pytest.mark.parametrize("selector", [0, 1])
def test_dane_anchor(pki: Pki, selector: int) -> None:
    chain = [pki.deep.der, pki.middle.der]
    anchor = record(2, selector, 1, digest(pki.middle, selector, 1))
    dane.voucher([anchor], ("localhost", "b.com"))(chain, "localhost")
    dane.voucher([anchor], ("mx.b.com", "localhost"))(chain, "mx.b.com")
    with pytest.raises(Unvouched, match="mismatch"):
        dane.voucher([anchor], ("mx.b.com",))(chain, "mx.b.com")
    with pytest.raises(Unvouched, match="no TLSA record matches"):
        dane.voucher([anchor], ("localhost",))([pki.deep.der], "localhost")
    leafless = record(2, selector, 1, digest(pki.good, selector, 1))
    with pytest.raises(Unvouched):
        dane.voucher([leafless], ("localhost",))(chain, "localhost")
    whole = record(2, 0, 0, pki.ca.der)
    dane.voucher([whole], ("localhost",))([pki.good.der], "localhost")
    with pytest.raises(Unvouched):
        dane.voucher([record(2, 0, 0, b"junk")], ("localhost",))(chain, "localhost")


def test_dane_unusable() -> None:
    bad = [record(0, 0, 1, b"x" * 32), record(1, 1, 1, b"x" * 32)]
    odd = [record(3, 2, 1, b"x" * 32), record(3, 1, 9, b"x" * 32)]
    assert dane.usable(bad + odd) == []


TLSAS: list[tuple[str, Callable[[Pki], str], bool]] = [
    ("own", lambda p: f"3 1 1 {hashlib.sha256(p.unknown.spki).hexdigest()}", True),
    ("others", lambda p: f"3 1 1 {hashlib.sha256(p.good.spki).hexdigest()}", False),
    ("unusable", lambda p: "0 0 1 " + "00" * 32, True),
]


@pytest.mark.parametrize(
    ("make", "fine"), [t[1:] for t in TLSAS], ids=[t[0] for t in TLSAS]
)
def test_dane_by_dns(
    root: Path, pki: Pki, make: Callable[[Pki], str], *, fine: bool
) -> None:
    with server(pki, "unknown", Box()) as port, receiver(Box()) as plain:
        zone = {
            ("b.com", "MX"): ("1 mx.b.com.",),
            ("mx.b.com", "A"): ("127.0.0.1",),
            (f"_{port}._tcp.mx.b.com", "TLSA"): (make(pki),),
            (f"_{plain}._tcp.mx.b.com", "TLSA"): (make(pki),),
        }
        with NameServer(zone, secure=True) as names:
            if fine:
                assert deliver(root, port, host="b.com", resolvers=names.resolvers).ok
            else:
                with pytest.raises(HostUnreachable, match="dane: no TLSA"):
                    deliver(root, port, host="b.com", resolvers=names.resolvers)
            with pytest.raises(HostUnreachable, match="does not offer starttls"):
                deliver(root, plain, host="b.com", resolvers=names.resolvers)


def test_policy_wants_the_authorities(root: Path, our_ca: Pki) -> None:
    text = b"version: STSv1\nmode: enforce\nmx: localhost\nmax_age: 1000\n"
    zone = {
        ("b.com", "MX"): ("1 localhost.",),
        ("localhost", "A"): ("127.0.0.1",),
        ("_mta-sts.b.com", "TXT"): ('"v=STSv1; id=1"',),
    }
    with NameServer(zone) as names:
        told = {"resolvers": names.resolvers, "host": "b.com", "fetch": lambda d: text}
        with server(our_ca, "good", Box()) as port:
            assert deliver(root, port, **told).ok  # type: ignore[arg-type]
        with server(our_ca, "unknown", Box()) as port:
            with pytest.raises(HostUnreachable, match="not recognized"):
                deliver(root, port, **told)  # type: ignore[arg-type]
        with receiver(Box()) as port:
            with pytest.raises(HostUnreachable, match="does not offer starttls"):
                deliver(root, port, **told)  # type: ignore[arg-type]


def test_next_server_if_one_is_not_trusted(root: Path, our_ca: Pki) -> None:
    """A server that is refused does not stand in the way of the others."""
    box = Box()
    with server(our_ca, "good", box) as port:
        zone = {
            ("b.com", "MX"): ("1 other.b.com.", "2 localhost."),
            ("other.b.com", "A"): ("127.0.0.1",),
            ("localhost", "A"): ("127.0.0.1",),
        }
        with NameServer(zone) as names:
            assert deliver(root, port, "-s", host="b.com", resolvers=names.resolvers).ok
    assert len(box.got) == 1
