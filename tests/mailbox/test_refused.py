"""A login that was refused waits for another key."""

from pathlib import Path

import pytest

from mailfs.factotum.client import Factotum, NeedKey
from mailfs.imap.error import LoginRefused
from mailfs.mailbox.refused import RefusedLogins
from tests.factotum.serving import Served, serving

KEY = "proto=pass server=h user=u !password="


def attempt(
    refused: RefusedLogins, keys: Factotum, error: Exception | None, account: str = "a"
) -> bool:
    """Log in, or fail with error; whether the server was asked."""
    asked = False
    try:
        with refused.guarded(account, keys):
            asked = True
            keys.keys()
            if error is not None:
                raise error
    except (LoginRefused, NeedKey, OSError):
        pass
    return asked


@pytest.mark.parametrize("error", [LoginRefused("h", "no"), NeedKey("proto=pass")])
def test_only_another_key_lets_it_be_tried_again(
    tmp_path: Path, error: Exception
) -> None:
    refused = RefusedLogins()
    with serving(tmp_path, KEY + "wrong") as agent, agent.keys() as keys:
        assert attempt(refused, keys, error)
        assert not attempt(refused, keys, error)
        refused.forget()  # this agent tells a new key from the old
        assert not attempt(refused, keys, error)
        assert attempt(refused, keys, None, account="b")
        agent.add(KEY + "right")  # the same but for the secret
        assert attempt(refused, keys, error)
        assert not attempt(refused, keys, error)
        agent.add(KEY + "right")
        assert attempt(refused, keys, None)
        assert attempt(refused, keys, None)


def test_another_agent_has_other_keys(tmp_path: Path) -> None:
    refused, error = RefusedLogins(), LoginRefused("h", "no")
    for name in "xy":
        (tmp_path / name).mkdir()
        agent = Served(tmp_path / name)
        try:
            agent.add(KEY + "wrong")
            with agent.keys() as keys:
                assert attempt(refused, keys, error)
        finally:
            agent.close()


def test_what_passes_by_itself_is_tried_again(tmp_path: Path) -> None:
    refused = RefusedLogins()
    with serving(tmp_path) as agent, agent.keys() as keys:
        assert attempt(refused, keys, OSError(5, "x"))
        assert attempt(refused, keys, None)
