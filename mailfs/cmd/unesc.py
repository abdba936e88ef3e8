"""mailfs unesc: encoded words on standard input as text; RFC 2047."""

import sys

from mailfs.cmd.args import Parser

SUMMARY = "decode the encoded words of a header"
MAX_LINE = 1 << 20  # octets of a line that is decoded; a longer one stays as it is


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "unesc",
        "Copy standard input, with =?charset?q?encoded?= words as the text they mean.",
        example="echo '=?iso-8859-1?q?caf=E9?=' | mailfs unesc",
    )
    parser.parse_args(argv)
    from mailfs.msg.word import words

    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        if b"=?" not in line or len(line) > MAX_LINE:
            out.write(line)
            continue
        end = line[len(line.rstrip(b"\r\n")) :]
        out.write(words(line.rstrip(b"\r\n")).encode("utf-8", "replace") + end)
    return 0
