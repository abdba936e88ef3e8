"""mailfs secretpem: an RSA key with its secrets as PEM."""

from mailfs.cmd import filter
from mailfs.cmd.args import Parser

SUMMARY = "write a secret RSA key as PEM"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "secretpem",
        "Read a secret RSA key line and write it as programs on Unix read it, in PEM\n"
        "and unencrypted.  The reverse is pemdecode 'RSA PRIVATE KEY' | asn12rsa.",
        example="umask 077; mailfs secretpem key >/etc/ssl/private/mail.pem",
    )
    parser.add_argument(
        "-8",
        dest="pkcs8",
        action="store_true",
        help="as PRIVATE KEY (PKCS #8) instead of RSA PRIVATE KEY (PKCS #1)",
    )
    filter.add_file(parser)
    options = parser.parse_args(argv)
    from cryptography.hazmat.primitives import serialization as form

    key = filter.key(options.file).private
    kind = form.PrivateFormat.PKCS8
    if not options.pkcs8:
        kind = form.PrivateFormat.TraditionalOpenSSL
    filter.write(key.private_bytes(form.Encoding.PEM, kind, form.NoEncryption()))
    return 0
