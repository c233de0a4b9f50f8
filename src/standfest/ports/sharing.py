"""What a shared address needs of the machine: a filter that answers some buckets, for a time."""

from typing import Protocol

from standfest.model.sharing import Answering
from standfest.model.time import Duration


class BucketFilter(Protocol):
    """One shared address in the kernel. Every call raises OperationError when that refuses.

    The kernel itself stops answering when the time it was last given has passed: a daemon that
    hangs or is killed cannot keep another node from taking over (docs/adr/0024-load-sharing.md).
    """

    def look(self) -> Answering | None:
        """Return what is answered now and change nothing; None: it is not shared here (yet)."""

    def open(self) -> tuple[Answering, Duration]:
        """Install the rules, then the address; or adopt what is there.

        Return what it answers, and for how much longer (0: nothing, its time is over;
        FOREVER: until told otherwise).
        """

    def answer(self, answering: Answering, duration: Duration | None) -> None:
        """Answer exactly this, by one atomic change, and for so long; None: until told otherwise.

        What is no longer answered is not answered any more when the call returns.
        """

    def renew(self, duration: Duration) -> None:
        """Go on answering the same for so long from now."""

    def close(self, *, keep: bool) -> None:
        """Let go; keep: the kernel goes on for the rest of its time, for a successor.

        Else the address is taken away first, then the rules: nothing is answered in between.
        """
