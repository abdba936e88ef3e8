"""Charsets: octets under any label, or none, to text and to UTF-8.

Nothing here raises.  Octets that a charset cannot mean become U+FFFD.  A label is
looked up in a closed table, so what Python's codec registry knows beside charsets
(rot13, zlib, idna, punycode, unicode_escape) is out of a sender's reach.

The labels us-ascii, unknown-8bit and the like say nothing about octets over 127,
no more than a missing or an unknown label: such octets are UTF-8 if they are valid
UTF-8 from first to last, else windows-1252.  iso-8859-1 is read as windows-1252
throughout, and a few East Asian names as their supersets, as in the Encoding
Standard (WHATWG, section 4.2), because that is what senders mean by them.
"""

import codecs
import re
from collections.abc import Callable
from encodings.aliases import aliases
from functools import lru_cache

MAX_LABEL = 64  # octets of a charset's name; the longest registered has 45 (RFC 2978)
WINDOWS = "windows-1252"
UTF8 = "utf-8"

# The five octets windows-1252 leaves undefined are the C1 controls of that number.
_WINDOWS = "".join(bytes([i]).decode("cp1252", "ignore") or chr(i) for i in range(256))

_CODECS = """
    utf_8 utf_7 utf_16 utf_16_le utf_16_be utf_32 utf_32_le utf_32_be
    iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_10
    iso8859_13 iso8859_14 iso8859_15 iso8859_16
    cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp874
    koi8_r koi8_u koi8_t kz1048 ptcp154 hp_roman8
    mac_roman mac_cyrillic mac_greek mac_iceland mac_latin2 mac_turkish
    cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862
    cp863 cp864 cp865 cp866 cp869 cp1006 cp1125
    gb18030 hz big5hkscs cp950 cp949 johab iso2022_kr
    cp932 shift_jis_2004 shift_jisx0213 euc_jp euc_jis_2004 euc_jisx0213
    iso2022_jp_ext iso2022_jp_2 iso2022_jp_3 iso2022_jp_2004
"""

# What a name is read as, where that is not the codec of the same name.
_SUPERSET = {
    "iso8859_1": "cp1252",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "cp950",
    "iso2022_jp": "iso2022_jp_ext",
    "iso2022_jp_1": "iso2022_jp_ext",
}

_MORE = {
    "ansi1251": "cp1251",
    "big5eten": "cp950",
    "cp936": "gb18030",
    "cp50220": "iso2022_jp_ext",
    "cp50221": "iso2022_jp_ext",
    "cp50222": "iso2022_jp_ext",
    "cp51932": "euc_jp",
    "cp943": "cp932",
    "dos862": "cp862",
    "dos866": "cp866",
    "eucgb2312cn": "gb18030",
    "eucjpms": "euc_jp",
    "eucjpwin": "euc_jp",
    "gb231280": "gb18030",
    "gbk2312": "gb18030",
    "hzgb2312": "hz",
    "iso88591windows1252": "cp1252",
    "iso88598e": "iso8859_8",
    "iso88598i": "iso8859_8",
    "iso88596e": "iso8859_6",
    "iso88596i": "iso8859_6",
    "iso885915windows1252": "iso8859_15",
    "koi": "koi8_r",
    "koi8": "koi8_r",
    "koi8ru": "koi8_u",
    "ksc5601": "cp949",
    "ksc56011987": "cp949",
    "ksc56011989": "cp949",
    "ksx1001": "cp949",
    "maccentraleurope": "mac_latin2",
    "macce": "mac_latin2",
    "macukrainian": "mac_cyrillic",
    "macintosh": "mac_roman",
    "mskanji": "cp932",
    "sjis": "cp932",
    "unicode11utf7": "utf_7",
    "unicode11utf8": "utf_8",
    "unicode20utf7": "utf_7",
    "unicode20utf8": "utf_8",
    "utf8mb4": "utf_8",
    "ucs2": "utf_16_be",
    "iso10646ucs2": "utf_16_be",
    "ucs4": "utf_32_be",
    "iso10646ucs4": "utf_32_be",
    "windows31j": "cp932",
    "windows874": "cp874",
    "windows932": "cp932",
    "windows936": "gb18030",
    "windows949": "cp949",
    "windows950": "cp950",
}

