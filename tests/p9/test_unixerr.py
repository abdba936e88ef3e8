"""Refusals and their errnos."""

import errno
import os

import pytest

from mailfs import errors
from mailfs.errors import MailfsError, Refused
from mailfs.p9 import errstr
from mailfs.p9.unixerr import KNOWN, WORDS, errno_of, words

CASES = [
    ("permission denied", errno.EACCES),
    ("Permission denied", errno.EACCES),
    ("file does not exist", errno.ENOENT),
    ("file has been removed", errno.ENOENT),
    ("'/mail/x' file does not exist", errno.ENOENT),
    ("no such mailbox", errno.ENOENT),
    ("mailbox not found", errno.ENOENT),
    ("wstat prohibited", errno.EPERM),
    ("create prohibited", errno.EACCES),
    ("read only file system", errno.EROFS),
    ("i/o error", errno.EIO),
    ("I/O error", errno.EIO),
    ("unknown control message", errno.EINVAL),
    ("bad flags", errno.EINVAL),
    ("mbox name in use", errno.EBUSY),
    ("move not supported", errno.EOPNOTSUPP),
    ("illegal offset", errno.EINVAL),
    ("file already exists", errno.EEXIST),
    ("directory is not empty", errno.ENOTEMPTY),
    ("no space left on device", errno.ENOSPC),
    ("file system is full", errno.ENOSPC),
    ("exclusive use file already open", errno.EBUSY),
    ("phase error", errno.EPIPE),
    ("gone postal", errno.EIO),
    ("", errno.EIO),
]


@pytest.mark.parametrize(("text", "number"), CASES)
def test_texts(text: str, number: int) -> None:
    assert errno_of(Refused(text)) == number


def test_a_lost_line_is_no_refusal() -> None:
    assert errno_of(MailfsError("permission denied: hung up")) == errno.EIO


@pytest.mark.parametrize("number", sorted(errors._ERRNO))
def test_our_own_servers_errors_come_back(number: int) -> None:
    """What errors.reason made a text of is the same errno again, or says less."""
    text = errors.reason(OSError(number, os.strerror(number)))
    alike = {errno.EPERM: errno.EACCES, errno.EDQUOT: errno.ENOSPC}
    assert errno_of(Refused(text)) == alike.get(number, number)


@pytest.mark.parametrize("number", WORDS)
def test_words_are_the_systems(number: int) -> None:
    """Linux's table has the C library's words."""
    assert WORDS[number] == os.strerror(number)


@pytest.mark.parametrize(("text", "number"), CASES)
def test_texts_in_the_systems_words(text: str, number: int) -> None:
    assert words(text) == (text if text in KNOWN else os.strerror(number))


def _texts() -> list[str]:
    """List the error texts that our servers have names for."""
    found = [*vars(errors).items(), *vars(errstr).items()]
    return [v for k, v in found if k.isupper() and isinstance(v, str)]


@pytest.mark.parametrize("text", _texts())
def test_no_text_of_ours_is_unknown(text: str) -> None:
    """A fault of the disk is an I/O error, and nothing else is."""
    assert (errno_of(Refused(text)) == errno.EIO) == (text == errors.EIO)
