"""Lines in sys/log, which many write at once."""

import re
import subprocess
import sys
from pathlib import Path

from mailfs.site.log import MAX_LINE, SysLog

NOW = 1796134676  # Dec  1 14:17:56 2026, GMT


def open_log(root: Path, name: str = "mail") -> Path:
    path = root / "sys" / "log" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_form(tmp_path: Path) -> None:
    path = open_log(tmp_path)
    log = SysLog(tmp_path, "felix", lambda: NOW)
    log.write("mail", "hello\nerror+ more\n")
    log.write("mail", "again")
    stamp = r"felix Dec  1 \d\d:17:56 "
    assert re.fullmatch(
        f"{stamp}hello\nerror\\+ more\n{stamp}again\n", path.read_text()
    )


def test_what_is_not_text_is_shown(tmp_path: Path) -> None:
    path = open_log(tmp_path)
    SysLog(tmp_path, "x").write("mail", "a\r\x1b[2Jb\té\udcff" + "y" * 5000)
    line = path.read_bytes()
    assert line.count(b"\n") == 1
    assert b"a??[2Jb\t\xc3\xa9?yy" in line
    assert len(line) == MAX_LINE + 1


def test_a_log_is_never_made(tmp_path: Path) -> None:
    SysLog(tmp_path, "x").write("mail", "a")
    assert not (tmp_path / "sys").exists()
    open_log(tmp_path, "smtp")
    SysLog(tmp_path, "x").write("mail", "a")
    assert not (tmp_path / "sys/log/mail").exists()


WRITER = """
import sys
from pathlib import Path
from mailfs.site.log import SysLog
log = SysLog(Path(sys.argv[1]), "felix")
for n in range(300):
    log.write("mail", f"{sys.argv[2]} {n}\\nerror+ {sys.argv[2]} {n}")
"""


def test_texts_of_two_processes_stay_whole(tmp_path: Path) -> None:
    path = open_log(tmp_path)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name])
        for name in ("one", "two")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    lines = path.read_text().splitlines()
    assert len(lines) == 1200
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        assert second == "error+ " + " ".join(first.split()[4:])
