"""Certificates that are wrong, each in its way, shown by openssl's server."""

import pytest

from tests.doctor.world import Patient, stages, wrong
from tests.net.dovecot import Dovecot
from tests.tls.conftest import Serve
from tests.tls.pki import DAY, Pki, leaf


@pytest.mark.parametrize(
    ("who", "words", "remedy"),
    [
        ("expired", ("has expired", "; valid from", "and today is"), "mailfs trust "),
        ("early", ("not yet valid", "; valid from"), "date; sudo timedatectl"),
        ("wrong", ("mismatch", "; it names other.example"), "mailfs trust "),
        ("unknown", ("unable to get local issuer",), "mailfs trust "),
        ("alone", ("self-signed",), "mailfs trust "),
    ],
)
def test_refused(
    our_ca: Pki,
    sick: Patient,
    s_server: Serve,
    who: str,
    words: tuple[str, ...],
    remedy: str,
) -> None:
    found = sick.account(f"/imaps/tcp!localhost!{s_server(who)}/glenda")
    assert stages(found) == ["dial ok", "tls BAD"]
    one = wrong(found)
    for text in words:
        assert text in one.text
    assert one.remedy.startswith(remedy)


@pytest.mark.live
def test_no_tls_at_all(sick: Patient, dovecot: Dovecot) -> None:
    found = sick.account(f"/imaps/tcp!localhost!{dovecot.ports['imap']}/glenda")
    assert stages(found) == ["dial ok", "tls BAD"]


def test_list_that_makes_no_sense(our_ca: Pki, sick: Patient, s_server: Serve) -> None:
    file = sick.root / "sys/lib/tls/mail"
    file.parent.mkdir(parents=True)
    file.write_text("hello\n")
    found = sick.account(f"/imaps/tcp!localhost!{s_server('good')}/glenda")
    assert "bad thumbprints" in wrong(found).text


@pytest.mark.parametrize("who", ["good", "soon"])
def test_accepted(our_ca: Pki, sick: Patient, s_server: Serve, who: str) -> None:
    """It speaks no IMAP; the certificate is told of when it gets so far."""
    leaf(our_ca.ca, "localhost", end=5 * DAY).write(our_ca.folder, "soon")
    sick.quick()
    found = sick.account(f"/imaps/tcp!localhost!{s_server(who)}/glenda")
    state = {"good": "ok", "soon": "note"}[who]
    assert stages(found) == ["dial ok", f"tls {state}", "greeting BAD"]
    assert "authorities vouch for it as localhost; valid until" in found[1].text
