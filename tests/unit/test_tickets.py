"""Tickets in a running cluster: the change, its date, what is asked and refused, who may ask."""

from dataclasses import replace

import pytest

from standfest.core.cib.changes import SetTicket, apply
from standfest.core.cib.document import Cib
from standfest.core.cib.replica import Replica, Sync, Update
from standfest.core.cib.status_xml import cib_element
from standfest.core.cib.tickets import with_attributes
from standfest.model.errors import OperationError, WireError
from standfest.model.status import NodeState, Status, Version
from standfest.model.tickets import Tickets, TicketState
from standfest.model.xml import parse
from standfest.runtime.cluster import protocol
from standfest.runtime.cluster.access import forbidden_in_status
from standfest.runtime.cluster.ticketing import latest, ticket_changes

START = Cib(Version(0, 3, 7), parse("<configuration/>", "cib.xml"), Status())
GRANTED = (("granted", "true"), ("last-granted", "1700000000"))
GRANT = SetTicket("T", GRANTED)
REVOKE = SetTicket("T", (("granted", "false"), ("last-granted", "1700000000")))


def test_each_change_of_a_ticket_counts_once_and_one_that_changes_nothing_does_not() -> None:
    granted = apply(START, GRANT)
    assert granted.version == Version(0, 3, 8)
    assert granted.status.tickets.states == (TicketState("T", GRANTED),)
    assert apply(granted, GRANT) is granted
    both = apply(granted, SetTicket("U", ()))
    revoked = apply(both, REVOKE)
    assert [state.id for state in revoked.status.tickets.states] == ["T", "U"]  # at its place
    forgotten = apply(revoked, SetTicket("T", None))
    assert (forgotten.version, forgotten.status.tickets.states) == (
        Version(0, 3, 11),
        (TicketState("U", ()),),
    )
    assert apply(forgotten, SetTicket("T", None)) is forgotten


def test_all_members_date_a_change_alike_and_a_later_one_later() -> None:
    leader, follower = Replica(START), Replica(START)
    dates = []
    for term, change in ((4, GRANT), (4, REVOKE), (2, GRANT)):
        [publish] = leader.propose(term, (change,))
        update = publish.message  # type: ignore[union-attr]
        assert isinstance(update, Update)
        assert protocol.decode(protocol.encode(update)) == update
        assert follower.receive_update(update, "leader") == []
        assert follower.cib == leader.cib
        dates.append(leader.cib.status.tickets.dated)
    assert dates == [(4, 1), (4, 2), (4, 3)]
    leader.propose(7, (SetTicket("T", None),))
    assert leader.cib.status.tickets == Tickets((), (7, 4))


def test_tickets_travel_with_the_whole_cib_and_with_a_member_that_joins() -> None:
    tickets = Tickets((TicketState("T", GRANTED), TicketState("a b", ())), (5, 9))
    status = replace(START.status, tickets=tickets)
    sync = Sync(5, START.version, START.configuration, status)
    assert protocol.decode(protocol.encode(sync)).status.tickets == tickets  # type: ignore[union-attr]
    join = protocol.Join(5, START.version, (), (), tickets=tickets)
    assert protocol.decode(protocol.encode(join)) == join


def test_requests_of_tools_are_read_back() -> None:
    for request in (
        protocol.ChangeTicket("T", (("granted", "true"), ("geo", None))),
        protocol.ForgetTicket("T"),
        protocol.FailResource("web", "a"),
    ):
        assert protocol.decode_request(protocol.encode_request(request)) == request
    with pytest.raises(WireError):
        protocol.decode_request(b'["ChangeTicket",{"ticket":"T","changes":[["granted",1]]}]')


def asked(
    *changes: tuple[str, str | None], known: tuple[TicketState, ...] = (), ticket: str = "T"
) -> tuple[tuple[str, str], ...] | None:
    """Return what the attributes of a ticket come to; None where nothing is changed."""
    status = Status(tickets=Tickets(known))
    made, _ = ticket_changes(protocol.ChangeTicket(ticket, changes), status, 1_700_000_000)
    return made[0].attributes if made else None


def test_a_ticket_is_dated_when_it_comes_to_be_granted() -> None:
    assert asked(("granted", "true")) == GRANTED
    granted = TicketState("T", (("granted", "true"), ("last-granted", "5")))
    assert asked(("standby", "true"), known=(granted,)) == (
        ("granted", "true"),
        ("last-granted", "5"),
        ("standby", "true"),
    )
    assert asked(("granted", "yes"), known=(granted,)) == (
        ("granted", "yes"),
        ("last-granted", "5"),
    )
    revoked = TicketState("T", (("granted", "false"), ("last-granted", "5")))
    assert asked(("granted", "true"), known=(revoked,)) == GRANTED
    assert asked(("geo", None), known=(TicketState("T", (("geo", "1"),)),)) == ()
    assert asked(("geo", None)) is None


