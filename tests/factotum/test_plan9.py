"""p9sk1, dp9ik and p9any: vectors of other implementations, whole dialogues."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.errors import MailfsError
from mailfs.factotum import deskey
from mailfs.factotum.authpak import (
    BASE,
    D,
    P,
    PakError,
    Point,
    aeskey,
    begin_with,
    decode,
    derive,
    encode,
    masks,
)
from mailfs.factotum.authsrv import AuthUnreachable, asker, locate
from mailfs.factotum.local import Local
from mailfs.factotum.proto.dp9ik import DP9IK
from mailfs.factotum.proto.p9sk1 import P9SK1
from mailfs.factotum.step import BadKey, Env, ProtoError
from mailfs.factotum.ticket import (
    AC,
    AS,
    FORM0,
    FORM1,
    TC,
    TS,
    Authenticator,
    Ticket,
    TicketError,
    Ticketreq,
)
from tests.factotum.authserver import AuthServer, Listener
from tests.factotum.world import chance, key, local, talk, world

DES = [
    ("a", "61000804028140"),
    ("secret", "f3f2585ea60340"),
    ("password", "f0f07c7e7fcbc9"),
    ("correct horse", "0dc8a58e236b17"),
    ("0123456789abcdefghijklmnopqrstuv", "ecf945f5352022"),
]
SEALED = [
    (8, "77399bc1e5251595"),
    (13, "77399bc1e5ba2c0fe594e34524"),
    (
        72,
        "77399bc1e52515e2ed21b0fcb2f33fa95f5f94c068a91b67275a96fb0a0943bb4b13214e2bff"
        "279d5cd45c1a9f2d4c4b84c68dd50055a66b09820804b03b45b4ebefa2935a7bb428",
    ),
]
AES = [
    ("secret", "4970c70d1239fec0f208d0a2229edc37"),
    ("password", "15d13256344211e56c52f50c539de223"),
    ("correct horse", "b4efb43cb49442dacf72ced8ea41a08d"),
]


@pytest.mark.parametrize(("password", "want"), DES)
def test_des_keys(password: str, want: str) -> None:
    assert deskey.passtokey(password.encode()).hex() == want


@pytest.mark.parametrize(("size", "want"), SEALED)
def test_des(size: int, want: str) -> None:
    secret = deskey.passtokey(b"secret")
    assert deskey.encrypt(secret, bytes(range(size))).hex() == want
    assert deskey.decrypt(secret, bytes.fromhex(want)) == bytes(range(size))


def test_des_wants_a_block() -> None:
    with pytest.raises(ValueError, match="8 octets"):
        deskey.encrypt(bytes(7), bytes(7))


def test_expansion() -> None:
    assert deskey.expand(bytes.fromhex("2c814595a09361")).hex() == "2c4051b35b044cc2"


@pytest.mark.parametrize(("password", "want"), AES)
def test_aes_keys(password: str, want: str) -> None:
    assert aeskey(password.encode()).hex() == want


PM = int(
    "18ad0c86bf355985fbedc32d40b0b8c03452db203b4e1757840d415549ac583bc2f2af56b71ee824"
    "84cab10ad93e9dba6cbe0ca22cf0acd6",
    16,
)
PN = int(
    "2148cd2b9e2c94b402d2121d505d11c1848ba48d118845490cc50d7910ef2480d72d14925616d391"
    "c20c4cb7af499a69d293aff32b8e9d9a",
    16,
)
XI = int(
    "d3c6b9ac9f9285786b5e5144372a1d1003f6e9dccfc2b5a89b8e8174675a4d403326190cfff2e5d8"
    "cbbeb1a4978a7d706356493c2f221508",
    16,
)
YI = (
    "63160f807e8badd8c715538d5208b3d8489bbf939eb8c61cc0170f2fa11a553a74d06db2386e9904"
    "727e72758325c5a9592315f81cf57a7b"
)
XR = int(
    "dacdc0b3a6998c7f7265584b3e3124170afdf0e3d6c9bcafa295887b6e6154473a2d201306f9ecdf"
    "d2c5b8ab9e9184776a5d504336291c0f",
    16,
)
YR = (
    "0ecb431c6d8715ec54db4bd8fb63280792793267b309f35e8e1a7cf42c2b874d9bdd5919a863b5bf"
    "7b459142eee79c4b809131bf4f157c89"
)
PAKKEY = "d36dd8f1d2040db27fd88f25fd4b8ea945e0e8143b5c664509929a43974679fe"


def test_the_exchange() -> None:
    mine = masks(aeskey(b"correct horse"), "glenda")
    assert (mine.initiator.x, mine.responder.x) == (PM, PN)
    a = begin_with(mine, XI, initiator=True)
    b = begin_with(mine, XR, initiator=False)
    assert (a.y.hex(), b.y.hex()) == (YI, YR)
    assert a.finish(b.y).hex() == b.finish(a.y).hex() == PAKKEY


def test_another_password_makes_another_key() -> None:
    a = begin_with(masks(aeskey(b"correct horse"), "glenda"), XI, initiator=True)
    for password, user in ((b"wrong horse", "glenda"), (b"correct horse", "glend")):
        b = begin_with(masks(aeskey(password), user), XR, initiator=False)
        assert a.finish(b.y) != b.finish(a.y)


def on_curve(point: Point) -> bool:
    x, y, z, t = point.x, point.y, point.z, point.t
    return (x * x + y * y - z * z - D * t * t) % P == 0 == (x * y - z * t) % P


def test_the_group() -> None:
    order = 2**446 - int(
        "13818066809895115352007386748515426880336692474882178609894547503885"
    )
    zero = order * BASE
    assert (zero.x, zero.y) == (0, zero.z)
    twice = 2 * BASE
    assert on_curve(BASE)
    assert on_curve(twice)
    assert encode(decode(encode(twice))) == encode(BASE + BASE) == encode(twice)
    assert encode(twice + -BASE) == encode(BASE)


def test_no_points() -> None:
    upper = (P - 1).to_bytes(56)
    for data in (b"", bytes(55), bytes(57), b"\xff" * 56, upper, (3).to_bytes(56)):
        with pytest.raises(PakError):
            decode(data)
    assert decode(bytes(56)) == Point(0, 1, 1, 0)


@settings(max_examples=25)
@given(st.binary(min_size=56, max_size=56))
def test_what_decodes_encodes(data: bytes) -> None:
    try:
        point = decode(data)
    except PakError:
        return
    assert on_curve(point)
    assert encode(point) == data


def test_hkdf() -> None:
    # RFC 5869 appendix A.1.
    okm = derive(bytes(range(13)), b"\x0b" * 22, bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b88718"
        "5865"
    )


TICKET = Ticket(TS, bytes(range(1, 9)), "glenda", "glenda", bytes(range(0x80, 0xA0)))
TICKET_WIRE = (
    "666f726d3120547300000000148e94e2623bbf3315dd8d15e0241c6405d7c816f103e49623468f05ab"
    "f26d5d50052c67f189404980639e1f68248fab5e00a5c4b19606aa5542685a633d77b37f392599a2b7"
    "76eab4b06ed29f82334830c4db49b83997cf5c2c42d018f6282195f1e480bddb8e386d972fecd27a9e"
    "f0"
)
AUTH = Authenticator(AC, bytes(range(1, 9)), bytes(range(0x40, 0x60)))
AUTH_WIRE = (
    "666f726d3120416301000000c49e5fa6eb07b41a1a18dd5d3f233587c997001bd109b3fa21a6c78180"
    "b23679dc6282d15f1a490456ca584f6e627cb4c8bb7685e8174ed4"
)


def test_form_1() -> None:
    secret, chal = bytes(range(32)), TICKET.chal
    wire = FORM1.seal_ticket(TICKET, secret, bytes(4))
    assert wire.hex() == TICKET_WIRE
    assert FORM1.unseal_ticket(wire, TS, secret, chal) == TICKET
    sealed = FORM1.seal_auth(AUTH, TICKET.key, (1).to_bytes(4, "little"))
    assert sealed.hex() == AUTH_WIRE
    assert FORM1.unseal_auth(sealed, AC, TICKET.key, chal) == AUTH
    assert (FORM1.ticket, FORM1.authenticator) == (124, 68)
    assert (FORM0.ticket, FORM0.authenticator) == (72, 13)


@pytest.mark.parametrize("form", [FORM0, FORM1])
def test_what_is_no_ticket(form: object) -> None:
    assert form in (FORM0, FORM1)
    form = FORM0 if form is FORM0 else FORM1
    secret, chal = bytes(range(1, form.key + 1)), b"12345678"
    ticket = Ticket(TS, chal, "c", "s", bytes(form.key))
    wire = form.seal_ticket(ticket, secret, bytes(4))
    assert form.unseal_ticket(wire, TS, secret, chal) == ticket
    for bad in (
        (wire, TC, secret, chal),
        (wire, TS, bytes(form.key), chal),
        (wire, TS, secret, b"12345679"),
        (b"\0" + wire[1:], TS, secret, chal),
    ):
        with pytest.raises(TicketError):
            form.unseal_ticket(*bad)
    auth = form.seal_auth(Authenticator(AS, chal, bytes(form.rand)), secret, bytes(4))
    with pytest.raises(TicketError):
        form.unseal_auth(auth, AC, secret, chal)


def test_ticket_requests() -> None:
    request = Ticketreq(1, "bootes", "plan9.example", b"12345678", "a", "b")
    wire = request.pack()
    assert len(wire) == 141
    assert wire[:8] == b"\1bootes\0"
    assert wire[29:43] == b"plan9.example\0"
    assert wire[77:88] == b"12345678a\0\0"
    assert Ticketreq.unpack(wire) == request
    with pytest.raises(TicketError, match="name too long"):
        replace(request, uid="x" * 28).pack()
    with pytest.raises(TicketError, match="malformed name"):
        Ticketreq.unpack(wire[:1] + b"\xff" + wire[2:])


PROTOS = ["p9sk1", "dp9ik"]
HOST = "dom=d user=bootes !password=host"
USER = "dom=d user=glenda !password=pass"


def pair(
    proto: str, client: str, server: str, env: Env, more: str = ""
) -> tuple[Local, Local]:
    return (
        local(f"proto={proto} role=client", f"proto={proto} {client}", env=env),
        local(f"proto={proto} role=server", f"proto={proto} {server} {more}", env=env),
    )


def with_server(server: AuthServer) -> Env:
    return replace(world("as"), ask=server.ask)


def auth_server() -> AuthServer:
    return AuthServer({"bootes": "host", "glenda": "pass"}, chance("authsrv"))


@pytest.mark.parametrize("proto", PROTOS)
def test_by_an_authentication_server(proto: str) -> None:
    authority = auth_server()
    c, s = pair(proto, USER, HOST, with_server(authority), "role=server")
    said = talk(c, s)
    assert [len(m) for m in said] == (
        [8, 141, 85, 13] if proto == "p9sk1" else [8, 197, 56, 192, 68]
    )
    assert c.info is not None
    assert s.info is not None
    assert (s.info.cuid, s.info.suid) == ("glenda", "glenda")
    assert c.info.secret == s.info.secret
    assert len(s.info.secret.reveal()) == (8 if proto == "p9sk1" else 256)
    assert authority.asked == ["d"]
    assert c.verdicts == [True]


@pytest.mark.parametrize("proto", PROTOS)
def test_without_one_by_a_shared_key(proto: str) -> None:
    c, s = pair(proto, USER, USER, world("no as"))
    talk(c, s)
    assert s.info is not None
    assert s.info.cuid == "glenda"


@pytest.mark.parametrize("proto", PROTOS)
def test_without_one_others_are_lost(proto: str) -> None:
    c, s = pair(proto, USER, HOST, world("no as"))
    with pytest.raises(ProtoError, match="no authentication server for d"):
        talk(c, s)


@pytest.mark.parametrize("proto", PROTOS)
def test_a_shared_key_vouches_for_its_user_only(proto: str) -> None:
    c, s = pair(proto, USER, HOST, with_server(auth_server()))
    with pytest.raises(ProtoError, match="vouches for no other"):
        talk(c, s)


@pytest.mark.parametrize("proto", PROTOS)
def test_wrong_client_password(proto: str) -> None:
    wrong = "dom=d user=glenda !password=PASS"
    c, s = pair(proto, wrong, HOST, with_server(auth_server()), "role=server")
    with pytest.raises(BadKey, match="key mismatch with auth server"):
        talk(c, s)
    assert c.verdicts == [False]


@pytest.mark.parametrize("proto", PROTOS)
def test_wrong_server_password(proto: str) -> None:
    wrong = "dom=d user=bootes !password=ghost"
    c, s = pair(proto, USER, wrong, with_server(auth_server()), "role=server")
    with pytest.raises(
        ProtoError, match="client's ticket or authenticator is not good"
    ):
        talk(c, s)


@pytest.mark.parametrize("proto", PROTOS)
def test_tickets_for_another_challenge(proto: str) -> None:
    authority = auth_server()
    authority.lie = b"replayed"
    c, s = pair(proto, USER, HOST, with_server(authority), "role=server")
    with pytest.raises(BadKey):
        talk(c, s)


@pytest.mark.parametrize("proto", PROTOS)
def test_a_replayed_dialogue_is_refused(proto: str) -> None:
    env = with_server(auth_server())
    c, s = pair(proto, USER, HOST, env, "role=server")
    said = talk(c, s)
    _, again = pair(proto, USER, HOST, env, "role=server")
    again.write(said[0])
    again.read()
    for message in said[2:-2]:
        again.write(message)
    with pytest.raises(ProtoError, match="not good"):
        again.write(said[-2])


@pytest.mark.parametrize("proto", PROTOS)
def test_a_server_that_does_not_know(proto: str) -> None:
    env = with_server(auth_server())
    c, s = pair(proto, USER, HOST, env, "role=server")
    c_said = [c.read() or b""]
    s.write(c_said[0])
    c.write(s.read() or b"")
    while c.sends:
        s.write(c.read() or b"")
    last = bytearray(s.read() or b"")
    last[-1] ^= 1
    with pytest.raises(ProtoError, match="server's authenticator is not good"):
        c.write(bytes(last))


def test_a_request_of_another_type() -> None:
    for proto, kind, extra in (("p9sk1", 19, b""), ("dp9ik", 1, bytes(56))):
        c = local(f"proto={proto} role=client", f"proto={proto} {USER}")
        c.read()
        with pytest.raises(ProtoError, match="another type"):
            c.write(Ticketreq(kind, "bootes", "d", b"12345678").pack() + extra)


def test_a_half_that_is_no_point() -> None:
    c = local("proto=dp9ik role=client", f"proto=dp9ik {USER}")
    c.read()
    with pytest.raises(ProtoError, match="malformed point"):
        c.write(Ticketreq(19, "glenda", "d", b"12345678").pack() + b"\xff" * 56)


def test_hex_keys() -> None:
    made = deskey.passtokey(b"pass").hex()
    c, s = pair("p9sk1", f"dom=d user=glenda !hex={made}", USER, world())
    talk(c, s)
    made = aeskey(b"pass").hex()
    c, s = pair("dp9ik", f"dom=d user=glenda !hex={made}", USER, world())
    talk(c, s)


BAD_KEYS = [
    (P9SK1, "!hex=00", "malformed key data"),
    (P9SK1, "!hex=zz", "malformed key data"),
    (P9SK1, "", "want !password"),
    (DP9IK, "!hex=00112233445566", "malformed key data"),
]


@pytest.mark.parametrize(("row", "text", "why"), BAD_KEYS)
def test_bad_keys(row: object, text: str, why: str) -> None:
    proto = P9SK1 if row is P9SK1 else DP9IK
    with pytest.raises(MailfsError, match=why):
        proto.check(key(f"proto={proto.name} user=a dom=d {text}"))


# p9any: (the server's offers, the client's choice, or why it fails)
OFFERS = [
    (b"p9sk1@d\0", b"p9sk1 d\0"),
    (b"p9sk1@d dp9ik@d\0", b"dp9ik d\0"),
    (b"p9sk2@d p9sk1@d\0", b"p9sk1 d\0"),
    (b"v.2 p9sk1@d\0", b"p9sk1 d\0"),
    (b"'p9sk1@d'\0", b"p9sk1 d\0"),
    (b"v.3 p9sk1@d\0", "unknown version"),
    (b"\0", "no common protocols"),
    (b"p9sk1\0", "no common protocols"),
    (b"p9sk2@d\0", "no common protocols"),
    (b"\xff@d\0", "malformed offer"),
]


@pytest.mark.parametrize(("offer", "choice"), OFFERS)
def test_p9any_client(offer: bytes, choice: bytes | str) -> None:
    conv = local("proto=p9any role=client", f"proto=p9sk1 {USER}")
    if isinstance(choice, str):
        with pytest.raises(ProtoError, match=choice):
            conv.write(offer)
        return
    conv.write(offer)
    assert conv.read() == choice
    if offer.startswith(b"v.2"):
        conv.write(b"OK\0")
    assert len(conv.read() or b"") == 8


def test_p9any_client_keeps_to_a_domain() -> None:
    conv = local("proto=p9any role=client dom=e", f"proto=p9sk1 {USER}")
    conv.write(b"p9sk1@d p9sk1@e\0")
    assert conv.read() == b"p9sk1 e\0"


def test_p9any_wants_the_confirmation() -> None:
    conv = local("proto=p9any role=client", f"proto=p9sk1 {USER}")
    conv.write(b"v.2 p9sk1@d\0")
    conv.read()
    with pytest.raises(ProtoError, match="does not confirm"):
        conv.write(b"NO\0")


@pytest.mark.parametrize("proto", PROTOS)
def test_p9any(proto: str) -> None:
    text = f"proto={proto} {USER}"
    c = local("proto=p9any role=client", text, env=world("c"))
    s = local("proto=p9any role=server", text, env=world("s"))
    said = talk(s, c)
    assert said[0].startswith(b"p9sk1@d dp9ik@d")
    assert s.info is not None
    assert s.info.cuid == "glenda"


CHOICES = [b"p9sk1\0", b"p9sk1 e\0", b"p9sk2 d\0", b"p9sk1 d x\0", b"\xff\0", b"\0"]


@pytest.mark.parametrize("choice", CHOICES)
def test_p9any_server_refuses(choice: bytes) -> None:
    conv = local("proto=p9any role=server", f"proto=p9sk1 {USER}")
    conv.read()
    with pytest.raises(ProtoError, match=r"unable to find common key|malformed"):
        conv.write(choice)


def test_p9any_server_without_keys() -> None:
    with pytest.raises(ProtoError, match="no valid keys"):
        local("proto=p9any role=server")


# Over sockets: what each reply of the server becomes.
REPLIES = [
    (b"\4" + b"x" * 10, ""),
    (b"\5" + b"no such\x1b thing".ljust(64, b"\0"), "remote: no such thing"),
    (b"\6", "AS protocol botch"),
    (b"\4xxx", "hung up"),
    (b"", "hung up"),
]


@pytest.mark.parametrize(("reply", "why"), REPLIES)
def test_asking(reply: bytes, why: str) -> None:
    with Listener([(3, reply)]) as listener:
        ask = asker(lambda dom: listener.address if dom == "d" else "")
        if why:
            with pytest.raises(MailfsError, match=why):
                ask("d", [(b"req", 10)])
        else:
            assert ask("d", [(b"req", 10)]) == [b"x" * 10]
        assert listener.heard == b"req"
    with pytest.raises(AuthUnreachable):
        ask("d", [(b"req", 10)])
    with pytest.raises(AuthUnreachable):
        ask("e", [(b"req", 10)])


NDB = """
dom=plan9.example auth=second
authdom=plan9.example
	auth=first
authdom=other.example
dom=other.example auth=third
"""


@pytest.mark.parametrize(
    ("dom", "want"),
    [("plan9.example", "first"), ("other.example", "third"), ("no.example", "")],
)
def test_where_the_server_is(dom: str, want: str) -> None:
    assert locate(NDB, dom) == want
