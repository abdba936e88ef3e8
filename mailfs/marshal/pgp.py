"""Content signed and encrypted by OpenPGP, as MIME has it; RFC 3156.

gpg(1) does the work and asks for the passphrase by its own agent.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from mailfs.errors import MailfsError
from mailfs.marshal import entity
from mailfs.marshal.entity import Entity, Token

PROGRAM = "gpg"
DIGEST = "SHA256"
_TYPE = "application/pgp"


@dataclass(frozen=True, slots=True)
class Pgp:
    """What -p asks: s to sign, e to encrypt, or both; callable as compose.Wrap."""

    letters: str
    token: Token
    program: str = PROGRAM

    def __call__(self, content: Entity, recipients: tuple[str, ...]) -> Entity:
        """Return the content in a multipart.  Raises MailfsError if gpg cannot."""
        if "s" in self.letters:
            content = self._signed(content)
        if "e" in self.letters:
            content = self._encrypted(content, recipients)
        return content

    def _signed(self, content: Entity) -> Entity:
        octets = content.octets()
        if not octets.isascii():
            raise MailfsError("can't sign: a part has octets of 8 bits")
        words = ["--detach-sign", "--digest-algo", DIGEST]
        signature = self._run(words, octets.replace(b"\n", b"\r\n"))
        fields = (
            f'Content-Type: {_TYPE}-signature; name="signature.asc"\n'
            "Content-Description: OpenPGP digital signature\n"
        )
        return entity.multipart(
            "multipart/signed",
            [content, Entity(fields.encode(), signature)],
            self.token,
            {"micalg": f"pgp-{DIGEST.lower()}", "protocol": f"{_TYPE}-signature"},
        )

    def _encrypted(self, content: Entity, recipients: tuple[str, ...]) -> Entity:
        words = ["--encrypt"]
        for addr in recipients:
            words += ["--hidden-recipient", addr]  # blind copies stay blind
        sealed = self._run(words, content.octets().replace(b"\n", b"\r\n"))
        version = Entity(f"Content-Type: {_TYPE}-encrypted\n".encode(), b"Version: 1\n")
        fields = b'Content-Type: application/octet-stream; name="encrypted.asc"\n'
        return entity.multipart(
            "multipart/encrypted",
            [version, Entity(fields, sealed)],
            self.token,
            {"protocol": f"{_TYPE}-encrypted"},
        )

    def _run(self, words: Sequence[str], octets: bytes) -> bytes:
        argv = [self.program, "--batch", "--armor", *words]
        try:
            done = subprocess.run(  # noqa: S603  # addresses are options' values
                argv, input=octets, capture_output=True, check=False
            )
        except OSError as e:
            raise MailfsError(f"{self.program}: {e.strerror}") from e
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise MailfsError(f"{self.program}: {said[-1] if said else 'failed'}")
        return done.stdout