@pytest.mark.parametrize(
    ("changes", "ticket", "why"),
    [
        ((("id", "U"),), "T", "a ticket's id stays; expected another attribute"),
        (
            (("a b", "1"),),
            "T",
            "attribute 'a b'; expected a letter, then letters, digits and . _ -",
        ),
        ((("xmlns", "1"),), "T", "attribute 'xmlns'; expected a letter, then letters, digits"),
        ((("a", "1"),), "", "ticket '' with 1 attributes; expected an id, at most 64 attributes"),
        ((("a", "1" * 1025),), "T", "ticket 'T' with 1 attributes; expected an id, at most 64"),
        (
            tuple((f"a{n}", "1") for n in range(65)),
            "T",
            "ticket 'T' with 65 attributes; expected an id, at most 64 attributes, and texts of "
            "at most 1024 characters",
        ),
    ],
)
def test_what_could_not_be_written_or_has_no_limit_is_refused(
    changes: tuple[tuple[str, str | None], ...], ticket: str, why: str
) -> None:
    with pytest.raises(OperationError) as refused:
        asked(*changes, ticket=ticket)
    assert str(refused.value).startswith(why)


def test_no_more_than_256_tickets_and_an_unknown_one_is_not_forgotten() -> None:
    known = tuple(TicketState(f"t{n}", ()) for n in range(256))
    assert asked(("a", "1"), known=known, ticket="t5") == (("a", "1"),)
    with pytest.raises(OperationError, match="256 tickets are known"):
        asked(("a", "1"), known=known)
    status = Status(tickets=Tickets(known[:2]))
    with pytest.raises(OperationError, match="no ticket T; expected one of: t0, t1"):
        ticket_changes(protocol.ForgetTicket("T"), status, 1)


def test_who_has_seen_the_last_change_knows_best() -> None:
    def joined(term: int, number: int, granted: str) -> protocol.Join:
        state = TicketState("T", (("granted", granted),))
        tickets = Tickets((state,), (term, number))
        return protocol.Join(9, START.version, (), (), tickets=tickets)

    old, new = joined(5, 8, "true"), joined(7, 2, "false")
    assert latest(START.status, [old, new]).tickets == new.tickets
    assert latest(START.status, [new, old]).tickets == new.tickets
    ours = Status((NodeState("a"),), tickets=new.tickets)
    assert latest(ours, [old]) == ours


RULES = """<configuration><crm_config><cluster_property_set id="o"><nvpair id="o1"
 name="enable-acl" value="true"/></cluster_property_set></crm_config><acls>
<acl_role id="geo"><acl_permission id="p" kind="write" xpath="//tickets"/>
<acl_permission id="q" kind="read" xpath="/cib"/></acl_role>
<acl_role id="one"><acl_permission id="r" kind="write" xpath="//ticket_state[@id='T']"/>
</acl_role><acl_role id="all"><acl_permission id="s" kind="write" xpath="/cib/status"/></acl_role>
<acl_role id="none"><acl_permission id="u" kind="write" xpath="/cib/configuration"/>
<acl_permission id="v" kind="read" xpath="/cib"/></acl_role>
<acl_target id="booth"><role id="geo"/></acl_target><acl_target id="tess"><role id="one"/>
</acl_target><acl_target id="stella"><role id="all"/></acl_target>
<acl_target id="conrad"><role id="none"/></acl_target></acls></configuration>"""


@pytest.mark.parametrize(
    ("user", "first", "second"),
    [
        ("root", "", ""),
        ("stella", "", ""),  # she may write the whole status
        ("booth", "", ""),  # ... only <tickets>, which may come with it
        ("tess", "/cib/status/tickets", ""),
        ("conrad", "/cib/status/tickets", "/cib/status/tickets/ticket_state[@id='T']"),
        ("zoe", "/cib/status/tickets", "/cib/status/tickets/ticket_state[@id='T']"),
    ],
)
def test_what_the_rules_let_a_user_do_with_a_ticket(user: str, first: str, second: str) -> None:
    configuration = parse(RULES, "cib.xml")
    nothing = cib_element(replace(START, configuration=configuration))
    granted = with_attributes(nothing, "T", {"granted": "true"}, 5)
    revoked = with_attributes(granted, "T", {"granted": "false"}, 9)
    assert forbidden_in_status(nothing, granted, user, ()) == first
    assert forbidden_in_status(granted, revoked, user, ()) == second
    assert forbidden_in_status(granted, granted, user, ()) == ""
