import base64
import mmap
import quopri
import tempfile
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailfs.msg import coding, header, part, window
from mailfs.msg.part import Part, dump, load, parse
from tests.msg.cuts import Windowed

Tree = tuple[str, bytes, list["Tree"]]  # type, body, parts


def tree(octets: bytes, p: Part) -> Tree:
    """Return what a part and its children are, with the octets they stand for."""
    inner = coding.decode(octets[p.body : p.end], p.encoding) if p.inset else octets
    return p.type, octets[p.body : p.end], [tree(inner, c) for c in p.parts]


def leaf(body: bytes, kind: str = "text/plain") -> Tree:
    return kind, body, []


def multipart(boundary: bytes, *lines: bytes, kind: bytes = b"mixed") -> bytes:
    head = b'Content-Type: multipart/%s; boundary="%s"\n\n' % (kind, boundary)
    return head + b"\n".join(lines)


P, H = b"Content-Type: text/plain\n\n", b"Content-Type: text/html\n\n"

# Bodies of a multipart/mixed with the boundary b, and the parts in it.
BODIES: list[tuple[bytes, list[Tree]]] = [
    (b"", []),
    (b"no boundary line\n", []),
    (b"--b--\n", []),
    (b"--b\n\na\n--b--\n", [leaf(b"a\n")]),
    (b"preamble\n--b\n\na\n--b\n\nc\n--b--\nepilogue\n", [leaf(b"a\n"), leaf(b"c\n")]),
    (b"--b\n" + H + b"a\n--b--", [leaf(b"a\n", "text/html")]),
    # No end: the last part has the rest.
    (b"--b\n\na\n--b\n\nc\nrest", [leaf(b"a\n"), leaf(b"c\nrest")]),
    (b"--b\n\na\n--b", [leaf(b"a\n")]),
    (b"--b", []),
    # Boundary lines and what only looks like one.
    (b"--b \t\r\n\na\n--b-- \n", [leaf(b"a\n")]),
    (b"--b\n\n--bb\n--b-\n--b--x\n--bxy\n --b\n-b\nx--b\n--B\n--b--\n",
     [leaf(b"--bb\n--b-\n--b--x\n--bxy\n --b\n-b\nx--b\n--B\n")]),
    (b"--b\n\na\n--b--\n--b\n\nc\n", [leaf(b"a\n")]),
    (b"--b\n\na--b\n--b\n\nc", [leaf(b"a--b\n"), leaf(b"c")]),
    (b"--b\n\na\n\n--b--\n", [leaf(b"a\n\n")]),
    (b"--b" + b" " * 2000 + b"\n\na\n--b\n\nc\n", [leaf(b"c\n")]),
    # Two in a row make no part; a header without body, or neither, does.
    (b"--b\n--b\n\na\n--b\n--b--\n", [leaf(b"a\n")]),
    (b"--b\n\n--b--\n", [leaf(b"")]),
    (b"--b\n" + H[:-1] + b"--b\n\na\n--b--\n", [leaf(b"", "text/html"), leaf(b"a\n")]),
    (b"--b\nX: y\nZ\n--b\n\na", [leaf(b"Z\n"), leaf(b"a")]),
    (b"--b\n" + H[:-1] + b"--x\n\na\n", [leaf(b"--x\n\na\n", "text/html")]),
    (b"--b\n--x: y\n\na\n", [leaf(b"a\n")]),
    (b"--b\n" + multipart(b"i:j", b"--i:j", b"--i:j\n", b"x", b"--b\n", b"y"),
     [("multipart/mixed", b"--i:j\n--i:j\n\nx\n", [leaf(b"x\n")]), leaf(b"y")]),
    # No header and no empty line: it is body.
    (b"--b\nplain words\n\nmore\n--b--\n", [leaf(b"plain words\n\nmore\n")]),
    (b"--b\n--c\nx: y\n\nmore\n--b--\n", [leaf(b"--c\nx: y\n\nmore\n")]),
    # The boundary of an outer multipart ends the inner one.
    (b"--b\n" + multipart(b"i", b"--i\n", b"x", b"--b\n", b"y", b"--i\n", b"z"),
     [("multipart/mixed", b"--i\n\nx\n", [leaf(b"x\n")]), leaf(b"y\n--i\n\nz")]),
    # Boundaries that begin alike, end in dashes, or are the same.
    (b"--b\n" + multipart(b"bb", b"--bb", b"", b"x", b"--bb--", b"--b", b"", b"y"),
     [("multipart/mixed", b"--bb\n\nx\n--bb--\n", [leaf(b"x\n")]), leaf(b"y")]),
    (b"--b\n" + multipart(b"b--", b"--b--", b"", b"x", b"--b----", b"--b", b"", b"y"),
     [("multipart/mixed", b"--b--\n\nx\n--b----\n", [leaf(b"x\n")]), leaf(b"y")]),
    (b"--b\n" + multipart(b"b", b"--b", b"", b"x", b"--b--", b"--b", b"", b"y"),
     [("multipart/mixed", b"--b\n\nx\n--b--\n", [leaf(b"x\n")]), leaf(b"y")]),
    # A multipart without boundary, or whose lines never come, has no parts.
    (b"--b\nContent-Type: multipart/mixed\n\n--x\n\ny\n--b--\n",
     [leaf(b"--x\n\ny\n", "multipart/mixed")]),
    (b"--b\nContent-Type: multipart/mixed; boundary=q\n\n--x\n\ny\n--b--\n",
     [leaf(b"--x\n\ny\n", "multipart/mixed")]),
    # Messages.
    (b"--b\nContent-Type: message/rfc822\n\nSubject: s\n\nx\n--b--\n",
     [("message/rfc822", b"Subject: s\n\nx\n", [leaf(b"x\n")])]),
    (b"--b\nContent-Type: message/global\n\n" + H + b"x\n--b--\n",
     [("message/global", H + b"x\n", [leaf(b"x\n", "text/html")])]),
    (b"--b\nContent-Type: message/rfc822\n\n--b--\n", [leaf(b"", "message/rfc822")]),
    (b"--b\nContent-Type: message/rfc822\n--b--\n", [leaf(b"", "message/rfc822")]),
    (b"--b\nContent-Type: message/rfc822\n\nSubject: s\n--b\n\nx",
     [("message/rfc822", b"Subject: s\n", [leaf(b"")]), leaf(b"x")]),
    (b"--b\nContent-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: b\n\nx",
     [("message/rfc822", b"Content-Type: message/rfc822\n\nA: b\n\nx",
       [("message/rfc822", b"A: b\n\nx", [leaf(b"x")])])]),
    *((b"--b\nContent-Type: message/%s\n\nA: b\n\nx" % kind,
       [leaf(b"A: b\n\nx", "message/" + kind.decode())])
      for kind in (b"partial", b"external-body", b"delivery-status", b"x")),
    (b"--b\nContent-Type: text/rfc822-headers\n\nA: b\n\nx",
     [leaf(b"A: b\n\nx", "text/rfc822-headers")]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "parts"), BODIES)
