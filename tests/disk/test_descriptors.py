"""The limit of descriptors is raised, and what is at it is named so."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import errno, os, resource, sys
from pathlib import Path
from mailfs.disk.descriptors import raise_limit
from mailfs.errors import reason
from mailfs.tls import store

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
assert raise_limit(500) == 500 and raise_limit(100) == 500
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 500
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
assert raise_limit() == 64
path = store.trusted(Path(sys.argv[1]), "mail")
path.parent.mkdir(parents=True)
path.write_text("x509 sha1=" + 40 * "a" + chr(10))
list(os.scandir("/"))
open_ = []
try:
    while True:
        open_.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
try:
    store.load(path, Path(sys.argv[1]))
except OSError as e:
    os.close(open_.pop())
    assert e.errno == errno.EMFILE
    print(reason(e))
"""


def test_the_limit_and_its_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("too many open files\n"), done.stderr
