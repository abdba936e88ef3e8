"""mailfs pemdecode: the octets of a section of PEM."""

from mailfs.cmd import filter
from mailfs.cmd.args import Parser

SUMMARY = "read octets from PEM"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "pemdecode",
        "Write the octets of the first such section of PEM in a file; pem(8).",
        example="mailfs pemdecode CERTIFICATE cert.pem | sha256sum",
    )
    parser.add_argument("section", help="as in -----BEGIN section-----")
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from mailfs.tls import pem

    octets = filter.read(options.file)
    filter.write(pem.decode(options.section, octets.decode("latin-1")))
    return 0