_NOISE = re.compile(r"[^a-z0-9]+")


def _table() -> dict[str, str]:
    """Return codec names by label, labels reduced to letters and digits."""
    read_as = {name: name for name in (*_CODECS.split(), "cp1252")} | _SUPERSET
    table = {_NOISE.sub("", name): codec for name, codec in read_as.items()}
    for alias, name in aliases.items():
        if name in read_as:
            table[_NOISE.sub("", alias.lower())] = read_as[name]
    return table | _MORE


_LABELS = _table()
_NAMES = {"cp1252": WINDOWS, "utf_8": UTF8}  # names with paths of their own below

# Codecs with shift states.  Python's incremental decoders for these depend on how the
# octets were cut (they overflow on long escapes, or hold a whole UTF-7 run back), so
# they are always given one line at a time.
_BY_LINE = (
    "utf_7",
    "hz",
    "iso2022_kr",
    "iso2022_jp_ext",
    "iso2022_jp_2",
    "iso2022_jp_3",
    "iso2022_jp_2004",
)
_MAX_LINE = 4096  # octets given at once; RFC 5322 section 2.1.1 allows 998

_SURROGATE = re.compile("[\ud800-\udfff]")  # which UTF-7 can spell alone

# Byte order marks; without one the order is big endian: RFC 2781 section 4.3.
_MARKS = {
    "utf_16": (2, {b"\xff\xfe": "utf_16_le"}, "utf_16_be"),
    "utf_32": (4, {b"\xff\xfe\0\0": "utf_32_le"}, "utf_32_be"),
}


# The rows 83 and 84 that eucJP-ms adds to JIS X 0212, cell by cell: IBM's characters.
_IBM = (
    " " * 82 + "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡ",
    "ⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤﨎咊坙﨏塚增寬峵嵓﨑德悅愠敎昻晥晴朗栁﨓﨔橫櫢淸淲瀨凞"  # noqa: RUF001
    "猪甁皂皞益礰礼神祥福竧靖精綠緖羽荢﨟薰蘒﨡蠇諸譿賴赶﨣﨤逸郞都鄕﨧﨨閒隆﨩霻靍靑飯飼館馞髙"
    "魲鶴黑",
)
_SHIFT3 = 0x8F  # EUC's octet before one character of JIS X 0212
_SUPPLEMENT = b"\x1b$(D"  # ISO-2022-JP's escape to JIS X 0212
_ESCAPE = re.compile(rb"\x1b[$(][@-~]|\x1b\$\([@-~]")


def _extended(error: UnicodeError) -> tuple[str, int]:
    """Return a character of the rows added to JIS X 0208, or to 0212 where that holds.

    Python's codecs have neither.
    """
    assert isinstance(error, UnicodeDecodeError)
    octets, start = error.object, error.start
    if octets[start] == _SHIFT3:
        return _added(octets, start + 1, _ibm, error.end)
    escapes = _ESCAPE.findall(octets, 0, start)
    supplement = escapes[-1:] == [_SUPPLEMENT]
    return _added(octets, start, _ibm if supplement else _nec, error.end)


def _supplement(error: UnicodeError) -> tuple[str, int]:
    """Do the same in text that begins in JIS X 0212."""
    assert isinstance(error, UnicodeDecodeError)
    if _ESCAPE.search(error.object, 0, error.start) is not None:
        return _extended(error)
    return _added(error.object, error.start, _ibm, error.end)


def _added(
    octets: bytes, start: int, find: Callable[[int, int], str | None], end: int
) -> tuple[str, int]:
    """Return the character of two octets and where they end, or U+FFFD and end."""
    pair = [octet & 0x7F for octet in octets[start : start + 2]]
    if len(pair) == 2 and all(0x21 <= octet <= 0x7E for octet in pair):
        found = find(pair[0] - 0x21, pair[1] - 0x21)
        return found or "\ufffd", start + 2
    return "\ufffd", end


