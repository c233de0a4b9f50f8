"""FILE_CHECK and BFD_CHECK: what is known already, or read in a moment."""

from collections.abc import Mapping
from typing import Final

from standfest.adapters.linux.filewatch import number_in
from standfest.model.balancing import BfdCheck, FileCheck
from standfest.model.director import TrackFile
from standfest.ports.probes import Outcome

_FAULT: Final = -(2**31)
"""keepalived.conf(5), "Tracked files": a product that is not above this is a failure."""


def file_outcome(checker: FileCheck, files: Mapping[str, TrackFile]) -> Outcome:
    """Return what a tracked file says: with weight 0 whether it is good, else what is added."""
    tracked = files.get(checker.file)
    if tracked is None:
        return Outcome(False, f"track_file {checker.file}: there is none of this name")
    number = number_in(tracked.path)
    weight, reverse = tracked.weight, tracked.reverse
    if checker.weight is not None:
        weight, reverse = checker.weight, checker.reverse
    if weight == 0:
        good = (number != 0) == reverse
        wanted = "another number than 0" if reverse else "0"
        tail = "" if good else f"; expected {wanted}"
        return Outcome(good, f"{tracked.path} says {number}{tail}")
    product = number * (-weight if reverse else weight)
    reason = f"{tracked.path} says {number}: {product:+d} to the weight"
    return Outcome(product > _FAULT, reason, product)


def session_outcome(checker: BfdCheck, sessions: Mapping[str, bool]) -> Outcome:
    """Return whether a BFD session is up; one that nobody has told of is not."""
    if checker.session not in sessions:
        return Outcome(False, f"BFD session {checker.session}: nothing is known of it")
    up = sessions[checker.session]
    return Outcome(up, f"BFD session {checker.session} is {'up' if up else 'down'}")
