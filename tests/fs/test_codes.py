"""Codes of nodes in qids, and the tables of names."""

import pytest

from mailfs.fs import boxdir, root
from mailfs.fs.codes import BITS, FREE, Code
from mailfs.fs.files import FILES, OURS, FileRow, table
from mailfs.fs.keyed import box, files
from mailfs.fs.keyed import root as keyed
from mailfs.mailbox.message import Need
from mailfs.mailbox.octets import Memory


def _row(code: int) -> FileRow:
    return FileRow(code, Need.NOTHING, lambda item: Memory(b""))


def test_every_code_fits_and_none_is_given_twice() -> None:
    for rows in (FILES | OURS, files.FILES):
        codes = [row.code for row in rows.values()]
        assert len(set(codes) | set(Code)) == len(codes) + len(Code)
        assert max(codes) < 1 << BITS
    assert max(Code) < 1 << BITS


@pytest.mark.parametrize("code", [3, Code.MESSAGE, 1 << BITS, -1])
def test_a_code_of_another_node_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match="codes of files"):
        table({"flags": _row(3), "another": _row(code)})


def test_a_new_file_moves_no_other() -> None:
    free = min(FREE - {row.code for row in FILES.values()})
    more = table(FILES | {"aaa": _row(free)})
    assert next(iter(more)) == "aaa"
    assert {name: row.code for name, row in FILES.items()}.items() <= {
        name: row.code for name, row in more.items()
    }.items()


def test_a_name_is_a_row_and_no_files() -> None:
    for names in (boxdir.NAMES, root.NAMES, box.NAMES, keyed.NAMES):
        assert "ctl" in names
        assert not names.keys() & FILES.keys()
        assert not any(name.isdecimal() or "." in name for name in names)
