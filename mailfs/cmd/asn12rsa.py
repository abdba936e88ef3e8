"""mailfs asn12rsa: an RSA key in DER as a key line."""

from typing import TYPE_CHECKING

from mailfs.cmd import filter
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError

if TYPE_CHECKING:
    from mailfs.tls import rsa

SUMMARY = "read an RSA key in DER"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "asn12rsa",
        "Read an RSA key in DER (PKCS #1 or #8, private or public) and print it as\n"
        "factotum reads it; rsa(8).",
        example="mailfs pemdecode 'PRIVATE KEY' key.pem | mailfs asn12rsa >key",
    )
    parser.add_argument(
        "-t", default="", metavar="TAG", help="attributes to put after proto=rsa"
    )
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from mailfs.tls import rsa

    print(rsa.write(rsa.tagged(_load(filter.read(options.file)), options.t)))
    return 0


def _load(data: bytes) -> "rsa.Private | rsa.Public":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    from mailfs.tls import rsa

    for load in (
        lambda: serialization.load_der_private_key(data, None),
        lambda: serialization.load_der_public_key(data),
    ):
        try:
            key = load()
        except TypeError as e:  # it wants a password
            raise MailfsError("the key is encrypted") from e
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, (rsa.Private, rsa.Public)):
            return key
        raise MailfsError("not an RSA key")
    raise MailfsError("couldn't parse asn1 key")
