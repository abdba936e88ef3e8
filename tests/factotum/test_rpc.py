"""The rpc file: framing, verbs, replies, phases, missing keys; factotum(4), auth(3)."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailfs.errors import Refused
from mailfs.factotum.client import unmarshal
from mailfs.factotum.ticket import Ticketreq
from tests.factotum.authserver import AuthServer
from tests.factotum.serving import Rpc, Served, serving
from tests.factotum.world import chance, world

BOB = "proto=pass service=imap server=imap.x.com user=bob !password='it''s a b=c'"
AL = "proto=apop proto=cram server=pop.x.com user=al !password=secret"
TCP = "proto=totp user=al !secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
DIALOGUES = {
    "pass": [
        ("start proto=pass role=client service=imap server=imap.x.com", "ok"),
        ("read", "ok bob 'it''s a b=c'"),
        ("read", "done"),
        ("read ", "done"),
        ("authinfo", "ok " + "\0" * 8),
        ("attr", "ok proto=pass role=client service=imap server=imap.x.com user=bob"),
    ],
    "pass without a role": [
        ("start proto=pass service=imap", "ok"),
        ("write x", "phase protocol phase error: write when read is wanted"),
        ("read", "ok bob 'it''s a b=c'"),
    ],
    "apop": [
        ("start proto=apop role=client server=pop.x.com", "ok"),
        ("authinfo", "error authentication unfinished"),
        ("read", "phase protocol phase error: read when write is wanted"),
        ("write <1896.697170952@dbc.mtview.ca.us>", "ok"),
        ("read", "ok 3f18b52881e44c0cc6067f46e0ced7bc"),
        ("attr", "ok proto=apop role=client server=pop.x.com user=al"),
        ("read", "done"),
        ("write x", "phase protocol phase error: write when read is wanted"),
    ],
    "hex": [
        ("start proto=cram role=client server=pop.x.com", "ok"),
        ("writehex 3c31", "ok"),
        ("readhex", "ok " + b"00d875529a9bfdf26384b10958783432".hex()),
    ],
    "a start ends what was before": [
        ("start proto=pass service=imap", "ok"),
        ("start proto=apop role=client", "ok"),
        ("read", "phase protocol phase error: read when write is wanted"),
        ("start nonsense", "error did not specify proto"),
        ("read", "error no current protocol"),
    ],
    "the time": [("start proto=totp", "ok"), ("read", "ok 921300"), ("read", "done")],
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogues(served: Served, name: str) -> None:
    served.add(BOB, AL, TCP)
    with served.client() as client:
        rpc = Rpc(client)
        for request, reply in DIALOGUES[name]:
            assert rpc(request).decode() == reply, request


STARTS = [
    ("start", "error did not specify proto"),
    ("start role=client", "error did not specify proto"),
    ("start proto=nonsense", "error unknown protocol nonsense"),
    ("start proto=apop", "error role not specified"),
    ("start proto=apop role=judge", "error unknown role judge"),
    ("start proto=p9any role=server", "error no valid keys"),
    ("start " + "a " * 300, "error more than 256 attributes"),
    (b"start \xff", "error attributes are not UTF-8"),
    ("read", "error no current protocol"),
    ("write", "error no current protocol"),
    ("attr", "error no current protocol"),
    ("authinfo", "error no current protocol"),
    ("dance", "error unknown verb"),
    ("", "error unknown verb"),
    (" read", "error unknown verb"),
    ("writehex 0", "error bad hex"),
    (b"writehex \xff", "error bad hex"),
]


@pytest.mark.parametrize(("request_", "reply"), STARTS)
def test_what_cannot_be_meant(
    served: Served, request_: bytes | str, reply: str
) -> None:
    with served.client() as client:
        assert Rpc(client)(request_).decode() == reply


def test_one_write_one_read(served: Served) -> None:
    with served.client() as client:
        rpc = Rpc(client)
        with pytest.raises(Refused, match="no rpc pending"):
            rpc.file.read(4096)
        rpc.file.write(b"read")
        with pytest.raises(Refused, match="rpc already pending; read to clear"):
            rpc.file.write(b"read")
        assert rpc.file.read(4096) == b"error no current protocol"
        with pytest.raises(Refused, match="no rpc pending"):
            rpc.file.read(4096)


def test_requests_are_bounded(served: Served) -> None:
    with served.client() as client:
        rpc = Rpc(client)
        assert rpc(b"write " + b"x" * 4089) == b"error no current protocol"
        with pytest.raises(Refused, match="rpc too large"):
            rpc.file.write(b"write " + b"x" * 4090)


def test_a_reader_without_room(served: Served) -> None:
    served.add(BOB)
    with served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=pass")
        assert rpc("read", 19) == b"toosmall 17"
        with pytest.raises(Refused, match="rpc read too small"):
            rpc("read", 2)
        assert rpc("attr", 30) == b"error read too small"
        assert rpc("readhex", 36) == b"toosmall 17"
        assert rpc("read", 20) == b"ok bob 'it''s a b=c'"


def test_a_message_in_pieces(served: Served) -> None:
    served.add("proto=p9sk1 dom=d user=glenda !password=x")
    with served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=p9any role=client")
        assert rpc("write ") == b"toosmall 4096"
        assert rpc("write p9sk1@d") == b"toosmall 4096"
        assert rpc("write p9sk1@d\0") == b"ok"
        assert rpc("read") == b"ok p9sk1 d\0"
        assert len(rpc("read")) == 3 + 8
        assert rpc("write " + "x" * 10) == b"toosmall 141"
        assert rpc("write " + "x" * 142) == b"error message too long: want 141 octets"


def test_a_missing_key_at_the_start(served: Served) -> None:
    with served.client() as client:
        rpc = Rpc(client)
        start = "start proto=pass role=client server=mit.edu user=al"
        want = b"needkey !password? proto=pass server=mit.edu user=al"
        assert rpc(start) == want
        assert rpc(start) == want
        assert rpc("read") == b"error no current protocol"
        served.add("proto=pass server=mit.edu user=al !password=x")
        assert rpc(start) == b"ok"
        assert rpc("read") == b"ok al x"


def test_a_missing_key_at_a_write(served: Served) -> None:
    with served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=apop role=client server=mit.edu")
        want = b"needkey !password? proto=apop server=mit.edu user?"
        assert rpc("write <1>") == want
        assert rpc("write <1>") == want
        assert rpc("read") == want
        served.add("proto=apop server=mit.edu user=al !password=x")
        assert rpc("write <1>") == b"ok"
        assert len(rpc("read")) == 3 + 32
        assert rpc("read") == b"done"


def test_the_same_octets_twice_are_two_messages(served: Served) -> None:
    served.add("proto=login user=a !password=b")
    with served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=login role=client")
        assert [rpc("write x"), rpc("read")] == [b"ok", b"ok a"]
        assert [rpc("write x"), rpc("read")] == [b"ok", b"ok b"]


def test_the_same_octets_in_two_writes(served: Served) -> None:
    with served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=cram role=server")
        rpc("read")
        assert rpc("write " + "0" * 32) == b"ok"
        assert rpc("write " + "0" * 32) == b"error authentication failed"


def test_a_server_allows_another_try(served: Served) -> None:
    served.add("proto=cram role=server user=al !password=secret")
    with served.client() as client:
        rpc, helper = Rpc(client), Rpc(client)
        rpc("start proto=cram role=server")
        challenge = rpc("read")[3:]
        served.add(AL)
        helper("start proto=cram role=client server=pop.x.com")
        helper(b"write " + challenge)
        right = helper("read")[3:]
        for response, reply in (
            (b"0" * 32, b"error authentication failed"),
            (right, b"ok"),
        ):
            assert rpc("write al") == b"ok"
            assert rpc(b"write " + response) == reply
        assert rpc("read") == b"done haveai"
        assert unmarshal(rpc("authinfo")[3:]).cuid == "al"


def test_a_server_allows_five_tries(served: Served) -> None:
    with served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=cram role=server")
        rpc("read")
        for _ in range(5):
            assert rpc("write al") == b"ok"
            assert rpc("write " + "0" * 32).startswith(b"error ")
        assert rpc("write al") == b"error too many failures"
        assert rpc("authinfo") == b"error too many failures"


def test_a_key_that_serves_must_say_so(served: Served) -> None:
    served.add("proto=plain user=al !password=secret")
    with served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=plain role=server")
        assert rpc(b"write \0al\0secret") == b"error authentication failed"
        served.add("proto=plain role=server user=al dom=x !password=secret")
        rpc("start proto=plain role=server")
        assert rpc(b"write \0al\0secret") == b"ok"


def test_a_refused_key_is_bad(served: Served) -> None:
    served.add("proto=scram-sha-256 dom=x user=al !password=secret")
    with served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=scram-sha-256 role=client")
        first = rpc("read")[3:]
        nonce = first.partition(b"r=")[2]
        assert rpc(b"write r=" + nonce + b"x,s=QSXC,i=4096") == b"ok"
        rpc("read")
        assert rpc("write e=invalid-proof") == b"error server refuses: invalid-proof"
        assert rpc("read").split(b"\n") == [
            b"badkey proto=scram-sha-256 dom=x user=al !password?",
            b"server refuses: invalid-proof",
            b"proto=scram-sha-256 dom=x user?",
        ]


def test_a_plan9_key_that_never_worked_is_disabled(tmp_path: Path) -> None:
    # The ticket cannot be opened: the authentication server has another password.
    authority = AuthServer({"bootes": "host", "glenda": "right"}, chance())
    env = replace(world(), ask=authority.ask)
    text = "proto=p9sk1 dom=d user=glenda !password=wrong"
    request = Ticketreq(1, "bootes", "d", b"12345678").pack()
    with serving(tmp_path, text, env=env) as served, served.client() as client:
        rpc = Rpc(client)
        rpc("start proto=p9sk1 role=client")
        rpc("read")
        assert rpc(b"write " + request) == b"error key mismatch with auth server"
        assert rpc("read").startswith(b"badkey proto=p9sk1 dom=d user=glenda")
        assert client.read("ctl") == (
            b"key proto=p9sk1 dom=d user=glenda disabled=by.factotum !password?\n"
        )


def test_other_users_get_their_own_keys_only(served: Served) -> None:
    served.add(
        "proto=pass server=a user=me !password=mine",
        "proto=pass server=b user=bob owner=bob !password=his",
        "proto=pass server=c user=all owner=* !password=any",
    )
    with served.client("bob") as client:
        rpc = Rpc(client)
        for server, reply in (("a", b"error no key"), ("b", b"ok"), ("c", b"ok")):
            assert rpc(f"start proto=pass server={server}").startswith(reply)
        assert [line.split()[2] for line in client.read("ctl").splitlines()] == [
            b"server=b",
            b"server=c",
        ]
        with pytest.raises(Refused, match="permission denied"):
            client.open("ctl", 1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [
                *(b"start proto=apop role=server", b"start proto=plain role=server"),
                *(b"start proto=p9any role=client", b"start proto=cram role=client"),
                *(b"start proto=scram-sha-1 role=server", b"readhex", b"authinfo"),
                *(b"read", b"attr", b"write <1>"),
            ]
        )
        | st.binary(max_size=40).map(lambda b: b"write " + b)
        | st.binary(max_size=20),
        max_size=8,
    )
)
def test_any_requests_are_answered(served: Served, requests: list[bytes]) -> None:
    verbs = (b"ok", b"done", b"error", b"needkey", b"badkey", b"phase", b"toosmall")
    with served.client() as client:
        rpc = Rpc(client)
        for request in requests:
            assert rpc(request).partition(b" ")[0] in verbs
