"""mailfs pemencode: octets as a section of PEM."""

import sys

from mailfs.cmd import filter
from mailfs.cmd.args import Parser

SUMMARY = "write octets as PEM"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "pemencode",
        "Print a file's octets as one section of PEM; pem(8).",
        example="mailfs rsa2x509 CN=mail.x.com key | mailfs pemencode CERTIFICATE",
    )
    parser.add_argument("section", help="as in -----BEGIN section-----")
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from mailfs.tls import pem

    sys.stdout.write(pem.encode(options.section, filter.read(options.file)))
    return 0