def test_multipart(body: bytes, parts: list[Tree]) -> None:
    octets = multipart(b"b", body)
    p = parse(octets)
    assert tree(octets, p) == ("multipart/mixed", body, parts)
    assert parse(octets, header=header.scan(octets)) == p
    # The same with network line ends, and inside something larger.
    crlf = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if b"\t\r" not in body:
        want = str(("multipart/mixed", body, parts)).replace("\\n", "\\r\\n")
        assert str(tree(crlf, parse(crlf))) == want
    before = b"--b\nContent-Type: text/plain\n\n--b\n"
    inside = before + octets + b"\n--b\n\nmore"
    shifted = parse(inside, len(before), len(before) + len(octets))
    assert tree(inside, shifted) == tree(octets, p)


def test_nested_example() -> None:
    """The structure of RFC 2046 section 5.1.1 and appendix A of RFC 2049."""
    octets = b"""\
MIME-Version: 1.0
From: Nathaniel Borenstein <nsb@nsb.fv.com>
To: Ned Freed <ned@innosoft.com>
Date: Fri, 07 Oct 1994 16:15:05 -0700 (PDT)
Subject: A multipart example
Content-Type: multipart/mixed;
              boundary=unique-boundary-1

This is the preamble area of a multipart message.

--unique-boundary-1

  ... Some text appears here ...

--unique-boundary-1
Content-type: text/plain; charset=US-ASCII

This could have been part of the previous part.

--unique-boundary-1
Content-Type: multipart/parallel; boundary=unique-boundary-2

--unique-boundary-2
Content-Type: audio/basic
Content-Transfer-Encoding: base64

  ... base64-encoded 8000 Hz single-channel
--unique-boundary-2
Content-Type: image/jpeg
Content-Transfer-Encoding: base64

  ... base64-encoded image data goes here ...

--unique-boundary-2--

--unique-boundary-1
Content-type: text/enriched

This is <bold>enriched.</bold>

--unique-boundary-1
Content-Type: message/rfc822

From: (mailbox in US-ASCII)
To: (address in US-ASCII)
Subject: (subject in US-ASCII)
Content-Type: Text/plain; charset=ISO-8859-1
Content-Transfer-Encoding: Quoted-printable

  ... Additional text in ISO-8859-1 goes here ...

--unique-boundary-1--
"""
    p = parse(octets)
    kinds = [(q.type, q.charset, q.encoding, q.message) for q in p.walk()]
    assert kinds == [
        ("multipart/mixed", "", "", True),
        ("text/plain", "", "", False),
        ("text/plain", "us-ascii", "", False),
        ("multipart/parallel", "", "", False),
        ("audio/basic", "", "base64", False),
        ("image/jpeg", "", "base64", False),
        ("text/enriched", "", "", False),
        ("message/rfc822", "", "", False),
        ("text/plain", "iso-8859-1", "quoted-printable", True),
    ]
    first, last = p.parts[0], p.parts[-1].parts[0]
    assert octets[first.start : first.end] == b"\n  ... Some text appears here ...\n\n"
    assert octets[last.start :].startswith(b"From: (mailbox in US-ASCII)\n")
    assert octets[last.body : last.end].strip().endswith(b"goes here ...")


