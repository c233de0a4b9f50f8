"""Who has which configuration on disk, as a coordinator's replica counts it."""

from collections.abc import Sequence

from standfest.core.cib.changes import SetRoster
from standfest.core.cib.document import Cib
from standfest.core.cib.replica import Committed, Replica, Stored, Sync
from standfest.core.cib.roster import Roster
from standfest.model.element import Element
from standfest.model.status import Status, Version

EMPTY = Cib(Version(), Element("configuration"), Status(), 0)


def led() -> Replica:
    replica = Replica(EMPTY)
    replica.set_members(("b",))
    return replica


def committed(wanted: Sequence[object]) -> list[Version]:
    return [effect.version for effect in wanted if isinstance(effect, Committed)]


def test_what_a_member_lacks_is_awaited_until_it_has_it() -> None:
    replica = led()
    assert replica.awaited is None
    replica.propose(1, (SetRoster(Roster(("a", "b"))),))
    assert replica.awaited == Version(0, 1, 0)
    assert committed(replica.receive_stored(Stored(1, Version(0, 1, 0)), "b")) == [Version(0, 1, 0)]
    assert replica.awaited is None


def test_a_restatement_does_not_make_a_member_have_it() -> None:
    replica = led()
    replica.propose(1, (SetRoster(Roster(("a", "b"))),))
    assert committed(replica.restate(1, Status())) == []
    assert replica.awaited == Version(0, 1, 1)
    told = committed(replica.receive_stored(Stored(1, Version(0, 1, 1)), "b"))
    assert told == [Version(0, 1, 0), Version(0, 1, 1)]


def test_a_restatement_to_nobody_is_kept_at_once() -> None:
    replica = Replica(EMPTY)
    assert committed(replica.restate(1, Status())) == [Version(0, 0, 1)]


def test_a_member_says_that_it_has_what_it_had_already() -> None:
    sync = Sync(1, Version(0, 0, 1), EMPTY.configuration, Status(), 0)
    (told,) = Replica(EMPTY).receive_sync(sync, "a")
    assert getattr(told, "message", None) == Stored(1, Version(0, 0, 1))
