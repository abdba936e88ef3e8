"""What sending would do, without doing it: send -x and -#, which programs parse."""

from collections.abc import Iterator, Sequence

from mailfs.attr import quote
from mailfs.msg.escape import escape
from mailfs.send import local
from mailfs.send.refusal import Refusal
from mailfs.send.rewrite import Rules
from mailfs.send.route import Program, RouteNode, Router
from mailfs.send.submit import groups
from mailfs.site.site import Site


def lines(
    site: Site,
    rules: Rules,
    recipients: Sequence[str],
    sender: str,
    *,
    commands: bool,
) -> Iterator[str]:
    """Yield the destination of each recipient, or the command of each delivery.

    What cannot be delivered is ``TEXT: ADDRESS``, with ``%%XX`` as upas shows it.
    """
    router = Router(site, rules, sender, bulk=False, auth=False)
    for group in groups(router.resolve(recipients)):
        if commands and not isinstance(group.leaf, Refusal):
            yield _command(site, group.nodes)
            continue
        for node in group.nodes:
            shown = escape(node.address)
            text = node.leaf.text if isinstance(node.leaf, Refusal) else ""
            yield f"{text}: {shown}" if text else shown


def _command(site: Site, nodes: Sequence[RouteNode]) -> str:
    leaf = nodes[0].leaf
    if isinstance(leaf, local.LocalMailbox):
        return f"cat >> {site.shown(leaf.path)}"
    if isinstance(leaf, local.Pipeto):
        words = [site.shown(leaf.program), nodes[0].address, site.shown(leaf.mailbox)]
        return f"upasname={quote(leaf.user)} {' '.join(map(quote, words))}"
    programs = [node.leaf for node in nodes if isinstance(node.leaf, Program)]
    own = dict.fromkeys(program.shown[1] for program in programs)
    return " ".join(filter(None, [programs[0].shown[0], *own]))
