"""The page from top to bottom, by a new user: its lines, and what they print.

A console text here is run as README's are: commands after ``$ ``, then their output.
Lines differ from the page's in two ways: mailfs stands before the name of a program,
and a server has its port, since real ones are not to be had here.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page.servers import PASSWORD, USER, Servers, missing, servers
from tests.readme import Shell, examples
from tests.setup.world import Place, Talk
from tests.wait import until

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def real() -> Iterator[Servers]:
    if why := missing():
        pytest.skip(why)
    with servers() as running:
        yield running


class User:
    """Somebody at a shell and a terminal of one world."""

    def __init__(self, place: Place, scratch: Path, shell: Shell) -> None:
        self.place = place
        self._scratch = scratch
        self._shell = shell

    def types(self, text: str) -> None:
        """Type the commands of a text; each must print what follows it."""
        for example in examples(f"```console\n{text}```\n"):
            self._shell.run(example)

    def adds_key(self, template: str) -> None:
        """Answer ``auth/factotum -g``; the template has the user, and !password?."""
        with Talk(self.place, "auth/factotum", "-g", template) as talk:
            talk.answer("password", PASSWORD)
            assert talk.end() == 0, talk.shown
        assert PASSWORD not in talk.shown


@pytest.fixture
def user(tmp_path: Path, real: Servers) -> Iterator[User]:
    scratch = tmp_path / "home"
    with Place(scratch) as place:
        place.namespace.mkdir(mode=0o700)
        with Shell(tmp_path, scratch, place.namespace) as shell:
            somebody = User(place, scratch, shell)
            somebody.types(
                f"$ IMAPS={real.imaps} SMTP={real.smtp}\n"
                "$ root=$MAILFS_ROOT user=$(id -un)\n"
                "$ export sysname=gnot; cd; umask 022\n"
            )
            yield somebody


READING = """\
$ mailfs upas/fs -B -f /imaps/tcp!localhost!$IMAPS/glenda 2>refusal
$ sed 's/.*: cert/cert/; s/ (.*//' refusal
cert for localhost not recognized: self-signed certificate
$ echo "$(sed 's/.* echo .\\(x509 [^ ]*\\).*/\\1/' refusal)" > $root/sys/lib/tls/mail
$ sed 's/=.*//' $root/sys/lib/tls/mail
x509 sha256
$ mailfs auth/factotum -B -n
"""
READ = """\
$ until mailfs 9p read upasfs/mbox/status | grep -q 'state ready'
> do mailfs 9p ls upasfs/mbox >/dev/null 2>&1; sleep 0.2; done
$ mailfs 9p read upasfs/mbox/1/subject; echo
the first
"""


def test_reading(user: User, real: Servers) -> None:
    """READING MAIL, of a server that is already set up for TLS."""
    real.dovecot.deliver(USER, b"Subject: the first\n\nbody\n")
    user.types(READING)
    user.adds_key(f"proto=pass service=imap server=localhost user={USER} !password?")
    user.types(READ)


CERTIFICATES = """\
$ openssl req -x509 -nodes -newkey rsa:1024 -keyout key.pem -out cert.pem \\
> -subj /CN=a 2>/dev/null
$ cp cert.pem $root/sys/lib/tls/imap.pem
$ cp key.pem $root/sys/lib/tls/key.pem
$ mailfs auth/rsagen -t 'service=tls role=client owner=*' > key
$ mailfs auth/rsa2x509 'C=FR CN=*.fakedom.dom' key |
> mailfs auth/pemencode CERTIFICATE > cert
$ openssl x509 -in cert -noout -subject -ext subjectAltName
subject=C = FR, CN = *.fakedom.dom
X509v3 Subject Alternative Name:
    DNS:*.fakedom.dom
$ mailfs auth/secretpem /sys/lib/tls/key.pem >> factotum
$ cut -d' ' -f1-6 factotum
key proto=rsa service=tls role=client owner=* size=1024
$ mailfs auth/factotum -B -n
$ cat key factotum | mailfs 9p write factotum/ctl
$ mailfs 9p read factotum/ctl | cut -d' ' -f1-6
key proto=rsa service=tls role=client owner=* size=2048
key proto=rsa service=tls role=client owner=* size=1024
"""


def test_a_certificate_for_the_mail_server(user: User) -> None:
    """Its key and certificate, by openssl and by Plan 9's tools, told to factotum."""
    user.types("$ mailfs setup --help >/dev/null; mailfs queue >/dev/null\n")
    (user.place.root / "sys/lib/tls").mkdir(parents=True, exist_ok=True)
    user.types(CERTIFICATES)


