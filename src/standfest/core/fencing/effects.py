"""What fencing wants done, and what it has to say."""

from dataclasses import dataclass

from standfest.model.fencing import FenceCall
from standfest.model.time import Duration


@dataclass(frozen=True, slots=True)
class Call:
    """Have a member call a fence agent; `run` is never used twice in a term."""

    run: int
    executor: str
    call: FenceCall


@dataclass(frozen=True, slots=True)
class Begun:
    """A fencing begins: the first of its attempts."""

    target: str
    action: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The node is fenced: whatever ran on it runs no more (`on`: it may use what is guarded).

    executor: who did it, empty when an administrator has seen to it.
    """

    target: str
    action: str
    executor: str = ""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt has failed; again: after how long the next one begins, None if only on news."""

    target: str
    action: str
    reason: str
    attempts: int
    again: Duration | None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nobody wants it any more, and nothing was under way."""

    target: str
    action: str


FencingEffect = Call | Begun | Confirmed | Failed | Withdrawn
Ending = Confirmed | Failed | Withdrawn
