import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailfs.msg import param
from mailfs.msg.param import Params, boundary, disposition, filename, media

TYPES: list[tuple[bytes | None, str, Params]] = [
    (None, "text/plain", {}),
    (b"", "text/plain", {}),
    (b"text/plain", "text/plain", {}),
    (b" Text/HTML ", "text/html", {}),
    (b"text / html", "text/html", {}),
    (b"text/plain; charset=us-ascii (Plain text)", "text/plain",
     {"charset": "us-ascii"}),
    (b'text/plain; charset="us-ascii"', "text/plain", {"charset": "us-ascii"}),
    (b"text/plain;CHARSET=UTF-8", "text/plain", {"charset": "UTF-8"}),
    (b"text/plain; charset=utf-8(c)", "text/plain", {"charset": "utf-8"}),
    (b"text/plain (c;d=e); (x) charset = utf-8", "text/plain",
     {"charset": "utf-8"}),
    (b'multipart/mixed; boundary="a b;\\"c\\\\"', "multipart/mixed",
     {"boundary": 'a b;"c\\'}),
    (b"text/plain; format=flowed; delsp=yes;", "text/plain",
     {"format": "flowed", "delsp": "yes"}),
    (b"a/b; x=1; x=2", "a/b", {"x": "1"}),
    (b"a/b; x=; y=1", "a/b", {"x": "", "y": "1"}),
    (b"a/b; junk; ;; =z; y=1", "a/b", {"y": "1"}),
    (b'a/b; x="unclosed; y=1', "a/b", {"x": "unclosed; y=1"}),
    (b'a/b; x="1" y=2 z=3', "a/b", {"x": "1", "y": "2", "z": "3"}),
    (b"a/b x=1", "a/b", {"x": "1"}),
    (b"a/b;\n x=1;\r\n\ty=2", "a/b", {"x": "1", "y": "2"}),
    (b"text", "text/plain", {}),
    (b"image", "text/plain", {}),
    (b"multipart; boundary=x", "multipart/mixed", {"boundary": "x"}),
    (b"application", "application/octet-stream", {}),
    (b"/plain", "text/plain", {}),
    (b";charset=utf-8", "text/plain", {}),
    (b"\xff\xfe", "text/plain", {}),
    (b'a/b; name="h\xe9.txt"', "a/b", {"name": "hé.txt"}),
    (b'a/b; name="h\xc3\xa9.txt"', "a/b", {"name": "hé.txt"}),
    (b'a/b; name="=?utf-8?q?h=C3=A9.txt?="', "a/b", {"name": "hé.txt"}),
    (b"a/b; name==?utf-8?q?h=C3=A9.txt?=", "a/b", {"name": "hé.txt"}),
    (b'a/b; name="=?utf-8?b?w6k=?=\r\n =?utf-8?b?LnR4dA==?="', "a/b",
     {"name": "é.txt"}),
    (b'a/b; name="C:\\dir\\f.txt"', "a/b", {"name": "C:\\dir\\f.txt"}),
    (b"a/b; name=my file (1).txt; x=y", "a/b", {"name": "my file (1).txt", "x": "y"}),
    (b"a/b; name=f.txt size=12", "a/b", {"name": "f.txt", "size": "12"}),
    # RFC 2231 sections 3, 4 and 4.1.
    (b'message/external-body; access-type=URL;\n URL*0="ftp://";\n'
     b' URL*1="cs.utk.edu/pub/moose/bulk-mailer/bulk-mailer.tar"',
     "message/external-body",
     {"access-type": "URL",
      "url": "ftp://cs.utk.edu/pub/moose/bulk-mailer/bulk-mailer.tar"}),
    (b"application/x-stuff;\n title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
     "application/x-stuff", {"title": "This is ***fun***"}),
    (b"application/x-stuff\n ;title*0*=us-ascii'en'This%20is%20even%20more%20\n"
     b" ;title*1*=%2A%2A%2Afun%2A%2A%2A%20\n ;title*2=\"isn't it!\"",
     "application/x-stuff", {"title": "This is even more ***fun*** isn't it!"}),
    (b"a/b; x*1=b; x*0=a; x*2=c", "a/b", {"x": "abc"}),
    (b"a/b; x*0=a; x*2=c", "a/b", {"x": "a"}),
    (b"a/b; x*1=b", "a/b", {}),
    (b"a/b; x*0*=utf-8''%E2%82; x*1*=%AC", "a/b", {"x": "€"}),
    (b"a/b; x*=utf-8''%e2%82%ac", "a/b", {"x": "€"}),
    (b"a/b; x*=''caf%E9", "a/b", {"x": "café"}),
    (b"a/b; x*=klingon''caf%E9", "a/b", {"x": "café"}),
    (b"a/b; x*=caf%C3%A9", "a/b", {"x": "café"}),
    (b"a/b; x*=utf-8''100%", "a/b", {"x": "100%"}),
    (b"a/b; x*=utf-8''a%zz", "a/b", {"x": "a%zz"}),
    (b"a/b; x=plain; x*=utf-8''%C3%A9", "a/b", {"x": "é"}),
    (b"a/b; x*=utf-8''%C3%A9; x=plain", "a/b", {"x": "é"}),
    (b"a/b; x*=utf-8''a%0Ab%00c", "a/b", {"x": "a bc"}),
    (b"a/b; *=x; x**=y; x*a=z", "a/b", {}),
    (b"a/b; x*0*=iso-8859-1'da'; x*1*=%E6; x*2=%20", "a/b", {"x": "æ%20"}),
    (b'a/b; name*0="=?utf-8?q?h"; name*1="=C3=A9?="', "a/b", {"name": "hé"}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "params"), TYPES)
