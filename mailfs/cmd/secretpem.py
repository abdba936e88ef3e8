"""mailfs secretpem: a secret RSA key from PEM to a key line, and back."""

import sys
from typing import TYPE_CHECKING

from mailfs.cmd import filter
from mailfs.cmd.args import Parser
from mailfs.errors import MailfsError

if TYPE_CHECKING:
    from mailfs.tls.rsa import RsaKey

SUMMARY = "turn a secret key from PEM into a key line, and back"

TAG = "service=tls role=client owner=*"  # by which a TLS server finds it; rsa(8)


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "secretpem",
        "Read a secret RSA key in PEM (PRIVATE KEY or RSA PRIVATE KEY, unencrypted)\n"
        "and print it as factotum reads it; or read such a key line and print PEM.",
        example="mailfs secretpem /sys/lib/tls/key.pem >>factotum\n"
        "umask 077; mailfs secretpem key >/etc/ssl/private/mail.pem",
    )
    parser.add_argument(
        "-t",
        default=TAG,
        metavar="TAG",
        help="attributes of the key line, after proto=rsa; default %(default)s",
    )
    parser.add_argument(
        "-8",
        dest="pkcs8",
        action="store_true",
        help="write PEM as PRIVATE KEY (PKCS #8) instead of RSA PRIVATE KEY (PKCS #1)",
    )
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from mailfs.tls import rsa

    data = filter.read(options.file)
    if rsa.is_pem(data):
        key = rsa.load(data)
        if not isinstance(key, rsa.Private):
            raise MailfsError("the key is public: want the secret one")
        sys.stdout.write(rsa.write(rsa.tagged(key, options.t)) + "\n")
    else:
        filter.write(_pem(filter.key_line(data, options.file), pkcs8=options.pkcs8))
    return 0


def _pem(key: "RsaKey", *, pkcs8: bool) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    kind = form.PrivateFormat.PKCS8 if pkcs8 else form.PrivateFormat.TraditionalOpenSSL
    return key.private.private_bytes(form.Encoding.PEM, kind, form.NoEncryption())