def _nec(row: int, cell: int) -> str | None:
    """Return a character of NEC's row 13 or IBM's rows 89 to 92, all from 0.

    Python's cp932 has them.
    """
    first = (0x81 if row < 62 else 0xC1) + row // 2
    second = cell + (0x9F if row % 2 else 0x40 + (cell >= 0x3F))
    try:
        return bytes((first, second)).decode("cp932")
    except UnicodeDecodeError:
        return None


def _ibm(row: int, cell: int) -> str | None:
    """Return a character of eucJP-ms's rows 83 and 84, from 0: 82 and 83."""
    found = _IBM[row - 82][cell] if row in (82, 83) else " "
    return None if found == " " else found


def _euro(error: UnicodeError) -> tuple[str, int]:
    """Return the euro sign for the octet 0x80, which Windows added to GBK."""
    assert isinstance(error, UnicodeDecodeError)
    if error.object[error.start] == 0x80:
        return "€", error.start + 1
    return "\ufffd", error.end


_JIS = "mailfs.msg.charset.jis"
_JIS_SUPPLEMENT = "mailfs.msg.charset.supplement"
_GBK = "mailfs.msg.charset.gbk"
codecs.register_error(_JIS, _extended)
codecs.register_error(_JIS_SUPPLEMENT, _supplement)
codecs.register_error(_GBK, _euro)
# Codecs of standards, which senders take for what Windows has under the name.
_ERRORS = {
    "euc_jp": _JIS,
    "iso2022_jp_ext": _JIS,
    "iso2022_jp_2": _JIS,
    "gb18030": _GBK,
}


def _decoder(name: str) -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(name)(_ERRORS.get(name, "replace"))


@lru_cache(maxsize=512)
def codec(label: str | None) -> str | None:
    """Find the codec of a label; None if it says nothing about octets over 127.

    The result is another label, fit for decode and Transcoder.
    """
    key = _NOISE.sub("", (label or "")[:MAX_LABEL].lower())
    for prefix in ("", "x", "cs", "xx"):
        if key.startswith(prefix) and key[len(prefix) :] in _LABELS:
            name = _LABELS[key[len(prefix) :]]
            return _NAMES.get(name, name)
    return None


def known(label: str | None) -> bool:
    """Whether a label names a charset, be it only us-ascii."""
    return codec(label) is not None or _NOISE.sub("", (label or "").lower()) in (
        "usascii",
        "ascii",
        "ansix341968",
        "iso646us",
    )


def shifted(label: str | None) -> bool:
    """Whether a label names a charset of escape sequences, ISO-2022's."""
    return (codec(label) or "").startswith("iso2022")


def settle(octets: bytes, label: str | None = None) -> str:
    """Return the label's codec, or the one the octets are in if it names none."""
    name = codec(label)
    if name is not None:
        return name
    if octets.isascii():
        return UTF8
    try:
        octets.decode()
    except UnicodeDecodeError:
        return WINDOWS
    return UTF8


# What says nothing of octets over 127, but that they are text.
_UNSURE = frozenset({"unknown8bit", "unknown", "xunknown", "8bit", "binary", "default"})


def readable(label: str) -> bool:
    """Whether the text of an encoded word may be decoded.

    Its charset is known, or admits to be unknown: then unlabelled octets are meant.
    """
    return known(label) or _NOISE.sub("", label.lower()) in _UNSURE


def guess(octets: bytes, hint: str | None = None) -> str:
    """Return the codec of unlabelled octets: UTF-8 if they can be, else the hint's.

    The hint is what the message says of its text; one that is no superset of ASCII
    cannot be meant for a header.
    """
    try:
        octets.decode()
    except UnicodeDecodeError:
        name = codec(hint)
        if name is None or name in _BY_LINE or name.startswith(("utf_16", "utf_32")):
            return WINDOWS
        return name
    return UTF8


def decode(octets: bytes, charset: str | None = None) -> str:
    """Return octets as text without lone surrogates; charset is a label or None."""
    name = codec(charset)
    if name is None:
        if octets.isascii():
            return octets.decode("ascii")
        try:
            return octets.decode()
        except UnicodeDecodeError:
            name = WINDOWS
    if name is WINDOWS:
        return codecs.charmap_decode(octets, "strict", _WINDOWS)[0]
    if name is UTF8:
        return octets.decode("utf-8", "replace")
    return _Text(name).feed(octets, final=True)


