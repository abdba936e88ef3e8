"""Servers that never come to an end, for IMAP and POP3: each a play."""

import time
from collections.abc import Callable, Mapping

from tests.net.scripted import Answer, Gone, Play, Talk, imap

BLOCK = 1 << 16  # octets sent at once where a server floods
STEP = 0.5  # seconds between octets of a server that drips
Say = Callable[..., None]


def flood(line: str | bytes, begin: bytes = b"") -> Say:
    """Say one line without end."""
    octets = line if isinstance(line, bytes) else line.encode() + b"\r\n"
    block = octets * max(1, BLOCK // len(octets))

    def say(talk: Talk, *command: str) -> None:
        talk.send(begin)
        while True:
            talk.sock.sendall(block)

    return say


def counted(form: str, begin: bytes = b"") -> Say:
    """Say lines without end in which @ is one more each time."""

    def say(talk: Talk, *command: str) -> None:
        talk.send(begin)
        n = 0
        while True:
            talk.send(*(form.replace("@", str(n + i)) for i in range(1, 501)))
            n += 500

    return say


def drip(begin: bytes) -> Say:
    """Say an octet now and then, and no line's end."""

    def say(talk: Talk, *command: str) -> None:
        talk.send(begin)
        while True:
            talk.sock.sendall(b"a")
            time.sleep(STEP)

    return say


def silent(talk: Talk, *command: str) -> None:
    """Say nothing until the client hangs up."""
    talk.line()
    talk.line()


def opened(exists: int) -> list[str]:
    return [f"* {exists} EXISTS", "* OK [UIDVALIDITY 7]", "$ OK [READ-WRITE] done"]


ROW = (
    "* @ FETCH (UID @ FLAGS (\\Seen x@) "
    'INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 9)'
)
ROWS = [*(ROW.replace("@", str(n)) for n in (1, 2, 3)), "$ OK done"]
USUAL: Mapping[str, Answer] = {
    "SELECT .*": opened(3),
    "UID SEARCH .*": ["* ESEARCH UID ALL 1:3", "$ OK done"],
    "UID FETCH .*BODY.*": ["$ OK done"],
    "UID FETCH .*": ROWS,
}


def odd(**answers: Answer) -> Play:
    """Make a server that is odd at some commands only."""
    verbs = {"FETCH": "UID FETCH .*", "SEARCH": "UID SEARCH .*"}
    verbs |= {"BODY": "UID FETCH .*BODY.*"}
    return imap(
        {**USUAL, **{verbs.get(k, f"{k}( .*)?"): v for k, v in answers.items()}}
    )


HUGE = b"* 1 FETCH (UID 1 BODY[HEADER] {1073741823}\r\n"
IMAP: dict[str, Play] = {
    "greeting drips": drip(b"* O"),
    "nothing is said": silent,
    "login drips": odd(AUTHENTICATE=drip(b"* ")),
    "SELECT drips": odd(SELECT=drip(b"* ")),
    "rows drip": odd(FETCH=drip(b"* 1 FETCH (")),
    "body and goodbye drip": odd(BODY=drip(b"* "), LOGOUT=drip(b"* ")),
    "literal of a tebibyte": odd(FETCH=flood(b"x", HUGE.replace(b"}", b"000}"))),
    "literal of a gibibyte": odd(BODY=flood(b"x", HUGE)),
    "rows without end": odd(FETCH=counted(ROW)),
    "SEARCH without end": odd(SELECT=opened(5), SEARCH=counted("* SEARCH @ " * 99)),
    "line without end": odd(SELECT=flood(b"x" * 1000)),
    "all vanish without end": odd(SELECT=flood("* VANISHED 1:4294967295")),
    "all vanish while idle": odd(IDLE=flood("* VANISHED 1:4294967295", b"+ go\r\n")),
    "words while idle": odd(IDLE=flood("* OK still here", b"+ go\r\n")),
    "messages beyond number": odd(SELECT=opened(4294967295)),
}
FOLDERS: dict[str, Play] = {
    "LIST drips": odd(LIST=drip(b'* LIST () "/" x')),
    "LIST without end": odd(LIST=counted('* LIST () "/" ' + "x" * 900 + "@")),
}


def maildrop(**answers: Say) -> Play:
    """Make a POP3 server that is odd at some commands only."""
    usual = {
        "CAPA": ["+OK", "UIDL", "TOP", "USER", "."],
        "STAT": ["+OK 3 300"],
        "UIDL": ["+OK", "1 a", "2 b", "3 c", "."],
        "LIST": ["+OK", "1 100", "2 100", "3 100", "."],
        "TOP": ["-ERR no"],
    }

    def play(talk: Talk) -> None:
        talk.send("+OK hello")
        while True:
            verb = talk.line().split()[0].upper()
            if verb in answers:
                answers[verb](talk)
            talk.send(*usual.get(verb, ["+OK"]))
            if verb == "QUIT":
                raise Gone

    return play


POP: dict[str, Play] = {
    "greeting drips": drip(b"+O"),
    "UIDL drips": maildrop(UIDL=drip(b"+OK\r\n")),
    "message and goodbye drip": maildrop(RETR=drip(b"+OK\r\n"), QUIT=drip(b"+O")),
    "UIDL without end": maildrop(UIDL=counted("@ uid@", b"+OK\r\n")),
    "LIST without end": maildrop(LIST=counted("@ 100", b"+OK\r\n")),
    "CAPA without end": maildrop(CAPA=counted("X@", b"+OK\r\n")),
    "header without end": maildrop(TOP=flood("X: y", b"+OK\r\n")),
    "message without end": maildrop(RETR=flood("x" * 70, b"+OK\r\n")),
    "line without end": maildrop(STAT=flood(b"x" * 1000)),
}
