"""Mail for tests and benchmarks: any amount, always the same, shaped like real mail.

Message i depends on the seed and i alone, so corpus(10, start=100) is what arrives
after corpus(100), in the same threads.  Lines end in LF; no From_ line, no NUL.  One
message in a hundred is malformed in one of the ways that FLAWS lists.
"""

# other alphabets look like ours; that is their point

import base64
import binascii
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path

EPOCH = 1_600_000_000  # seconds; when message 0 arrived
STEP = 1200  # seconds from one message to the next, on average
FLAWED = 0.01  # share of messages
MAX_BODY = 3_000_000  # octets; the rare largest attachment


@dataclass(frozen=True, slots=True)
class Mail:
    """One message: its octets, and what a store knows beside them."""

    index: int
    data: bytes
    date: int  # of arrival, seconds since the epoch; rises with index
    sender: str  # the envelope's, for a From_ line
    flags: str  # Maildir's letters in order; "" for one nobody has seen


@dataclass(frozen=True, slots=True)
class Part:
    """A MIME entity: the fields that describe it, without a newline at their end."""

    fields: str
    body: bytes

    @property
    def octets(self) -> bytes:
        return self.fields.encode() + b"\n\n" + self.body


PLACES = ("example.com", "example.org", "mail.example.net", "lists.example.org")
NAMES = (
    "Ada Byron", "Grace Hopper", "Barbara Liskov", "Edsger Dijkstra", "Alan Turing",
    "Radia Perlman", "Niklaus Wirth", "Frances Allen", "Tony Hoare", "Karen Jones",
    "O'Neill, Sean", "Smith, Jo (Sales)", "robot", "Build Master", "Dr. No",
)  # fmt: skip
WORDS = """
    about after agenda also answer attached back because before below best board bring
    budget build call change check clean close comment compare could customer date deal
    deliver detail draft early end error every feedback figure file final find first
    follow forward from give goes good group hello help here hope idea into invoice
    issue item keep kind know last late later list little look mail make many meet
    minute month more morning most need never next note number offer office only open
    order other over page part patch people place plan please point price problem
    project proposal question quick read ready really reason regards release remind
    reply report request result review room sample schedule send server several share
    should show since some soon start still such support sure table team thank that
    them there these they thing think this thread ticket time today tomorrow total
    travel under until update version very visit want week were what when where which
    while will with within without work would write year yesterday your
""".split()

# Charsets fit to carry the text, the text, a name and a subject.
TONGUES: tuple[tuple[tuple[str, ...], str, str, str], ...] = (
    (("utf-8", "iso-8859-1", "windows-1252"), "Können wir das später klären? Grüße.",
     "Käthe Größe", "Frühstück für zwölf"),
    (("utf-8", "iso-8859-15"), "Le café coûte 2 €, c'est très cher à Orléans.",
     "Zoë Lefèvre", "Déjà réservé"),
    (("utf-8", "koi8-r", "windows-1251"), "Письмо получено, ответ будет завтра.",
     "Анна Орлова", "Отчёт за квартал"),
    (("utf-8", "iso-2022-jp", "shift_jis", "euc-jp"), "会議は明日の午後です。",
     "佐藤健", "日程の変更"),
    (("utf-8", "gb18030", "big5"), "文件已收到，明天回信。", "林文", "明天的文件"),
    (("utf-8", "iso-8859-7"), "Το γράμμα ήρθε σήμερα το πρωί.", "Νίκος", "Ερώτηση"),
    (("utf-8",), "Ship it 🚀 – “soon”…", "Fox 🦊", "Done ✅ at last"),
)  # fmt: skip
FILES = (
    ("application/pdf", "report.pdf"), ("image/png", "screen.png"),
    ("image/jpeg", "me at work.jpg"), ("application/zip", "logs.zip"),
    ("application/octet-stream", "dump.bin"), ("text/csv", "figures.csv"),
)  # fmt: skip