SMTP_TLS_AUTH = """\
$ printf 'Subject: by hand\\n\\nhello\\n' > letter
$ try() {
> mailfs upas/smtp $1 -a -h mymachine.dom net!localhost!$SMTP glenda fred@b.com
> }
$ try -d < letter 2>&1 | sed 's/connect to.*/connect/; s/.*failed: //; s/ (.*//'
...
<- 220 2.0.0 Ready to start TLS
...
cert for localhost not recognized: self-signed certificate
Permanent Failure
$ tail -1 $root/sys/log/smtp | sed 's/.*x509/x509/; s/256=[^ ]*/256=/'
x509 sha256= server=localhost
$ tail -1 $root/sys/log/smtp | sed 's/.*x509/x509/' >> $root/sys/lib/tls/smtp
$ try < letter 2>&1 | sed 's/.*userpasswd: //'
...
no factotum runs: mailfs factotum &
Retry, Temporary Failure
$ mailfs auth/factotum -B -n
$ try < letter 2>&1 | sed -n 's/.*\\(mailfs factotum -g .*\\)/\\1/p'
mailfs factotum -g 'proto=pass server=localhost user? !password?'
"""
SENT = """\
$ try < letter; echo $?
0
"""


def test_smtp_tls_auth(user: User, real: Servers) -> None:
    before = _count(real)
    user.types(SMTP_TLS_AUTH)
    user.adds_key(f"proto=pass service=smtp user={USER} server=localhost !password?")
    user.types(SENT)
    text = real.postfix.mail(before + 1)[-1]
    assert b"Subject: by hand\n" in text
    assert b"(Authenticated sender: glenda)" in text or b"ESMTPSA" in text


SENDING = """\
$ mailfs mail -s nowhere fred@b.com < letter
...
$ cp $root/mail/lib/rewrite.gateway $root/mail/lib/rewrite
$ mailfs mail -s nowhere fred@b.com < letter 2>&1 | grep -o 'smtp=' | head -1
smtp=
$ echo "sys=gnot dom=gnot.fakedom.dom smtp=net!localhost!$SMTP" >> $root/lib/ndb/local
$ sed -i 's/yourdomain.dom/fakedom.dom/; s/mailfs smtp/& -a/' $root/mail/lib/remotemail
$ echo 'From: "Glenda" <glenda@fakedom.dom>' > $root/mail/box/$user/headers
$ mailfs mail -s 'from Glenda' fred@b.com < letter; echo $?
0
$ upasname=janet@machine.dom mailfs mail -s 'from Janet' fred@b.com < letter
$ mailfs mail -s 'to myself' $user < letter
$ grep -rl '^Subject: to myself' $root/mail/box/$user/mbox | wc -l
1
"""
KICKED = """\
$ mailfs kickqueue
$ until mailfs queue | grep -q empty || test $((tries += 1)) -gt 50; do sleep 0.2; done
"""


def test_sending(user: User, real: Servers) -> None:
    """SENDING MAIL through a gateway that wants a login."""
    before = _count(real)
    user.types("$ mailfs auth/factotum -B -n; printf 'hello\\n' > letter\n")
    user.adds_key(f"proto=pass service=smtp user={USER} server=localhost !password?")
    user.types(f"$ mailfs trust -y smtp tcp!localhost!{real.smtp} >/dev/null\n")
    user.types(SENDING)
    user.types(KICKED)
    until(lambda: _count(real) >= before + 2)
    texts = real.postfix.mail(before + 2)[-2:]
    assert sorted(line for text in texts for line in _from(text)) == [
        b'From: "Glenda" <glenda@fakedom.dom>',
        b"From: janet@machine.dom",
    ]


def _from(text: bytes) -> list[bytes]:
    return [line for line in text.split(b"\n") if line.startswith(b"From: ")]


def _count(real: Servers) -> int:
    folder = real.postfix.root / "box/all/new"
    return len(list(folder.iterdir())) if folder.exists() else 0


MANUAL = """\
$ for page in rewrite '6 rewrite' '6 ndb' '6 smtpd' '8 smtp' upas/fs
> do mailfs man -w $page; done | sed 's/.*mailfs-//'
rewrite.6
rewrite.6
ndb.6
smtpd.6
smtp.1
fs.1
$ mailfs warlock_mail --help | head -1
...
"""


def test_the_manual(user: User) -> None:
    """``The manual rewrite(6) is worth reading``, and the mail warlock."""
    user.types(MANUAL)