def test_digest() -> None:
    octets = multipart(
        b"d", b"--d", b"", b"From: a", b"", b"x", b"--d", b"Content-Type: text/html",
        b"", b"y", b"--d--", kind=b"digest",
    )  # fmt: skip
    assert tree(octets, parse(octets))[2] == [
        ("message/rfc822", b"From: a\n\nx\n", [leaf(b"x\n")]),
        leaf(b"y\n", "text/html"),
    ]


def test_values_of_a_part() -> None:
    octets = (
        b"Content-Type: Text/HTML; charset=UTF-8; name=other\n"
        b"Content-Transfer-Encoding: Quoted-Printable (x)\n"
        b'Content-Disposition: attachment; filename="in ner.eml"\n'
        b"Content-Description: =?utf-8?q?h=C3=A9?=\n\nbody"
    )
    assert parse(octets) == Part(
        0, len(octets) - 4, len(octets), "text/html", "utf-8", "quoted-printable",
        "file", "in_ner.eml", "hé", message=True,
    )  # fmt: skip
    p = parse(b"Content-Type: image/png; name=a.png\nContent-Disposition: inline\n\n")
    assert (p.disposition, p.filename) == ("inline", "a.png")
    p = parse(b"Content-Disposition: form-data; filename=x\n\n")
    assert (p.type, p.disposition, p.filename) == ("text/plain", "", "x")
    p = parse(b"Content-Type: image/png; name=a.png\n\n")
    assert (p.disposition, p.filename) == ("", "a.png")


def test_encoding_of_a_multipart_is_not_believed() -> None:
    head = b"Content-Transfer-Encoding: base64\n"
    octets = head + multipart(b"b", b"--b", b"", b"x", b"--b--")
    p = parse(octets)
    assert p.encoding == ""
    assert tree(octets, p)[2] == [leaf(b"x\n")]


@pytest.mark.parametrize("octets", [b"", b"\n", b"text", b"A: b", b"\r\n\r\n", b"\0"])
def test_small_messages(octets: bytes) -> None:
    p = parse(octets)
    h = header.scan(octets)
    assert (p.start, p.body, p.end, p.parts) == (0, h.body, len(octets), [])
    assert p.message


INNER = b"From: x\nContent-Type: text/html\n\n<p>caf\xc3\xa9 = a very long line</p>\n"
ENCODED = [
    (b"base64", base64.encodebytes(INNER)),
    (b"quoted-printable", quopri.encodestring(INNER)),
]