def test_media(value: bytes | None, kind: str, params: Params) -> None:
    assert media(value) == (kind, params)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (None, None),
        (b"text/plain", None),
        (b"multipart/mixed; boundary=a", b"a"),
        (b"multipart/mixed; boundary=a(b)=c?d/e", b"a(b)=c?d/e"),
        (b"multipart/mixed; boundary=a b", b"a"),
        (b'multipart/mixed; boundary="a b "', b"a b"),
        (b'multipart/mixed; boundary="a\xff"', b"a\xff"),
        (b'multipart/mixed; boundary="=?utf-8?q?a?="', b"=?utf-8?q?a?="),
        (b'multipart/mixed; boundary=""', None),
        (b'multipart/mixed; boundary="unclosed', b"unclosed"),
        (b"multipart/mixed; boundary*0=ab; boundary*1=cd", b"abcd"),
        (b"; boundary=a", None),
    ],
)
def test_boundary(value: bytes | None, want: bytes | None) -> None:
    assert boundary(value) == want


@pytest.mark.parametrize(
    ("value", "word", "params"),
    [
        (None, "", {}),
        (b"", "", {}),
        (b"inline", "inline", {}),
        (
            b"Attachment; filename=genome.jpeg",
            "attachment",
            {"filename": "genome.jpeg"},
        ),
        (b"attachment; filename=a b.txt", "attachment", {"filename": "a b.txt"}),
        (b'filename="a.txt"', "", {"filename": "a.txt"}),
        (b'; filename="a.txt"', "", {"filename": "a.txt"}),
        (b'attachment filename="a.txt"', "attachment", {"filename": "a.txt"}),
        (
            b"attachment; filename*=UTF-8''%e2%82%ac.txt; filename=x",
            "attachment",
            {"filename": "€.txt"},
        ),
    ],
)
def test_disposition(value: bytes | None, word: str, params: Params) -> None:
    assert disposition(value) == (word, params)


@pytest.mark.parametrize(
    ("place", "kind", "name"),
    [
        ({}, {}, ""),
        ({"filename": "a"}, {"name": "b"}, "a"),
        ({}, {"name": "b"}, "b"),
        ({"filename": ""}, {"name": "b"}, "b"),
        ({"filename": "in ner;a\tb/c\0d\x7f.eml"}, {}, "in_ner_a_b_c_d_.eml"),
        ({"filename": "../../etc/passwd"}, {}, ".._.._etc_passwd"),
        ({"filename": "hé\xa0.txt"}, {}, "hé\xa0.txt"),
    ],
)
def test_filename(place: Params, kind: Params, name: str) -> None:
    assert filename(place, kind) == name


PIECES = st.sampled_from(
    [
        b"a/b",
        b";",
        b"=",
        b'"',
        b"\\",
        b"(",
        b")",
        b"*",
        b"0",
        b"*0*",
        b"'",
        b"%C3",
        b"x",
        b"name",
        b"utf-8''",
        b" ",
        b"\n",
        b"=?utf-8?q?x?=",
        b"\xff",
        b"boundary",
    ]
)
NEAR = st.lists(PIECES | st.binary(max_size=3), max_size=30).map(b"".join)


@given(NEAR)
def test_any_octets(value: bytes) -> None:
    for word, params in (media(value), media(b"a/b;" + value), disposition(value)):
        for text in (word, *params, *params.values()):
            text.encode()
            assert "\n" not in text
        assert not set(filename(params, params)) & set(" \t\n;/")
    boundary(value)


@given(st.dictionaries(st.sampled_from("abcd"), st.text(max_size=30), max_size=4))
def test_extended_values_come_back(params: dict[str, str]) -> None:
    clean = {k: v for k, v in params.items() if v.isprintable()}
    value = b"x/y"
    for name, text in clean.items():
        coded = b"".join(b"%%%02x" % c for c in text.encode())
        for i in range(0, len(coded) + 1, 9):
            start = b"utf-8''" if i == 0 else b""
            value += b"; %s*%d*=%s%s" % (name.encode(), i // 9, start, coded[i : i + 9])
    assert media(value)[1] == clean


def test_hostile_values() -> None:
    n = 100_000
    for value in (b";" * n, b"(" * n, b"a=" * n, b'"' * n, b'a="\\' * n, b"a;" * n):
        media(b"a/b;" + value)
        boundary(b"a/b;" + value)
    assert len(media(b"a/b" + b"".join(b";x%d=1" % i for i in range(5000)))[1]) == (
        param.MAX_PARAMS
    )
    assert len(media(b"a/b; x=" + b"y" * 10_000_000)[1]["x"]) < param.MAX_VALUE
