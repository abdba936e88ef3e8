"""Sending as a function: the whole of send(8), for programs and for ourselves.

``submit`` decides what each recipient means, appends to mailboxes, runs programs, puts
the rest into the queue, writes the log, and tells what became of each recipient.  It
changes nothing in this process but files, so any thread may call it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mailfs.errors import EFBIG, MailfsError, reason
from mailfs.msg import date
from mailfs.msg.escape import unescape
from mailfs.ndb import install
from mailfs.send import (
    complaint,
    deferred,
    local,
    mail,
    outward,
    rewrite,
    settings,
    trace,
)
from mailfs.send.mail import Mail
from mailfs.send.refusal import LOOP, Refusal, Unconfigured, permanent, temporary
from mailfs.send.result import Result, State
from mailfs.send.rewrite import Rules
from mailfs.send.route import Leaf, Program, RouteNode, Router
from mailfs.site.site import Site
from mailfs.smtp.dsn import Dsn, RcptDsn, xtext

RULES = "rewrite"  # in mail/lib
MAX_RULES_FILE = 1 << 20  # octets


_Fate = tuple[State, Refusal | None, str]  # the last is the command


@dataclass(slots=True)
class _Group:
    """Nodes that one delivery serves."""

    leaf: Leaf
    nodes: list[RouteNode] = field(default_factory=list)


def submit(
    site: Site,
    sender: str | None,
    recipients: Sequence[str],
    message: bytes,
    *,
    relayed: bool = False,
    to_line: bool = True,
    name: str = "",
) -> list[Result]:
    """Send a message and return, in order of recipients, what became of it.

    site        whose installation, and for whom: mail/box/USER, mail/queue/USER
    sender      envelope sender; None for ``$upasname``, else the user; "" for nobody
    recipients  addresses in at form or bang form
    message     RFC 5322 text, LF or CRLF
    relayed     it comes from another program: From_ lines in front say who sent it and
                when, nothing is added to it, and auth rules are asked
    to_line     add a To: line if there is none
    name        the sender's full name, for a From: line if there is none

    Everything reported delivered or queued is on disk.  Raises Refusal for a message
    that no recipient can have; then nothing has been done.
    """
    install.install(site.root, site.user)
    return send(
        site,
        load_rules(site),
        recipients,
        mail.read(site, message, sender, relayed=relayed),
        relayed=relayed,
        to_line=to_line,
        name=name,
    )


def load_rules(site: Site) -> Rules:
    """Read mail/lib/rewrite; complaints of its lines go to the log.

    Raises Refusal, temporary, if it cannot be read, and Unconfigured if it has no rules
    or still has YOURDOMAIN.DOM.
    """
    path = site.lib / RULES
    try:
        with open(path, "rb") as f:
            raw = f.read(MAX_RULES_FILE + 1)
    except FileNotFoundError:
        raise Unconfigured(settings.no_rules(site)) from None
    except OSError as e:
        raise temporary(f"{path}: {reason(e)}") from e
    if len(raw) > MAX_RULES_FILE:
        raise temporary(f"{path}: {EFBIG}")
    text = raw.decode("utf-8", "replace")
    settings.check_edited(site, path, text)
    rules = rewrite.parse(text, (site.names.site, site.names.sysname))
    for complained in rules.complaints:
        site.log.write("mail", f"error in rewrite: {complained}")
    if not len(rules):
        raise Unconfigured(settings.no_rules(site, rules.complaints))
    return rules


def resolve(
    site: Site, rules: Rules, recipients: Sequence[str], letter: Mail, *, relayed: bool
) -> tuple[list[RouteNode], Router]:
    """Say where each recipient leads, delivering nothing; send -x."""
    router = Router(site, rules, letter.sender, bulk=letter.bulk, auth=relayed)
    return router.resolve(recipients), router


def send(
    site: Site,
    rules: Rules,
    recipients: Sequence[str],
    letter: Mail,
    *,
    relayed: bool,
    to_line: bool = True,
    name: str = "",
    defer: bool = True,
    dsn: Dsn | None = None,
) -> list[Result]:
    """Do what submit does, for a message that has been read.

    defer puts local deliveries that fail for now into the queue, if others are made;
    dsn, by recipient, is what reports the sender wants of what is queued.
    """
    roots, router = resolve(site, rules, recipients, letter, relayed=relayed)
    if not relayed:
        to = recipients if router.summary else _resolved(roots)
        letter = mail.complete(letter, site, to if to_line else (), name)
    return carry_out(site, recipients, roots, letter, defer=defer, dsn=dsn)


def carry_out(
    site: Site,
    recipients: Sequence[str],
    roots: Sequence[RouteNode],
    letter: Mail,
    *,
    defer: bool,
    dsn: Dsn | None = None,
) -> list[Result]:
    """Make the deliveries that recipients were found to mean; roots are their nodes."""
    origin = _origins(recipients, roots)
    fates: dict[int, _Fate] = {}
    nodes: list[RouteNode] = []
    for group in groups(roots):
        wished = _wishes(dsn, group.nodes, origin)
        fate = _deliver(site, letter, group, wished)
        fates |= {id(node): fate for node in group.nodes}
        nodes += group.nodes
    if defer:
        _defer(site, letter, nodes, fates, lambda some: _wishes(dsn, some, origin))
    for node in nodes:
        _log(site, letter, origin[id(node)], node, fates[id(node)])
    return [
        _result(recipient, node, fates[id(node)])
        for recipient, root in zip(recipients, roots, strict=True)
        for node in root.leaves()
    ]


def _wishes(dsn: Dsn | None, nodes: Iterable[RouteNode], origin: dict[int, str]) -> Dsn:
    """Give each word that the queue has for a node the wishes for its recipient.

    Who was meant at first is told to the next server; RFC 3461 section 5.2.1.
    """
    if not dsn:
        return Dsn()
    rcpts: dict[str, RcptDsn] = {}
    for node in nodes:
        first = origin[id(node)]
        one = dsn.of(first)
        if not one.orcpt and first.isascii():
            one = replace(one, orcpt=f"rfc822;{xtext(first)}")
        words = node.leaf.args if isinstance(node.leaf, Program) else (node.address,)
        rcpts |= dict.fromkeys(words, one)
    return Dsn(dsn.ret, dsn.envid, rcpts)


def groups(roots: Iterable[RouteNode]) -> list[_Group]:
    """Return the deliveries to be made, in order of the recipients."""
    found: dict[object, _Group] = {}
    bundles = outward.Bundles()
    for node in dict.fromkeys(node for root in roots for node in root.leaves()):
        key: object = node.leaf
        if isinstance(node.leaf, Program):
            key = bundles.key(node.leaf)
        elif isinstance(node.leaf, Refusal):
            key = node
        assert node.leaf is not None
        found.setdefault(key, _Group(node.leaf)).nodes.append(node)
    return list(found.values())


def _resolved(roots: Iterable[RouteNode]) -> list[str]:
    return [node.address for root in roots for node in root.leaves()]


def _origins(recipients: Sequence[str], roots: Sequence[RouteNode]) -> dict[int, str]:
    """Return the recipient that each leaf was first reached from."""
    origin: dict[int, str] = {}
    for recipient, root in zip(recipients, roots, strict=True):
        for node in root.leaves():
            origin.setdefault(id(node), recipient)
    return origin


def _deliver(site: Site, letter: Mail, group: _Group, dsn: Dsn) -> _Fate:
    leaf = group.leaf
    shown = ""
    try:
        if isinstance(leaf, Refusal):
            raise leaf
        if isinstance(leaf, local.LocalMailbox | local.Pipeto):
            _check_loop(site, letter, leaf)
        if isinstance(leaf, local.LocalMailbox):
            local.deliver(site, leaf, letter.text, letter.date, letter.sender)
            return State.DELIVERED, None, ""
        if isinstance(leaf, local.Pipeto):
            shown = str(leaf.program)
            outward.pipeto(site, letter, leaf, group.nodes[0].address)
            return State.DELIVERED, None, shown
        shown = leaf.words[0] if leaf.words else ""
        programs = [n.leaf for n in group.nodes if isinstance(n.leaf, Program)]
        queued = outward.pipe(site, letter, programs, dsn)
    except Refusal as e:
        return State.REFUSED, e, shown
    except OSError as e:
        return State.REFUSED, temporary(reason(e)), shown
    except MailfsError as e:
        return State.REFUSED, temporary(str(e)), shown
    return State.QUEUED if queued else State.DELIVERED, None, shown


def _check_loop(
    site: Site, letter: Mail, leaf: local.LocalMailbox | local.Pipeto
) -> None:
    """Raise Refusal for a message that has been in the same mailbox before."""
    path = leaf.path if isinstance(leaf, local.LocalMailbox) else leaf.mailbox
    if trace.looped(letter.text, trace.address(site, path.parent.name)):
        raise permanent(LOOP)


def _defer(
    site: Site,
    letter: Mail,
    nodes: Sequence[RouteNode],
    fates: dict[int, _Fate],
    wishes: Callable[[Sequence[RouteNode]], Dsn],
) -> None:
    """Queue the local deliveries that failed for now, if others were made.

    Else whoever has the message keeps it, and tries all of it again.
    """
    waiting = [
        node
        for node in nodes
        if node.local and (why := fates[id(node)][1]) is not None and not why.permanent
    ]
    if not waiting or all(fate[1] is not None for fate in fates.values()):
        return
    for forwarded in (False, True):
        some = [node for node in waiting if node.forwarded is forwarded]
        if not some:
            continue
        try:
            addresses = [node.address for node in some]
            deferred.enqueue(
                site, letter, addresses, forwarded=forwarded, dsn=wishes(some)
            )
        except MailfsError as e:
            site.log.write("mail", f"not queued: {e}")
            return
        for node in some:
            fates[id(node)] = (State.QUEUED, None, deferred.LOCAL)
    outward.kick(site)


def _result(recipient: str, node: RouteNode, fate: _Fate) -> Result:
    state, why, program = fate
    if why is None:
        return Result(recipient, node.address, state, program=program)
    return Result(
        recipient,
        node.address,
        state,
        why.permanent,
        why.text,
        program,
        why.status,
        isinstance(why, Unconfigured),
    )


def _log(
    site: Site, letter: Mail, recipient: str, node: RouteNode, fate: _Fate
) -> None:
    result = _result(recipient, node, fate)
    to, sender = (unescape(a)[:256] for a in (node.address, letter.sender))
    when = date.unixdate(letter.date, site.local)
    if result.refused:
        lines = complaint.compose(letter.sender, [result]).split("\n")
        text = "".join(f"\nerror+ {line}" for line in lines)
        site.log.write("mail", f"error {to} From {sender} {when}{text}")
        return
    verb = "delivered" if isinstance(node.leaf, local.LocalMailbox) else "remote"
    alias = f" ({recipient[:256]})" if recipient != node.address else ""
    line = f"{verb} {to} From {sender} {when}{alias} {letter.size}"
    site.log.write("mail", line)
