"""Counts by network: at once, a minute, bounded in all."""

from mailfs.serve.limits import MINUTE, Rates, Table, network


def table(**more: int) -> tuple[Table, list[float]]:
    now = [0.0]
    return Table(lambda: now[0], Rates(connections=5, refusals=2), **more), now


def test_at_once() -> None:
    one, _ = table(at_once=2)
    assert [one.enter("a") for _ in range(3)] == [True, True, False]
    one.leave("a")
    assert one.enter("a")
    assert one.enter("b")


def test_in_a_minute() -> None:
    one, now = table(at_once=100)
    assert sum(one.enter("a") for _ in range(9)) == 5
    now[0] = MINUTE
    assert one.enter("a")
    assert [one.note("b", "refusals") for _ in range(3)] == [True, True, False]


def test_over_all() -> None:
    one, _ = table(overall=3)
    assert [one.enter(peer) for peer in "abcd"] == [True, True, True, False]
    assert not one.enter("trusted", trusted=True)
    one.leave("a")
    assert one.enter("trusted", trusted=True)


def test_the_trusted_are_not_counted() -> None:
    one, _ = table(at_once=1)
    assert all(one.enter("a", trusted=True) for _ in range(50))
    for _ in range(50):
        one.leave("a", trusted=True)


def test_no_more_peers_than_may_be() -> None:
    one, _ = table(peers=10)
    one.enter("held")
    for n in range(100):
        one.note(f"peer{n}", "refusals")
    assert len(one._peers) <= 11
    assert "held" in one._peers


def test_networks() -> None:
    assert network("10.1.2.3") == "10.1.2.3"
    assert network("::ffff:10.1.2.3") == "10.1.2.3"
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2:9::1")
    assert network("fe80::1%eth0") == "fe80::/64"
    assert network("") == ""
