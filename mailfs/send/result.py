"""What became of a message, for each destination of each recipient."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from mailfs.send.refusal import Refusal, Unconfigured


class State(Enum):
    """What became of a message for one destination."""

    DELIVERED = "delivered"  # in a mailbox, or a program has taken it
    QUEUED = "queued"  # in mail/queue, on disk
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a message for one destination of one recipient.

    A recipient that stands for several addresses has several.
    """

    recipient: str  # as given
    address: str  # what rules and aliases made of it
    state: State
    permanent: bool = False  # of a refusal: trying again is no use
    text: str = ""  # of a refusal: why, maybe in several lines
    program: str = ""  # the command that took or refused it
    status: int = 0  # with which that ended
    unconfigured: bool = False  # a file of ours has to be edited first

    @property
    def refused(self) -> bool:
        """Whether it did not arrive."""
        return self.state is State.REFUSED


def all_refused(recipients: Sequence[str], why: Refusal) -> list[Result]:
    """Make the results of a message that was refused as a whole."""
    unconfigured = isinstance(why, Unconfigured)
    return [
        Result(
            to,
            to,
            State.REFUSED,
            why.permanent,
            why.text,
            unconfigured=unconfigured,
        )
        for to in recipients
    ]
