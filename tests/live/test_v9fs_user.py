"""An ordinary user on a mount by the Linux kernel: outbox, removal, words of errors.

The mount line is README's: a dialect of Unix is offered, and files are the user's.
"""

import pytest

from tests.corpus import corpus, write_mbox
from tests.live.kernel import Kernel, Result, mount
from tests.live.server import Server

pytestmark = [pytest.mark.live, pytest.mark.slow]

SMALL = 6  # messages of the mailbox
OPTIONS = "version=9p2000.u,aname=upas/modes,dfltuid=1000,dfltgid=1000"
AS_USER = "su glenda -s /bin/sh -c"

# Names that an editor gives to what is not finished: nothing is sent.
OUTBOX = """
set -e
cd /m/outbox
echo one >.letter.swp
echo two >>.letter.swp
cat .letter.swp
mv .letter.swp .other.swp
cat .other.swp
sync -d .other.swp
truncate -s 4 .other.swp
cat .other.swp
rm .other.swp
ls -a | grep swp || echo none
"""
REFUSED = {
    "frob": "echo frob >/m/ctl",
    "no box": "echo delete nonesuch 1 >/m/ctl",
    "no message": "echo delete small 99 >/m/ctl",
    "bad flags": "printf +x >/m/small/1/flags",
    "slash": "echo open /nonesuch a/b >/m/ctl",
    "too big": "mkdir /m/outbox/new",
    "rename": "mv /m/small/1 /m/small/9",
    "part": "rmdir /m/small/1/1",
    "times": "touch -d @7 /m/small/1/subject",
    "box gone": "echo remove /nonesuch >/m/ctl",
    "file": "cat /m/small/1/nonesuch",
}
UNKNOWN = ("526", "Unknown error", "No error information")


@pytest.fixture(scope="module")
def results(
    linux: Kernel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    place = tmp_path_factory.mktemp("user")
    write_mbox(place / "small", corpus(SMALL, seed=4))
    boxes = ["fs", "-p", "-f", f"small={place / 'small'}", "--root", str(place)]
    passwd = "echo glenda:x:1000:1000::/:/bin/sh >/etc/passwd"
    steps = {"user": f"mkdir -p /etc && {passwd} && echo glenda:x:1000: >/etc/group"}
    with Server(boxes, place / "log") as server:
        steps["mount"] = mount(server.port, options=OPTIONS)
        steps["outbox"] = f"{AS_USER} '{OUTBOX}'"
        steps["rmdir"] = f"{AS_USER} 'rmdir /m/small/3 && ls -d /m/small/[0-9]'"
        steps["flag"] = (
            f"{AS_USER} 'printf +s >/m/small/2/flags && cat /m/small/2/flags'"
        )
        steps |= {name: f"{AS_USER} '{step}'" for name, step in REFUSED.items()}
        steps["log"] = "dmesg | grep 'unknown error' || echo none"
        done = linux.run(list(steps.values()))
    return dict(zip(steps, done, strict=True))


def test_it_mounts(results: dict[str, Result]) -> None:
    results["user"].check()
    results["mount"].check()


def test_a_letter_is_written_renamed_and_synced(results: dict[str, Result]) -> None:
    lines = results["outbox"].check().lines
    assert lines == ["one", "two", "one", "two", "one", "none"]


def test_a_message_is_removed(results: dict[str, Result]) -> None:
    left = [f"/m/small/{n}" for n in range(1, SMALL + 1) if n != 3]
    assert results["rmdir"].check().lines == left


def test_a_flag_is_set(results: dict[str, Result]) -> None:
    assert b"s" in results["flag"].check().out


@pytest.mark.parametrize("step", REFUSED)
def test_errors_are_known(results: dict[str, Result], step: str) -> None:
    result = results[step]
    assert result.status != 0, f"{result}"
    assert not any(text in result.err.decode() for text in UNKNOWN), f"{result}"


def test_the_kernel_knew_every_text(results: dict[str, Result]) -> None:
    assert results["log"].check().lines == ["none"]
