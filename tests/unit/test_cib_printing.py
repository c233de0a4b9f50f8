"""The CIB as text, time after time; messages that are packed."""

import zlib

import pytest
from tests.unit.test_cib_status import run

from standfest.core.cib.changes import EditConfiguration, SetTransientAttribute, apply
from standfest.core.cib.document import Cib
from standfest.core.cib.patch import difference
from standfest.core.cib.replica import Sync
from standfest.core.cib.status_xml import cib_element
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import WireError
from standfest.model.status import Join, NodeState, Status, Version
from standfest.runtime.cluster.printing import Printer
from standfest.runtime.cluster.protocol import decode, encode

CONFIGURATION = xml.parse(
    '<configuration><crm_config/><nodes><node id="17" uname="one"/></nodes><resources>'
    '<primitive id="web" class="ocf" provider="x" type="Dummy"/></resources><constraints/>'
    "</configuration>",
    "here",
)
STATE = NodeState("one", True, True, Join.MEMBER, True, (("web", (run("start", 3),)),))
CIB = Cib(Version(0, 5, 2), CONFIGURATION, Status((STATE,)))


def test_it_is_the_text_that_serialise_writes_also_when_it_has_changed() -> None:
    printer, cib = Printer(), CIB
    assert printer.print(cib) == xml.serialise(cib_element(cib))
    cib = apply(cib, SetTransientAttribute(cib.status.nodes[0].name, "rack", "7"))
    assert printer.print(cib) == xml.serialise(cib_element(cib))
    section = Element("resources", (), (Element("primitive", (("id", "new"),)),))
    old = cib.configuration.child("resources")
    assert old is not None
    children = (section if child is old else child for child in cib.configuration.children)
    patch = difference(cib.configuration, cib.configuration.with_children(tuple(children)))
    assert patch is not None
    changed = apply(cib, EditConfiguration(patch))
    assert printer.print(changed) == xml.serialise(cib_element(changed))
    assert 'id="new"' in printer.print(changed)


def test_what_has_not_changed_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    fragment = xml.fragment

    def counted(element: Element, depth: int, *, indent: int = 2) -> str:
        written.append(element.tag)
        return fragment(element, depth, indent=indent)

    printer = Printer()
    printer.print(CIB)
    monkeypatch.setattr(xml, "fragment", counted)
    printer.print(apply(CIB, SetTransientAttribute(CIB.status.nodes[0].name, "rack", "7")))
    # Sections without children are cheap; of what has children only the attributes are new.
    assert "primitive" not in written
    assert "lrm_resource" not in written
    assert written.count("transient_attributes") >= 1


def large() -> Sync:
    pairs = tuple(
        Element("nvpair", (("id", f"p{n}"), ("name", "v"), ("value", "x" * 50)))
        for n in range(1000)
    )
    return Sync(1, Version(0, 1, 2), Element("configuration", (), pairs), Status())


def test_a_large_message_is_packed_and_reads_the_same() -> None:
    payload = encode(large())
    # A thousand pairs of some 130 bytes; what is said a thousand times packs to a twentieth.
    assert payload[:1] == b"x"
    assert len(payload) < 20_000
    assert decode(payload) == large()


@pytest.mark.parametrize(
    "payload",
    [
        b"x",
        b"x\x01 no zlib",
        encode(large())[:-20],
        zlib.compress(b"[" * (17 << 20), 1),
    ],
    ids=["empty", "none", "cut off", "too large"],
)
def test_what_is_packed_badly_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError) as refused:
        decode(payload)
    assert refused.value.reason == "packed"
