"""Editing a secret in a file system that is memory, so no disk ever holds it.

What the editor does besides is the editor's affair: one that keeps copies, undo files
or a history elsewhere than beside the file takes the secret there.  vim and neovim are
told not to.  Memory may be swapped out; swapping says whether it may here.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mailfs.secstore.error import SecstoreError

MEMORY = ("tmpfs", "ramfs")  # types of file system, proc(5)
MAX_EDITED = 10 << 20  # octets

VIM = ("-n", "-i", "NONE", "+set nobackup nowritebackup noundofile")
FLAGS: dict[str, tuple[str, ...]] = {"vim": VIM, "nvim": VIM}


def kind(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system path lies in, empty if nobody can tell."""
    try:
        device = path.stat().st_dev
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        words, _, rest = line.partition(" - ")
        if words.split()[2:3] == [number] and rest:
            return rest.split()[0]
    return ""


def memory_folder(candidates: Sequence[str | None] = ()) -> Path:
    """Return a folder in memory we may write to.  Raises SecstoreError."""
    for name in candidates or (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108
        if name and os.access(name, os.W_OK | os.X_OK) and kind(Path(name)) in MEMORY:
            return Path(name)
    raise SecstoreError("no file system in memory to edit in (tmpfs or ramfs)")


def swapping(swaps: Path = Path("/proc/swaps")) -> bool:
    """Whether memory may be written to a disk."""
    try:
        return len(swaps.read_text().splitlines()) > 1  # the first is a heading
    except OSError:
        return True


def edit(data: bytes, name: str, editor: Sequence[str], memory: Path) -> bytes:
    """Return data as changed by the editor, a command that is given a file's path.

    The file is overwritten and removed whatever happens but a SIGKILL.  Raises
    SecstoreError if the editor fails, and then data is as it was.
    """
    if kind(memory) not in MEMORY:
        raise SecstoreError(f"{memory}: not in memory")
    flags = FLAGS.get(os.path.basename(editor[0]), ())
    with _private(memory) as folder:
        path = folder / name
        path.touch(0o600)
        path.write_bytes(data)
        try:
            done = subprocess.run([*editor, *flags, str(path)], check=False)  # noqa: S603
        except OSError as e:
            raise SecstoreError(f"{editor[0]}: {e.strerror}") from e
        if done.returncode != 0:
            raise SecstoreError(f"{editor[0]}: exit status {done.returncode}")
        try:
            with path.open("rb") as f:
                changed = f.read(MAX_EDITED + 1)
        except OSError as e:
            raise SecstoreError(f"{name}: {e.strerror}".lower()) from e
        if len(changed) > MAX_EDITED:
            raise SecstoreError(f"{name}: over {MAX_EDITED} octets")
        return changed


@contextmanager
def _private(memory: Path) -> Iterator[Path]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    old = {n: signal.signal(n, stop) for n in (signal.SIGTERM, signal.SIGHUP)}
    folder = Path(tempfile.mkdtemp(prefix="mailfs.", dir=memory))  # mode 0700
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):  # backup and swap files too
            if path.is_file() and not path.is_symlink():
                size = path.stat().st_size
                with path.open("r+b") as f:
                    f.write(bytes(size))
        shutil.rmtree(folder)
        for n, handler in old.items():
            signal.signal(n, handler)
