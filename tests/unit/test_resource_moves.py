"""Moves and bans as constraints, when they end, and taking them back."""

import pytest

from standfest.core.cib.moves import (
    Where,
    ban_id,
    banned,
    constraints_of,
    expired,
    node_of,
    preferred,
    without,
)
from standfest.model import xml
from standfest.model.element import Element
from standfest.monitor.resource.lifetimes import end_of

EMPTY = xml.parse("<cib><configuration><constraints/></configuration></cib>", "test")
NOW = 1_764_228_203  # 2025-11-27 07:23:23 UTC
DAY = 86_400


def constraints(cib: Element) -> list[str]:
    section = next(e for e in cib.walk() if e.tag == "constraints")
    return [xml.serialise(child, indent=0).replace("\n", "") for child in section.children]


def test_a_move_prefers_a_node_and_takes_its_ban_away() -> None:
    cib = banned(banned(EMPTY, Where("web", "n1")), Where("web", "n2"))
    moved = preferred(cib, Where("web", "n1"))
    assert constraints(moved) == [
        '<rsc_location id="cli-ban-web-on-n2" rsc="web" role="Started" node="n2" '
        'score="-INFINITY"/>',
        '<rsc_location id="cli-prefer-web" rsc="web" role="Started" node="n1" score="INFINITY"/>',
    ]
    again = preferred(moved, Where("web", "n3", promoted=True))
    assert constraints(again)[-1] == (
        '<rsc_location id="cli-prefer-web" rsc="web" role="Promoted" node="n3" score="INFINITY"/>'
    )
    assert len(constraints(again)) == 2


def test_a_move_that_ends_is_a_rule() -> None:
    moved = preferred(EMPTY, Where("web", "n1", until="2026-01-01 00:00:00Z"))
    assert constraints(moved) == [
        '<rsc_location id="cli-prefer-web" rsc="web" role="Started">'
        '<rule id="cli-prefer-rule-web" score="INFINITY" boolean-op="and">'
        '<expression id="cli-prefer-expr-web" attribute="#uname" operation="eq" value="n1" '
        'type="string"/>'
        '<date_expression id="cli-prefer-lifetime-end-web" operation="lt" '
        'end="2026-01-01 00:00:00Z"/></rule></rsc_location>'
    ]
    assert node_of(moved.children[0].children[0].children[0]) == "n1"


def test_a_ban_replaces_the_one_that_there_is_whole() -> None:
    ends = banned(EMPTY, Where("web", "n1", until="2026-01-01 00:00:00Z"))
    assert '<rule id="cli-ban-web-on-n1-rule" score="-INFINITY"' in constraints(ends)[0]
    plain = banned(ends, Where("web", "n1"))
    assert constraints(plain) == [
        '<rsc_location id="cli-ban-web-on-n1" rsc="web" role="Started" node="n1" '
        'score="-INFINITY"/>'
    ]
    assert constraints(banned(Element("cib"), Where("web", "n1"))) == constraints(plain)


def test_only_what_moves_and_bans_left_is_cleared() -> None:
    cib = banned(preferred(EMPTY, Where("web", "n2")), Where("web", "n1"))
    cib = banned(cib, Where("web2", "n1"))
    assert constraints_of(cib, "web") == ("cli-ban-web-on-n1", "cli-prefer-web")
    assert constraints_of(cib, "web", "n1") == ("cli-ban-web-on-n1",)
    assert constraints_of(cib, "web", "n2") == ("cli-prefer-web",)
    assert constraints_of(cib, "web", "n1", force=True) == constraints_of(cib, "web")
    left = without(cib, constraints_of(cib, "web"))
    assert [line[:38] for line in constraints(left)] == ['<rsc_location id="cli-ban-web2-on-n1" ']
    assert without(cib, ()) is cib
    assert constraints_of(Element("cib"), "web") == ()
    assert without(Element("cib"), ("x",)) == Element("cib")
    assert ban_id("web", "n1") == "cli-ban-web-on-n1"
    assert node_of(Element("rsc_location")) == ""


def test_what_has_ended_is_found_by_resource_and_node() -> None:
    cib = banned(EMPTY, Where("a", "n1", until="2020"))
    cib = banned(cib, Where("a", "n2", until="2030"))
    cib = preferred(cib, Where("b", "n2", until="2020"))
    cib = banned(cib, Where("c", "n1"))

    def passed(end: str) -> bool:
        return end < "2026"

    assert expired(cib, passed) == ("cli-ban-a-on-n1", "cli-prefer-b")
    assert expired(cib, passed, "a") == ("cli-ban-a-on-n1",)
    assert expired(cib, passed, node="n2") == ("cli-prefer-b",)
    assert expired(cib, passed, "a", "n2") == ()


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("PT10M", 600),
        ("PT0S", 0),
        ("P1D", DAY),
        ("P1W", 7 * DAY),
        ("P-1D", -DAY),
        ("P1M", 30 * DAY),  # November has 30 days
        ("P1M2H", 30 * DAY + 7200),
        ("P1Y", 365 * DAY),
        ("PT1H1M1S", 3661),
        ("P1Y2M3DT4H5M6S", (365 + 61 + 3) * DAY + 4 * 3600 + 5 * 60 + 6),  # to 2027-01-30
    ],
)
def test_a_duration_ends_on_the_calendar(duration: str, seconds: int) -> None:
    assert end_of(duration, NOW) == NOW + seconds


def test_a_month_later_is_its_last_day_where_it_has_no_such_day() -> None:
    # From 2026-01-31 00:00:00 to 2026-02-28 00:00:00.
    assert end_of("P1M", 1_769_817_600) == 1_769_817_600 + 28 * DAY


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "10", "p1d", "PT1.5H", "P1H1D", "2027-01-01", "P1X", "P9999999Y"],
)
def test_what_is_no_duration_has_no_end(text: str) -> None:
    assert end_of(text, NOW) is None
