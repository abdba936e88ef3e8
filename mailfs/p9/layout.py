"""How a record's fields lie in octets, compiled once from its declaration.

A record is a NamedTuple whose field order is wire order and whose annotations say
how wide a field is.  Fields of fixed width that follow each other become one
struct.Struct, together with the count that begins the next variable field.

    U8 U16 U32 U64      little-endian integers
    str                 s[2] and that many octets of UTF-8
    Data                n[4] and that many octets
    tuple[str, ...]     n[2] and that many strings
    tuple[R, ...]       n[2] and that many records of fixed width
    R                   a record of fixed width, in place
    S                   a record of variable width: n[2], then size[2] and its fields

Source: intro(5), stat(5).
"""

import struct
from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import Annotated, Any, Generic, Protocol, TypeVar, get_args, get_origin

from mailfs.errors import MailfsError

U8 = Annotated[int, "B"]
U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]
Data = Annotated[bytes, "I"]

MAXWELEM = 16  # names or qids in one message; walk(5)

_SIZE = Struct("<H")
R = TypeVar("R")


class FormatError(MailfsError):
    """Octets that are no such record, or a record that no octets can carry."""


class Counted(Protocol):
    """A field of variable width: a count, whose struct code is code, and octets."""

    code: str

    def encode(self, value: Any) -> tuple[int, bytes]:
        """Return the count and the octets after it."""

    def decode(self, data: bytes, pos: int, end: int, count: int) -> tuple[Any, int]:
        """Return the value whose octets begin at pos, and where they end."""


def _take(data: bytes, pos: int, end: int, count: int) -> bytes:
    if count > end - pos:
        raise FormatError("field runs past the end")
    return data[pos : pos + count]


def encode_text(text: str) -> bytes:
    """Return the octets of a string.  Raises FormatError for NUL and surrogates."""
    if "\0" in text:
        raise FormatError("NUL in a string")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise FormatError("string is not Unicode") from None


