"""COMPRESS: replies are whole, bombs are bounded, junk ends the connection."""

import zlib

import pytest

from mailfs.serve.imapd.compress import MAX_INFLATED, BadDeflate, Deflate
from tests.serve.imapd.served import PASSWORD, Served


def _deflated(octets: bytes, how: int = zlib.Z_SYNC_FLUSH) -> bytes:
    out = zlib.compressobj(wbits=-15)
    return out.compress(octets) + out.flush(how)


@pytest.mark.parametrize(
    "how", [zlib.Z_SYNC_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_FULL_FLUSH]
)
def test_any_flush_is_read(how: int) -> None:
    one = Deflate()
    text = b"a noop\r\n" * 9
    for octet in _deflated(text, how):
        one.feed(bytes([octet]))
    found = b""
    while part := one.take():
        found += part
    assert found == text


def test_a_bomb_is_inflated_bit_by_bit() -> None:
    one = Deflate()
    one.feed(_deflated(bytes(100 << 20)))
    assert len(one.take()) == len(one.take()) == MAX_INFLATED


def test_junk() -> None:
    one = Deflate()
    one.feed(b"\xff\xff\xff")
    with pytest.raises(BadDeflate):
        one.take()
    ended = Deflate()
    ended.feed(_deflated(b"x", zlib.Z_FINISH) + b"y")
    assert ended.take() == b"x"
    with pytest.raises(BadDeflate):
        ended.take()


def test_a_conversation(served: Served) -> None:
    with served.line() as line:
        line.ask(f"a login {served.user} {PASSWORD}".encode())
        assert line.ask(b"b compress deflate")[-1].startswith(b"b OK")
        out, into = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)
        said = b""
        for command in (b"c select inbox\r\n", b"d idle\r\n", b"done\r\n"):
            line.send(out.compress(command) + out.flush(zlib.Z_SYNC_FLUSH))
            said = b""
            while not said.endswith(b"\r\n"):
                said += into.decompress(line.sock.recv(4096))
        assert said == b"d OK IDLE completed\r\n"
        line.send(b"\xff" * 9)
        assert line.sock.recv(4096) == b""