@pytest.mark.parametrize(("encoding", "body"), ENCODED)
def test_encoded_message(encoding: bytes, body: bytes) -> None:
    head = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: %s\n\n" % encoding
    octets = multipart(b"b", b"--b", head + body + b"--b", b"", b"after", b"--b--")
    wrapper, after = parse(octets).parts
    assert wrapper.inset
    assert wrapper.encoding == encoding.decode()
    decoded = coding.decode(octets[wrapper.body : wrapper.end], wrapper.encoding)
    (child,) = wrapper.parts
    assert (child.start, child.end, child.message) == (0, len(decoded), True)
    assert tree(decoded, child) == leaf(INNER[33:], "text/html")
    assert tree(octets, after) == leaf(b"after\n")
    assert parse(Windowed(octets)) == parse(octets)


def test_encoded_messages_within_one_another_are_bounded() -> None:
    octets = b"Subject: the innermost\n\nx"
    for _ in range(part.MAX_INSETS + 2):
        octets = (
            b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
            + base64.encodebytes(octets)
        )
    kinds = [(p.type, p.inset) for p in parse(octets).walk()]
    want = [("message/rfc822", True)] * part.MAX_INSETS
    assert kinds == [*want, ("message/rfc822", False)]


def test_an_encoded_message_too_long_is_a_leaf() -> None:
    head = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
    octets = head + base64.encodebytes(b"A: b\n\nx")
    with patch.object(part, "MAX_INSET", len(octets) - len(head)):
        assert parse(octets).inset
    with patch.object(part, "MAX_INSET", len(octets) - len(head) - 1):
        p = parse(octets)
        assert (p.inset, p.parts) == (False, [])
    p = parse(head + b"!!!!")  # nothing is encoded there
    assert (p.inset, p.parts) == (False, [])


def depth(p: Part) -> int:
    level, deepest = [p], 0
    while level:
        level, deepest = [c for q in level for c in q.parts], deepest + 1
    return deepest


def test_deep_nesting_is_bounded() -> None:
    n = 1000
    opened = b"".join(b"--%d\n" % i + multipart(b"%d" % (i + 1)) for i in range(n))
    closed = b"".join(b"\n--%d--" % i for i in range(n, 0, -1))
    octets = multipart(b"0") + opened + b"--%d\n\nx" % n + closed
    p = parse(octets)
    assert depth(p) == part.MAX_DEPTH
    assert load(dump(p)) == p
    octets = b"Content-Type: message/rfc822\n\n" * n + b"\nx"
    p = parse(octets)
    assert depth(p) == part.MAX_DEPTH
    assert all(q.end == len(octets) for q in p.walk())


def test_number_of_parts_is_bounded() -> None:
    octets = multipart(b"b") + b"--b\n\nx\n" * 10_000 + b"--b--\n"
    p = parse(octets)
    assert len(p.parts) == 10_000
    assert {octets[q.body : q.end] for q in p.parts} == {b"x\n"}
    with patch.object(part, "MAX_PARTS", 500):
        p = parse(octets)
        assert len(p.parts) == 499
        last = p.parts[-1]
        assert octets[last.start : last.start + 4] == b"\nx\n-"
        assert last.end == len(octets)
        many = b"--b\n\nA: b\n\nx\n" * 1_000
        octets = multipart(b"b", kind=b"digest") + many
        assert sum(1 for _ in parse(octets).walk()) == 500
        inset = b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(octets)
        octets = b"Content-Type: message/rfc822\n" + inset
        assert sum(1 for _ in parse(octets).walk()) == 500
        octets = multipart(b"q") + (b"--q\n" + octets + b"\n") * 3
        with patch.object(part, "MAX_PARTS", 1_500):
            assert sum(1 for _ in parse(octets).walk()) == 1_500


def test_hostile_lines() -> None:
    n = 50_000
    head = multipart(b"b")
    for body in (b"--\n" * n, b"--x\n" * n, b"-- \n\n" * n, b"\n" * n, b"--" * n):
        assert parse(head + body + b"\n--b\n\nx").parts[0].end > len(body)
        inner = parse(head + b"--b\nA: b\n" + body + b"\n--b\n\nx").parts
        assert len(inner) == 2
    # Headers that never end: each is looked at once.
    octets = head + b"--b\nA: b\n" * 10_000
    assert len(parse(octets).parts) == 10_000
    octets = b"Content-Type: multipart/mixed; boundary=" + b"x" * 100_000 + b"\n\n--x"
    assert parse(octets).parts == []