class Sniffer:
    """Finds the charset of unlabelled text fed in pieces; settle() for streams."""

    __slots__ = ("_utf8",)

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder(UTF8)("strict")
        self._utf8: codecs.IncrementalDecoder | None = decoder

    def feed(self, octets: bytes, final: bool = False) -> bool:
        """Look at octets; return False as soon as the text cannot be UTF-8."""
        if self._utf8 is not None:
            try:
                self._utf8.decode(octets, final)
            except UnicodeDecodeError:
                self._utf8 = None
        return self._utf8 is not None

    def charset(self) -> str:
        """Return the charset of what was fed; the last feed must have been final."""
        return WINDOWS if self._utf8 is None else UTF8


class Transcoder:
    """Text of one charset to UTF-8, piece by piece.

    However the octets are cut, the pieces returned add up to decode(all).encode().
    Under a label that names no charset nothing can be decided before the first octets
    that are no UTF-8, or the end; so everything from the first octet over 127 is held
    until then.  Who can look first passes what settle() or a Sniffer says instead.
    """

    __slots__ = ("_held", "_sniffer", "_text")

    def __init__(self, charset: str | None = None) -> None:
        name = codec(charset)
        self._text = None if name is None else _Text(name)
        self._sniffer = Sniffer()
        self._held: list[bytes] = []

    def feed(self, octets: bytes, final: bool = False) -> bytes:
        """Return the UTF-8 that octets complete; final ends the text."""
        if self._text is not None:
            return self._text.feed(octets, final=final).encode()
        if not self._held and octets.isascii():
            return octets
        self._held.append(octets)
        if self._sniffer.feed(octets, final) and not final:
            return b""
        held = b"".join(self._held)
        self._text = _Text(self._sniffer.charset())
        return self._text.feed(held, final=final).encode()


class _Text:
    """Incremental decoding by one codec; the cuts of the octets do not show."""

    __slots__ = ("_decoder", "_held", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._held = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        if name not in _MARKS and name not in (WINDOWS, "utf_7"):
            self._decoder = _decoder(name)

    def feed(self, octets: bytes, *, final: bool = False) -> str:
        """Return the text that octets complete, free of lone surrogates."""
        if self._name is WINDOWS:
            return codecs.charmap_decode(octets, "strict", _WINDOWS)[0]
        if self._name in _BY_LINE:
            return self._lines(octets, final=final)
        if self._name in _MARKS:
            octets = self._held + octets
            size, orders, order = _MARKS[self._name]
            if len(octets) < size and not final:
                self._held = octets
                return ""
            self._name = orders.get(octets[:size], order)
            if octets[:size] in (b"\xfe\xff", b"\0\0\xfe\xff", *orders):
                octets = octets[size:]
            self._decoder = _decoder(self._name)
        assert self._decoder is not None
        return self._decoder.decode(octets, final)

    def _lines(self, octets: bytes, *, final: bool) -> str:
        octets = self._held + octets
        out = []
        start = 0
        while start < len(octets):
            end = octets.find(b"\n", start, start + _MAX_LINE) + 1
            if not end:
                end = start + _MAX_LINE
                if end > len(octets) and not final:
                    break
            out.append(self._line(octets[start:end]))
            start = end
        self._held = octets[start:]
        if final and self._decoder is not None:
            out.append(self._line(b"", final=True))
        return "".join(out)

    def _line(self, line: bytes, *, final: bool = False) -> str:
        if self._decoder is None:
            text = line.decode("utf-7", "replace")
            return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
        try:
            return self._decoder.decode(line, final)
        except UnicodeError:  # an escape sequence longer than the decoder's memory
            self._decoder.reset()
            return "\ufffd"
        finally:
            # The set a line ends in holds for the next, which does not name it again.
            if self._name in _ERRORS and (escapes := _ESCAPE.findall(line)):
                supplement = escapes[-1] == _SUPPLEMENT
                self._decoder.errors = _JIS_SUPPLEMENT if supplement else _JIS
