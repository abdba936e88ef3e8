"""Who has a directory open."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from mailfs.fuse.opendir import OpenDir
from mailfs.fuse.recursion import opened_by, process

NOBODY = 0x7FFFFFFF


def by(*threads: int) -> list[OpenDir]:
    return [cast(OpenDir, SimpleNamespace(pid=thread)) for thread in threads]


def test_threads_have_a_process(tmp_path: Path) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(threading.get_native_id()))
    thread.start()
    thread.join()
    assert process(os.getpid()) == os.getpid()
    assert process(NOBODY) == 0
    (tmp_path / "7").mkdir()
    (tmp_path / "7/status").write_text("Name:\trm\nTgid:\t5\nNgid:\t0\n")
    assert process(7, tmp_path) == 5
    (tmp_path / "7/status").write_text("Name:\trm\n")
    assert process(7, tmp_path) == 0


def test_other_threads_of_the_process_count() -> None:
    ready, done = threading.Event(), threading.Event()

    def wait() -> None:
        ready.set()
        done.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    ready.wait()
    try:
        assert thread.native_id is not None
        assert opened_by(os.getpid(), by(thread.native_id))
        assert opened_by(thread.native_id, by(NOBODY, os.getpid()))
    finally:
        done.set()
        thread.join()


def test_others_do_not_count() -> None:
    assert not opened_by(os.getpid(), by())
    assert not opened_by(os.getpid(), by(os.getppid()))
    assert opened_by(NOBODY, by(NOBODY))
    assert not opened_by(NOBODY, by(NOBODY - 1))
    assert not opened_by(0, by(0))  # both in a namespace that we cannot see