def decode_text(octets: bytes) -> str:
    """Return the string.  Raises FormatError unless it is UTF-8 without NUL."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise FormatError("string is not UTF-8") from None
    if "\0" in text:
        raise FormatError("NUL in a string")
    return text


class _Text:
    code = "H"

    def encode(self, value: str) -> tuple[int, bytes]:
        octets = encode_text(value)
        return len(octets), octets

    def decode(self, data: bytes, pos: int, end: int, count: int) -> tuple[str, int]:
        return decode_text(_take(data, pos, end, count)), pos + count


class _Octets:
    code = "I"

    def encode(self, value: bytes) -> tuple[int, bytes]:
        return len(value), value

    def decode(self, data: bytes, pos: int, end: int, count: int) -> tuple[bytes, int]:
        return _take(data, pos, end, count), pos + count


class _Names:
    code = "H"

    def encode(self, value: tuple[str, ...]) -> tuple[int, bytes]:
        octets = [encode_text(name) for name in value]
        if len(value) > MAXWELEM or max(map(len, octets), default=0) > 0xFFFF:
            raise FormatError("too many names, or one too long")
        return len(value), b"".join(_SIZE.pack(len(o)) + o for o in octets)

    def decode(
        self, data: bytes, pos: int, end: int, count: int
    ) -> tuple[tuple[str, ...], int]:
        if count > MAXWELEM:
            raise FormatError("too many names")
        names = []
        for _ in range(count):
            (size,) = _SIZE.unpack(_take(data, pos, end, 2))
            names.append(decode_text(_take(data, pos + 2, end, size)))
            pos += 2 + size
        return tuple(names), pos


class _Records:
    """Records of fixed width, one after another."""

    code = "H"

    def __init__(self, cls: type[Any]) -> None:
        self.layout = Layout(cls)

    def encode(self, value: tuple[Any, ...]) -> tuple[int, bytes]:
        if len(value) > MAXWELEM:
            raise FormatError("too many qids")
        return len(value), b"".join(map(self.layout.encode, value))

    def decode(
        self, data: bytes, pos: int, end: int, count: int
    ) -> tuple[tuple[Any, ...], int]:
        if count > MAXWELEM:
            raise FormatError("too many qids")
        size = self.layout.body.size
        octets = _take(data, pos, end, count * size)
        starts = range(0, len(octets), size)
        decode = self.layout.decode
        return tuple(decode(octets, i, i + size) for i in starts), pos + count * size


class _Sized:
    """One record behind two counts: the field's, and the record's own size[2]."""

    code = "H"

    def __init__(self, cls: type[Any]) -> None:
        self.layout = Layout(cls)

    def encode(self, value: Any) -> tuple[int, bytes]:
        octets = self.layout.encode(value)
        if len(octets) > 0xFFFF - _SIZE.size:
            raise FormatError("record too long")
        return len(octets) + _SIZE.size, _SIZE.pack(len(octets)) + octets

    def decode(self, data: bytes, pos: int, end: int, count: int) -> tuple[Any, int]:
        octets = _take(data, pos, end, count)
        return self.layout.decode_sized(octets, 0, count), pos + count


class Layout(Generic[R]):
    """The compiled declaration of one record.

    body   the Struct of everything up to the first variable field's octets
    head   the same behind prefix, for whoever packs a whole message at one stroke
    """

    __slots__ = ("_nested", "_runs", "body", "cls", "head")

    def __init__(self, cls: type[R], prefix: str = "") -> None:
        self.cls: Any = cls
        self._nested: tuple[Any, ...] = ()  # by field: a record class, or None
        self._runs: list[tuple[Struct, int, Counted | None]] = []
        self._compile()
        self.body = self._runs[0][0]
        self.head = Struct("<" + prefix + self.body.format[1:])

    def _compile(self) -> None:
        codes, nested = "", []
        for note in self.cls.__annotations__.values():
            inline = _inline(note)
            nested.append(note if inline and inline != _code(note) else None)
            if inline:
                codes += inline
                continue
            kind = _kind(note)
            self._runs.append((Struct("<" + codes + kind.code), len(codes), kind))
            codes = ""
        if codes or not self._runs:
            self._runs.append((Struct("<" + codes), len(codes), None))
        if any(nested):
            self._nested = tuple(nested)

    def encode(self, record: R) -> bytes:
        """Return the octets.  Raises FormatError if a value does not fit its field."""
        parts = []
        flat = self._flatten(record)
        try:
            for run, fixed, kind in self._runs:
                slots = list(islice(flat, fixed))
                if kind is None:
                    parts.append(run.pack(*slots))
                    continue
                count, octets = kind.encode(next(flat))
                parts += (run.pack(*slots, count), octets)
        except struct.error as e:
            raise FormatError(f"{self.cls.__name__}: {e}") from None
        return b"".join(parts)

    def decode(self, data: bytes, pos: int, end: int) -> R:
        """Return the record in exactly data[pos:end].  Raises FormatError otherwise."""
        values: list[Any] = []
        for run, _, kind in self._runs:
            if run.size > end - pos:
                raise FormatError(f"{self.cls.__name__}: too short")
            values += run.unpack_from(data, pos)
            pos += run.size
            if kind is not None:
                value, pos = kind.decode(data, pos, end, values.pop())
                values.append(value)
        if pos != end:
            raise FormatError(f"{self.cls.__name__}: too long")
        if self._nested:
            values = self._nest(iter(values))
        record: R = self.cls._make(values)
        return record

    def decode_sized(self, data: bytes, pos: int, end: int) -> R:
        """Return the record that follows size[2] at pos and ends exactly at end."""
        if end - pos < _SIZE.size:
            raise FormatError(f"{self.cls.__name__}: too short")
        if _SIZE.unpack_from(data, pos)[0] != end - pos - _SIZE.size:
            raise FormatError(f"{self.cls.__name__}: sizes disagree")
        return self.decode(data, pos + _SIZE.size, end)

    def _flatten(self, record: Any) -> Iterator[Any]:
        if not self._nested:
            yield from record
            return
        for value, nested in zip(record, self._nested, strict=True):
            if nested is None:
                yield value
            else:
                yield from value

    def _nest(self, flat: Iterator[Any]) -> list[Any]:
        return [
            next(flat) if cls is None else cls._make(islice(flat, len(cls._fields)))
            for cls in self._nested
        ]


def _code(note: Any) -> str:
    """Return the struct code of an integer field, or an empty string."""
    args = get_args(note)
    return args[1] if get_origin(note) is Annotated and args[0] is int else ""


def _inline(note: Any) -> str:
    """Return the struct codes of a field of fixed width, or an empty string."""
    fields = getattr(note, "_fields", None)
    if fields is None:
        return _code(note)
    codes = [_code(inner) for inner in note.__annotations__.values()]
    return "".join(codes) if all(codes) else ""


def _kind(note: Any) -> Counted:
    if note is str:
        return _Text()
    if note == Data:
        return _Octets()
    if get_origin(note) is tuple:
        (item, _) = get_args(note)
        return _Names() if item is str else _Records(item)
    return _Sized(note)