class Stock:
    """Text and octets made once for a seed; messages cut their bodies from it."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"stock {seed}")
        self.paragraphs = [_paragraph(rng) for _ in range(800)]
        self.base64 = base64.encodebytes(rng.randbytes(57 * 20_000))  # lines of 77

    def text(self, rng: random.Random, size: int) -> bytes:
        """Return about size octets of ASCII paragraphs."""
        out: list[bytes] = []
        while size > 0:
            out.append(rng.choice(self.paragraphs))
            size -= len(out[-1])
        return b"\n".join(out)

    def lines(self, rng: random.Random, size: int) -> bytes:
        """Return about size octets of base64 that decode to noise."""
        out: list[bytes] = []
        while size > 0:
            first = rng.randrange(len(self.base64) // 77) * 77
            out.append(self.base64[first : first + size // 77 * 77 + 77])
            size -= len(out[-1])
        return b"".join(out)


def _paragraph(rng: random.Random) -> bytes:
    words = rng.choices(WORDS, k=rng.randint(8, 80))
    lines = [" ".join(words[i : i + 10]) for i in range(0, len(words), 10)]
    return ("\n".join(lines).capitalize() + ".\n").encode()


@lru_cache(maxsize=4)
def _stock(seed: int) -> Stock:
    return Stock(seed)


def corpus(n: int, seed: int = 1, *, start: int = 0) -> Iterator[Mail]:
    """Yield messages start to start+n-1 of the seed's mail, in order of arrival."""
    for index in range(start, start + n):
        yield message(index, seed)


def message(index: int, seed: int = 1) -> Mail:
    """Return the message that stands at index in the seed's mail."""
    rng = random.Random(f"mail {seed} {index}")
    date = EPOCH + index * STEP + rng.randrange(STEP)
    sender = rng.choice(NAMES).lower().split()[-1].strip("()'")
    sender = f"{sender}{rng.randrange(50)}@{rng.choice(PLACES)}"
    part = rng.choices(SHAPES, WEIGHTS)[0](_stock(seed), rng)
    fields = _header(rng, index, seed, date, sender)
    data = Part(f"{fields}\nMIME-Version: 1.0\n{part.fields}", part.body).octets
    if rng.random() < FLAWED:
        data = rng.choice(FLAWS)(data)
    return Mail(index, data, date, sender, rng.choice(("", "", "S", "S", "RS", "FS")))


def _header(rng: random.Random, index: int, seed: int, date: int, sender: str) -> str:
    name, subject = rng.choice(NAMES), " ".join(rng.choices(WORDS, k=rng.randint(1, 9)))
    if rng.random() < 0.15:
        charsets, _, name, subject = rng.choice(TONGUES)
        charset = rng.choice(charsets)
        name, subject = _word(name, charset, rng), _word(subject, charset, rng)
    elif any(c in name for c in ",(.'"):
        name = f'"{name}"'
    hours = rng.choice((0, 0, 1, 2, 9, -5, -8))
    stamp = formatdate(date + 3600 * hours).replace("-0000", f"{hours:+03}00")
    fields = [f"Return-Path: <{sender}>"] if rng.random() < 0.8 else []
    fields += [
        f"Received: from {place} ([192.0.2.{hop}])\n\tby mx{hop}.example.com"
        f" with ESMTPS id {rng.getrandbits(40):010x}\n\tfor <me@example.com>; {stamp}"
        for hop, place in enumerate(rng.choices(PLACES, k=rng.randint(1, 3)), 1)
    ]
    fields += [f"Message-ID: {_ident(index, seed)}", f"Date: {stamp}"]
    fields.append(
        f"From: {name} <{sender}>" if rng.random() < 0.9 else f"From: {sender}"
    )
    fields.append("To: me@example.com" + _others(rng) * (rng.random() < 0.3))
    if rng.random() < 0.2:
        fields.append(f"Cc: The Team <team@{rng.choice(PLACES)}>{_others(rng)}")
    if rng.random() < 0.1:
        fields.append(f"Reply-To: {sender}")
    if index and rng.random() < 0.5:
        subject = f"Re: {subject}"
        chain = range(max(0, index - rng.randint(1, 12)), index, 3)
        refs = [_ident(i, seed) for i in chain]
        fields.append(f"In-Reply-To: {refs[-1]}")
        fields.append("References: " + "\n\t".join(refs))
    fields.append(f"Subject: {subject}")
    if rng.random() < 0.3:
        fields.append(f"X-Mailer: mailer/{rng.randint(1, 9)}.{rng.randint(0, 20)}")
    return "\n".join(fields)


