"""mailfs rsa2pub: the public half of an RSA key."""

from mailfs.cmd import filter
from mailfs.cmd.args import Parser

SUMMARY = "print the public half of an RSA key"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "rsa2pub",
        "Read an RSA key line and print it without its private attributes; rsa(8).",
        example="mailfs rsa2pub key",
    )
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from mailfs.tls import rsa

    print(rsa.write_public(filter.key(options.file)))
    return 0
