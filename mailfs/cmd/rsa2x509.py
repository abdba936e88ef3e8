"""mailfs rsa2x509: a self-signed certificate for an RSA key."""

import time

from mailfs.cmd import filter
from mailfs.cmd.args import Parser

SUMMARY = "make a self-signed certificate"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "rsa2x509",
        "Read an RSA key line and write a self-signed certificate in DER; rsa(8).",
        example="mailfs rsa2x509 'C=US CN=mail.x.com' key |"
        " mailfs pemencode CERTIFICATE >cert\n"
        "mailfs rsa2x509 'CN=x.com, x.com, mail.x.com' key >cert.der",
    )
    parser.add_argument(
        "-e", type=int, metavar="SECONDS", help="lifetime; default three years"
    )
    parser.add_argument(
        "names", help="C= ST= L= O= OU= CN= E= DC=, then hosts after commas"
    )
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from cryptography.x509 import random_serial_number

    from mailfs.tls import cert, names

    wanted = names.parse(options.names)
    lifetime = cert.LIFETIME if options.e is None else options.e
    key = filter.key(options.file)
    serial = random_serial_number()
    filter.write(cert.self_signed(key, wanted, time.time(), lifetime, serial))
    return 0
