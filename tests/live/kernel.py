"""A Linux kernel with its own 9P client, booted under qemu to run shell steps.

Debian's kernel package is unpacked, not installed, and kept in .cache beside the
checkout.  The guest is busybox and the modules that 9P over TCP needs; it reaches the
host's loopback as 10.0.2.2.  A boot under software emulation takes long, so one
boot runs many steps.  Results come back over a second serial line, octet for octet.
"""

import hashlib
import lzma
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mailfs import where

CACHE = Path(__file__).resolve().parents[2] / ".cache"
HOST = "10.0.2.2"  # the host's loopback as qemu's user network shows it
STEP_SECONDS = 60  # one step; emulation is some twenty times slower than the host
BOOT_SECONDS = 240  # the whole boot: ten times what an idle machine needs
DOWNLOAD_SECONDS = 600  # 70 megabytes over a slow line

PACKAGE = "linux-image-amd64"
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "apt-get": "apt",
    "dpkg": "dpkg",
}

# In the order they are loaded.  From Linux 6.8 on fscache is a part of netfs.
MODULES = (
    "drivers/net/ethernet/intel/e1000/e1000",
    "fs/netfs/netfs",
    "fs/fscache/fscache",
    "net/9p/9pnet",
    "net/9p/9pnet_fd",
    "fs/9p/9p",
)
OPTIONAL = frozenset({"fs/fscache/fscache"})

INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /m
/bin/busybox mount -t devtmpfs none /dev
exec >/dev/ttyS0 2>&1 </dev/null
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp
stty -F /dev/ttyS1 raw -echo
for m in /modules/*; do insmod $m || echo "insmod $m: status $?"; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
cd /
for s in /steps/*; do
    echo "step ${s##*/}: $(head -c 60 $s | head -n 1)"
    timeout -s KILL @SECONDS@ sh $s >/tmp/out 2>/tmp/err
    status=$?
    echo "$status $(stat -c %s /tmp/out) $(stat -c %s /tmp/err)" >/tmp/head
    cat /tmp/head /tmp/out /tmp/err >/dev/ttyS1
done
poweroff -f
"""


class Missing(Exception):
    """The machine lacks what a boot needs; the text says what."""


class BootError(Exception):
    """The guest did not run all of its steps; the text ends with its console."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one step did in the guest."""

    command: str
    status: int
    out: bytes
    err: bytes

    @property
    def lines(self) -> list[str]:
        """The standard output as lines."""
        return self.out.decode().splitlines()

    def check(self) -> "Result":
        """Return self.  Raises AssertionError with both outputs if status is not 0."""
        assert self.status == 0, f"{self}"
        return self

    def __str__(self) -> str:
        return (
            f"{self.command}\nstatus {self.status}\n"
            f"{self.out.decode(errors='replace')}{self.err.decode(errors='replace')}"
        )


def mount(port: int, directory: str = "/m", *, options: str = "") -> str:
    """Return the guest's command that mounts the server on the host's loopback port.

    options, as mount(8) takes them, come last and so win.
    """
    given = f"trans=tcp,port={port},version=9p2000,msize=65536"
    given += f",uname={where.user()},access=any" + (options and f",{options}")
    words = ["mount", "-t", "9p", "-o", given]
    made = f"mkdir -p {shlex.quote(directory)} && "
    return made + shlex.join([*words, HOST, directory])


class Kernel:
    """A kernel image and its modules, ready to boot."""

    def __init__(self, image: Path, modules: Sequence[Path]) -> None:
        self.image = image
        self.modules = modules

    def run(self, steps: Sequence[str], seconds: float = BOOT_SECONDS) -> list[Result]:
        """Boot, run each step as a shell script of its own, power off.

        A step that overruns STEP_SECONDS is killed and has status 137.  Raises
        BootError unless every step has ended within seconds.
        """
        with tempfile.TemporaryDirectory(prefix="v9fs") as name:
            work = Path(name)
            self._initramfs(work, steps)
            console = _boot(self.image, work, seconds)
            results = parse((work / "results").read_bytes(), steps)
        if len(results) < len(steps):
            tail = console[-4000:].decode(errors="replace")
            raise BootError(
                f"{len(results)} of {len(steps)} steps ended in {seconds:.0f} s; "
                f"the console's end:\n{tail}"
            )
        return results

    def _initramfs(self, work: Path, steps: Sequence[str]) -> None:
        tree = work / "tree"
        for folder in ("bin", "modules", "steps"):
            (tree / folder).mkdir(parents=True)
        shutil.copy(_program("busybox"), tree / "bin/busybox")
        for i, module in enumerate(self.modules):
            shutil.copy(module, tree / f"modules/{i:02}-{module.name}")
        for i, step in enumerate(steps):
            (tree / f"steps/{i:03}").write_text(step + "\n")
        init = tree / "init"
        init.write_text(INIT.replace("@SECONDS@", str(STEP_SECONDS)))
        init.chmod(0o755)
        names = sorted(str(p.relative_to(tree)) for p in tree.rglob("*"))
        with (work / "initramfs").open("wb") as out:
            subprocess.run(
                [_program("cpio"), "-o", "-H", "newc", "-R", "0:0", "--quiet"],
                input="\n".join(names).encode(),
                stdout=out,
                cwd=tree,
                check=True,
            )