def _ident(index: int, seed: int) -> str:
    return f"<{index * 2_654_435_761 % 2**32:08x}.{seed}.{index}@example.com>"


def _others(rng: random.Random) -> str:
    k = rng.randint(1, 4)
    return "".join(f",\n\tcolleague{rng.randrange(90)}@example.com" for _ in range(k))


def _word(text: str, charset: str, rng: random.Random) -> str:
    """Return text as encoded words of at most 75 characters; RFC 2047 section 2."""
    raw = [text[i : i + 8].encode(charset, "replace") for i in range(0, len(text), 8)]
    if rng.random() < 0.5:
        words = [f"=?{charset}?B?{base64.b64encode(r).decode()}?=" for r in raw]
    else:
        words = [f"=?{charset}?q?{''.join(f'={c:02X}' for c in r)}?=" for r in raw]
    return "\n ".join(words)


def _size(rng: random.Random, middle: int) -> int:
    return min(MAX_BODY, int(rng.lognormvariate(0, 1.1) * middle) + 40)


def _plain(stock: Stock, rng: random.Random) -> Part:
    body = stock.text(rng, _size(rng, 1500))
    if rng.random() < 0.1:
        body += b"\nFrom here on it is a postscript.\n>From quoted before\n"
    return Part("Content-Type: text/plain; charset=us-ascii", body)


