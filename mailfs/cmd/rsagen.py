"""mailfs rsagen: make an RSA key."""

import sys

from mailfs.cmd.args import Parser
from mailfs.secret import no_core

SUMMARY = "make an RSA key"

SAFE_BITS = 2048  # what authorities and DKIM verifiers want today


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "rsagen",
        "Print a new RSA key as factotum reads it; rsa(8).",
        example="mailfs rsagen -t 'service=tls role=client owner=*' >key",
    )
    parser.add_argument(
        "-b", type=int, default=SAFE_BITS, metavar="BITS", help="default %(default)s"
    )
    parser.add_argument(
        "-t", default="", metavar="TAG", help="attributes to put after proto=rsa"
    )
    options = parser.parse_args(argv)
    from mailfs.tls import rsa

    no_core()
    key = rsa.generate(options.b, options.t)
    if options.b < SAFE_BITS:
        print(f"warning: {options.b} bits are few", file=sys.stderr)
    print(rsa.write(key))
    return 0
