"""mailfs rsa2csr: a certificate signing request for an RSA key."""

from mailfs.cmd import filter
from mailfs.cmd.args import Parser

SUMMARY = "make a certificate signing request"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "rsa2csr",
        "Read an RSA key line and write a signing request (PKCS #10) in DER; rsa(8).",
        example="mailfs rsa2csr 'C=US CN=mail.x.com' key |"
        " mailfs pemencode 'CERTIFICATE REQUEST' >csr",
    )
    parser.add_argument(
        "names", help="C= ST= L= O= OU= CN= E= DC=, then hosts after commas"
    )
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from mailfs.tls import cert, names

    wanted = names.parse(options.names)
    filter.write(cert.request(filter.key(options.file), wanted))
    return 0