def _boot(image: Path, work: Path, seconds: float) -> bytes:
    """Run qemu until the guest powers off or time is up; return the console."""
    # Not kvm: a /dev/kvm inside a virtual machine may open and then never boot.
    append = "console=ttyS0 quiet panic=-1 tsc=unstable mitigations=off nokaslr"
    results = work / "results"
    results.touch()
    command = [_program("qemu-system-x86_64"), "-accel", "tcg", "-m", "512"]
    command += ["-display", "none", "-no-reboot", "-nodefaults"]
    command += ["-netdev", "user,id=n", "-device", "e1000,netdev=n"]
    command += ["-serial", "stdio", "-serial", f"file:{results}"]
    command += ["-kernel", str(image), "-initrd", str(work / "initramfs")]
    command += ["-append", append]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        return e.stdout or b""
    return done.stdout


def parse(stream: bytes, steps: Sequence[str]) -> list[Result]:
    """Take apart ``status outsize errsize``, a newline, out, err, and so on.

    The result is shorter than steps if the stream ends early.
    """
    results: list[Result] = []
    at = 0
    for step in steps:
        newline = stream.find(b"\n", at)
        if newline < 0:
            break
        status, size, errsize = map(int, stream[at:newline].split())
        out, err = newline + 1, newline + 1 + size
        at = err + errsize
        if len(stream) < at:
            break
        results.append(Result(step, status, stream[out:err], stream[err:at]))
    return results


def kernel() -> Kernel:
    """Return a kernel, downloading it if the cache has none made by the same recipe.

    Raises Missing if a program or the package cannot be had.
    """
    for name in PROGRAMS:
        _program(name)
    if platform.machine() != "x86_64":
        raise Missing(f"a machine that runs {PACKAGE}: this is {platform.machine()}")
    recipe = hashlib.sha256("\n".join((PACKAGE, *MODULES)).encode()).hexdigest()
    home = CACHE / f"v9fs-{recipe[:12]}"
    if not home.exists():
        _make(home)
    modules = [
        path
        for name in MODULES
        if (path := home / f"{name.rpartition('/')[2]}.ko").exists()
    ]
    return Kernel(home / "vmlinuz", modules)


def _make(home: Path) -> None:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="v9fs", dir=CACHE) as name:
        work = Path(name)
        _download(work)
        made = work / "made"
        made.mkdir()
        (image,) = work.glob("tree/boot/vmlinuz-*")
        shutil.copy(image, made / "vmlinuz")
        for module in MODULES:
            _module(work / "tree", module, made)
        made.rename(home)


def _module(tree: Path, name: str, to: Path) -> None:
    """Copy a module, decompressed, out of the package's tree; newer ones are .ko.xz."""
    found = list(tree.glob(f"**/lib/modules/*/kernel/{name}.ko*"))
    if not found and name in OPTIONAL:
        return
    if len(found) != 1:
        raise Missing(f"{name} in {PACKAGE}: found {len(found)}")
    data = found[0].read_bytes()
    if found[0].suffix == ".xz":
        data = lzma.decompress(data)
    (to / f"{name.rpartition('/')[2]}.ko").write_bytes(data)


def _download(work: Path) -> None:
    """Unpack the kernel's package into work/tree."""
    package = _dependency()
    if package is None and os.geteuid() == 0:
        _apt(work, "apt-get", "update", "-q")
        package = _dependency()
    if package is None:
        raise Missing(f"package lists that name {PACKAGE}: run apt-get update")
    _apt(work, "apt-get", "download", "-q", package)
    (deb,) = work.glob("*.deb")
    _apt(work, "dpkg", "-x", deb.name, "tree")


def _dependency() -> str | None:
    """Return the package that PACKAGE depends on, None if the lists do not say."""
    done = subprocess.run(
        ["apt-cache", "depends", PACKAGE], capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines():
        kind, _, package = line.strip().partition(": ")
        if kind == "Depends" and package.startswith("linux-image-"):
            return package
    return None


def _apt(work: Path, *command: str) -> None:
    done = subprocess.run(
        command,
        cwd=work,
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Missing(f"{shlex.join(command)}: {done.stderr.strip()[-500:]}")


def _program(name: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{name}: apt-get install {PROGRAMS[name]}")
    return path