def _foreign(_: Stock, rng: random.Random) -> Part:
    charsets, text, _name, _subject = rng.choice(TONGUES)
    charset = rng.choice(charsets)
    lines = [text] * (_size(rng, 500) // len(text) + 1)
    raw = "\n".join([*lines, ""]).encode(charset, "replace")
    way = rng.choice(("8bit", "quoted-printable", "base64"))
    if way == "quoted-printable":
        raw = binascii.b2a_qp(raw, istext=True)
    elif way == "base64":
        raw = base64.encodebytes(raw)
    return Part(
        f'Content-Type: text/plain; charset="{charset}"\n'
        f"Content-Transfer-Encoding: {way}",
        raw,
    )


def _html(stock: Stock, rng: random.Random) -> Part:
    text = stock.text(rng, _size(rng, 3000)).replace(b"\n\n", b"</p>=\n<p class=3Dx>")
    return Part(
        "Content-Type: text/html; charset=utf-8\n"
        "Content-Transfer-Encoding: quoted-printable",
        b"<html><body><p>" + text + b"</p></body></html>\n",
    )


def _attachment(stock: Stock, rng: random.Random) -> Part:
    kind, name = rng.choice(FILES)
    way = rng.choice(("attachment", "attachment", "inline"))
    return Part(
        f'Content-Type: {kind}; name="{name}"\nContent-Transfer-Encoding: base64\n'
        f'Content-Disposition: {way}; filename="{name}"',
        stock.lines(rng, _size(rng, 20_000)),
    )


def _multipart(rng: random.Random, kind: str, parts: Iterable[Part]) -> Part:
    mark = f"={rng.getrandbits(80):020x}"
    body = b"".join(b"--%b\n%b\n" % (mark.encode(), p.octets) for p in parts)
    if rng.random() < 0.3:
        body = b"This is a multipart message.\n" + body
    return Part(
        f'Content-Type: multipart/{kind};\n boundary="{mark}"',
        body + f"--{mark}--\n".encode(),
    )


def _alternative(stock: Stock, rng: random.Random) -> Part:
    text = rng.choice((_plain, _foreign))(stock, rng)
    return _multipart(rng, "alternative", (text, _html(stock, rng)))


def _mixed(stock: Stock, rng: random.Random) -> Part:
    text = rng.choice((_plain, _foreign, _alternative))(stock, rng)
    files = [_attachment(stock, rng) for _ in range(rng.choice((1, 1, 1, 2, 4)))]
    return _multipart(rng, "mixed", (text, *files))


def _forward(stock: Stock, rng: random.Random) -> Part:
    inner = rng.choice((_plain, _foreign, _mixed))(stock, rng)
    date = EPOCH - rng.randrange(10**8)
    fields = _header(rng, 0, rng.randrange(99), date, "somebody@example.net")
    old = Part(f"{fields}\nMIME-Version: 1.0\n{inner.fields}", inner.body)
    message = Part("Content-Type: message/rfc822", old.octets)
    return _multipart(rng, "mixed", (_plain(stock, rng), message))


def _signed(stock: Stock, rng: random.Random) -> Part:
    mark = b"-----%b PGP SIGNATURE-----\n"
    body = mark % b"BEGIN" + b"\n" + stock.lines(rng, 200) + mark % b"END"
    sign = Part("Content-Type: application/pgp-signature", body)
    return _multipart(rng, "signed", (_plain(stock, rng), sign))


Shape = Callable[[Stock, random.Random], Part]
SHAPES: tuple[Shape, ...] = (
    _plain, _foreign, _html, _alternative, _mixed, _forward, _signed,
)  # fmt: skip
WEIGHTS = (40, 12, 8, 22, 12, 4, 2)

# Each makes the octets of a good message wrong in one way that occurs in real mail.
FLAWS: tuple[Callable[[bytes], bytes], ...] = (
    lambda d: d.replace(b"\nDate: ", b"\nDate: long ago, about ", 1),
    lambda d: d.replace(b"\nMessage-ID: ", b"\nX-Was: ", 1),
    lambda d: d.replace(b"\nSubject: ", b"\nSubject: caf\xe9 \xff ", 1),
    lambda d: d.replace(b"\nFrom: ", b"\na line without the mark\nFrom: ", 1),
    lambda d: d.replace(b"charset=", b"charset=x-nonesuch-", 1),
    lambda d: d.replace(b"--\n", b"\n"),
    lambda d: d.replace(b"base64", b"x-base64", 1),
    lambda d: d.replace(b"\nMIME-Version: 1.0", b"\nMIME-Version 1.0", 1),
    lambda d: d.partition(b"\n\n")[0] + b"\n",
    lambda d: d.replace(b" ", b"\r", 40) + b"x" * 5000 + b"\n",
)


def envelope(mail: Mail) -> bytes:
    """Return the From_ line a delivery agent writes; mbox(5)."""
    return f"From {mail.sender} {time.asctime(time.gmtime(mail.date))}\n".encode()


def quoted(data: bytes) -> bytes:
    """Return the message with a space before each line that would be a From_ line.

    A final newline is supplied.  So does upas write its mailboxes; mbox(6).
    """
    if data.startswith(b"From "):
        data = b" " + data
    data = data.replace(b"\nFrom ", b"\n From ")
    return data if data.endswith(b"\n") else data + b"\n"


def write_mbox(path: Path, mails: Iterable[Mail]) -> None:
    """Append the messages to the mbox file at path."""
    with path.open("ab") as out:
        for mail in mails:
            out.write(envelope(mail) + quoted(mail.data) + b"\n")


def write_mdir(path: Path, mails: Iterable[Mail]) -> None:
    """Add the messages to the mdir at path; names are SECONDS.SEQUENCE; mdir(6)."""
    path.mkdir(parents=True, exist_ok=True)
    for mail in mails:
        file = path / f"{mail.date}.00"
        file.write_bytes(envelope(mail) + quoted(mail.data))


def write_maildir(path: Path, mails: Iterable[Mail]) -> None:
    """Add the messages to the Maildir at path, the unseen to new; maildir(5)."""
    for folder in ("tmp", "new", "cur"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    for mail in mails:
        name = f"{mail.date}.M{mail.index}P1.host,S={len(mail.data)}"
        name = f"cur/{name}:2,{mail.flags}" if mail.flags else f"new/{name}"
        with (path / name).open("xb") as out:
            out.write(mail.data)
        os.utime(path / name, (mail.date, mail.date))


def write_mh(path: Path, mails: Iterable[Mail]) -> None:
    """Add the messages to the MH folder at path, numbered on; mh-format(5)."""
    path.mkdir(parents=True, exist_ok=True)
    last = max((int(p.name) for p in path.iterdir() if p.name.isdecimal()), default=0)
    sequences = path / ".mh_sequences"
    unseen = sequences.read_text().split() if sequences.exists() else ["unseen:"]
    for number, mail in enumerate(mails, last + 1):
        (path / str(number)).write_bytes(mail.data)
        if not mail.flags:
            unseen.append(str(number))
    sequences.write_text(" ".join(unseen) + "\n")