def test_a_leaf_costs_no_look_at_its_body() -> None:
    source = Windowed(b"Subject: x\n\n" + b"--x\n" * 1_000_000)
    parse(source)
    assert source.read <= 2 * window.WINDOW
    source = Windowed(multipart(b"b", b"--b", b"") + b"x\n--y" * 600_000)
    assert len(parse(source).parts) == 1
    assert source.read <= len(source) * 5 // 4
    assert source.widest <= window.WINDOW


def test_source_shorter_than_it_says() -> None:
    class Short(Windowed):
        def __len__(self) -> int:
            return 2 * len(self.octets)

    octets = multipart(b"b", b"--b", b"", b"x")
    p = parse(Short(octets))
    assert p.parts[0].end <= 2 * len(octets)
    assert parse(Short(b"")).type == "text/plain"


def test_mmap() -> None:
    octets = multipart(b"b", b"--b", b"", b"x", b"--b--")
    with tempfile.TemporaryFile() as f:
        f.write(octets)
        f.flush()
        with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            assert parse(mapped) == parse(octets) == parse(bytearray(octets))


@pytest.mark.parametrize(
    "octets", [b"", b"{}", b"[]", b"[1]", b"x", dump(Part(0, 0, 0))[:-1], b"\xff"]
)
def test_load_refuses(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        load(octets)
    two = dump(Part(0, 0, 0))[:-1] + b"," + dump(Part(0, 0, 0))[1:]
    with pytest.raises(ValueError, match="not one part tree"):
        load(two)


PIECES = st.sampled_from(
    [
        b"--b\n",
        b"--b--\n",
        b"--bb\n",
        b"--b--",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"A: b\n",
        b"--",
        b"Content-Type: multipart/mixed; boundary=b\n\n",
        b"Content-Type: multipart/digest; boundary=bb\n\n",
        b"Content-Type: multipart/mixed; boundary=b--\n\n",
        b"Content-Type: message/rfc822\n\n",
        b"--b\r\n",
        b"x",
        b" ",
        b"--b \n",
        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n",
        b"QTogYg==",
    ]
)
NEAR = st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join)


def check_tiles(p: Part, size: int) -> None:
    """Parts lie in their parent's body, in order, without overlap."""
    assert 0 <= p.start <= p.body <= p.end <= size
    for q in p.walk():
        at = q.body
        assert q.start <= q.body <= q.end
        for child in () if q.inset else q.parts:
            assert child.start >= at
            assert child.start < child.end <= q.end
            at = child.end
        if q.parts and not q.type.startswith("multipart/"):
            assert len(q.parts) == 1
            assert q.parts[0].message
            assert q.inset or q.parts[0].start == q.body


@settings(max_examples=400, deadline=None)
@given(NEAR, st.integers(0, 9))
def test_any_octets_give_some_tree(octets: bytes, before: int) -> None:
    octets = b"Content-Type: multipart/mixed; boundary=b\n\n" + octets
    p = parse(octets)
    check_tiles(p, len(octets))
    assert p.body == header.scan(octets).body
    assert load(dump(p)) == p
    assert parse(b"\n--b\n\n--bb"[:before] + octets, before).parts == [
        *moved(p, before).parts
    ]
    with patch.object(window, "WINDOW", window.REACH):  # the least that can work
        assert parse(Windowed(octets)) == p


def moved(p: Part, by: int) -> Part:
    """Return p with its offsets moved, insets' children apart."""
    parts = p.parts if p.inset else [moved(c, by) for c in p.parts]
    return Part(
        p.start + by, p.body + by, p.end + by, p.type, p.charset, p.encoding,
        p.disposition, p.filename, p.description, p.message, p.inset, parts,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=20), st.sampled_from(range(900, 4300, 97)))
def test_windows_do_not_show(pieces: list[bytes], size: int) -> None:
    octets = b"Content-Type: multipart/mixed; boundary=b\n\n"
    octets += b"".join(piece + b"x" * (size // 8) + b"\n" for piece in pieces)
    with patch.object(window, "WINDOW", window.REACH + 1):
        assert parse(Windowed(octets)) == parse(octets)
