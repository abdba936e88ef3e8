"""README's own examples, run as a reader would run them: one shell, top to bottom.

A fence marked console holds commands after ``$ ``, continued after ``> ``, each
followed by what it prints; a line ``...`` there stands for any lines.  A fence marked
python is a program.  Fences marked otherwise, or not at all, are for reading only.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

COMMAND_SECONDS = 120  # one command; the first may have to prepare .venv
READY_SECONDS = 30  # a server started with & has posted its socket by then

PYTHON = shlex.quote(sys.executable)
FENCE = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """A command of a console fence, or a whole python fence."""

    line: int  # of the document, from 1
    kind: str
    code: str
    expect: str = ""


def examples(text: str) -> Iterator[Example]:
    """Yield the examples of a document in order.

    Raises ValueError if a console fence begins with output.
    """
    for match in FENCE.finditer(text):
        kind, body = match.groups()
        line = text.count("\n", 0, match.start(2)) + 1
        if kind == "python":
            yield Example(line, kind, body)
        else:
            yield from _commands(line, body)


def _commands(line: int, body: str) -> Iterator[Example]:
    start, code, expect = 0, "", ""
    for number, row in enumerate(body.splitlines(keepends=True), line):
        if row.startswith("$ "):
            if code:
                yield Example(start, "console", code, expect)
            start, code, expect = number, row[2:], ""
        elif not code:
            raise ValueError(f"line {number}: output before the first command")
        elif row.startswith("> ") and not expect:
            code += row[2:]
        else:
            expect += row
    if code:
        yield Example(start, "console", code, expect)


def matches(expect: str, output: str) -> bool:
    """Whether output is what expect says, line ends and ``...`` lines apart."""
    rows = [
        r"(?:.*\n)*" if row.strip() == "..." else re.escape(row.rstrip()) + r"[ \t]*\n"
        for row in expect.splitlines()
    ]
    output = output if output.endswith("\n") or not output else output + "\n"
    return re.fullmatch("".join(rows), output) is not None


def quote(path: Path) -> str:
    """Return a path as one word of sh."""
    return shlex.quote(str(path))


def programs(folder: Path) -> Path:
    """Make a folder that holds the command mailfs, of this checkout; return it."""
    folder.mkdir(parents=True)
    command = folder / "mailfs"
    command.write_text(f'#!/bin/sh\nexec {PYTHON} -P -m mailfs "$@"\n')
    command.chmod(0o755)
    return folder


class Shell:
    """One shell that runs example after example; ending it ends what it started."""

    def __init__(self, directory: Path, scratch: Path, namespace: Path) -> None:
        self._scratch = scratch
        self._namespace = namespace
        path = f"{programs(scratch / 'bin')}:{os.environ['PATH']}"
        env = os.environ | {
            "HOME": str(scratch),
            "NAMESPACE": str(namespace),
            "MAILFS_ROOT": str(scratch / "root"),
            "XDG_CACHE_HOME": str(scratch / "cache"),
            "PATH": path,
        }
        self._shell = subprocess.Popen(
            ["/bin/sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=directory,
            env=env,
            start_new_session=True,
        )

    def __enter__(self) -> "Shell":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):  # all had ended already
            os.killpg(self._shell.pid, signal.SIGTERM)
        self._shell.communicate()

    def run(self, example: Example) -> None:
        """Run it.  Raises AssertionError if it fails or prints something else.

        A status other than 0 is right where the printed refusal is.
        """
        code = self._scratch / "code"
        output, status = self._scratch / "output", self._scratch / "status"
        code.write_text(example.code)
        status.unlink(missing_ok=True)
        output.touch()
        before = self._services()
        run = f". {quote(code)}"
        if example.kind == "python":
            run = f"{PYTHON} {quote(code)}"
        made = quote(status.with_suffix(".made"))
        self._send(
            f"{run} </dev/null >{quote(output)} 2>&1; echo $? >{made}; "
            f"mv {made} {quote(status)}\n"
        )
        where = f"line {example.line}: {example.code}"
        self._await(status.exists, COMMAND_SECONDS, where)
        if example.code.rstrip().endswith("&"):
            self._await(lambda: self._services() > before, READY_SECONDS, where)
            return
        printed, code_ = output.read_text(), int(status.read_text())
        assert not example.expect or matches(example.expect, printed), (
            f"{where}printed\n{printed}and not\n{example.expect}"
        )
        assert code_ == 0 or example.expect, f"{where}status {code_}\n{printed}"

    def _services(self) -> set[str]:
        return {p.name for p in self._namespace.glob("*")}

    def _send(self, text: str) -> None:
        assert self._shell.stdin
        self._shell.stdin.write(text.encode())
        self._shell.stdin.flush()

    def _await(self, done: Callable[[], bool], seconds: float, where: str) -> None:
        end = time.monotonic() + seconds
        while not done():
            printed = (self._scratch / "output").read_text()
            assert time.monotonic() < end, (
                f"{where}not done after {seconds} s\n{printed}"
            )
            assert self._shell.poll() is None, f"{where}ended the shell\n{printed}"
            time.sleep(0.01)
