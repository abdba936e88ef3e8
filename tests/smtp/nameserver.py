"""A name server on loopback that answers from a table, with the AD bit or without."""

import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from mailfs.smtp.dns import Resolvers

Zone = Mapping[tuple[str, str], Sequence[str]]
FAIL = ("SERVFAIL",)


class NameServer:
    """Answers while entered; zone may be changed meanwhile.

    Keys are (name, type), values the records' texts, or FAIL.  Names of other types
    exist; others do not.
    """

    def __init__(self, zone: Zone, *, secure: bool = False) -> None:
        self.zone = dict(zone)
        self.secure = secure
        self.asked: list[tuple[str, str]] = []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    @property
    def resolvers(self) -> Resolvers:
        return Resolvers(("127.0.0.1",), self.port, trusted=True)

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bye:
            bye.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(20)
        self._sock.close()

    def _serve(self) -> None:
        while True:
            octets, peer = self._sock.recvfrom(65535)
            if not octets:
                return
            self._sock.sendto(self._answer(octets), peer)

    def _answer(self, octets: bytes) -> bytes:
        query = dns.message.from_wire(octets)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if self.secure:
            reply.flags |= dns.flags.AD
        found = self.zone.get((name, kind), ())
        if found == FAIL:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif found:
            reply.answer.append(
                dns.rrset.from_text(question.name, 60, "IN", kind, *found)
            )
        elif name not in {known for known, _ in self.zone}:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()
