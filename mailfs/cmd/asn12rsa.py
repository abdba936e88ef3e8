"""mailfs asn12rsa: an RSA key in DER or PEM as a key line."""

from mailfs.cmd import filter
from mailfs.cmd.args import Parser

SUMMARY = "read an RSA key in DER or PEM"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "asn12rsa",
        "Read an RSA key in DER or PEM (PKCS #1 or #8, private or public) and\n"
        "print it as factotum reads it; rsa(8).",
        example="mailfs pemdecode 'PRIVATE KEY' key.pem | mailfs asn12rsa >key",
    )
    parser.add_argument(
        "-t", default="", metavar="TAG", help="attributes to put after proto=rsa"
    )
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from mailfs.tls import rsa

    print(rsa.write(rsa.tagged(rsa.load(filter.read(options.file)), options.t)))
    return 0
