"""Administrators change the configuration: at once, of the same, while nodes crash."""

import random
from dataclasses import dataclass, field, replace

import pytest
from tests.simulation.test_cluster import ha_cf

from standfest.config.cib import load
from standfest.core.cib import provisional
from standfest.core.cib.patch import difference
from standfest.model.element import Element
from standfest.model.errors import Ground
from standfest.model.time import milliseconds, seconds
from standfest.runtime.cluster.effects import Answer
from standfest.runtime.cluster.protocol import Ask, ChangeConfiguration, SetAttribute, encode
from standfest.runtime.cluster.stored import from_bytes
from standfest.sim.cluster import SimCluster
from standfest.sim.network import Weather

NODES = ("a", "b", "c")
KEPT, UPDATES = 10, 1000


def configuration(count: int = KEPT) -> Element:
    """Nobody runs these resources: what counts is what is written."""
    made = "".join(
        f'<primitive id="r{n}" class="ocf" provider="x" type="Dummy"><instance_attributes '
        f'id="r{n}-i"><nvpair id="r{n}-v" name="v" value="0"/></instance_attributes></primitive>'
        for n in range(count)
    )
    options = (
        '<nvpair id="o1" name="stonith-enabled" value="false"/>'
        '<nvpair id="o2" name="stop-all-resources" value="true"/>'
    )
    text = (
        f'<configuration><crm_config><cluster_property_set id="o">{options}'
        f"</cluster_property_set></crm_config><resources>{made}</resources></configuration>"
    )
    return load([("cib.xml", text)]).configuration


def started(seed: int, count: int = KEPT) -> SimCluster:
    sim = SimCluster(
        seed, ha_cf(*NODES), configuration(count), links=("eth0", "eth1"), weather=Weather()
    )
    sim.switch.boots = False
    for node in NODES:
        sim.power_on(node)
    sim.run_until(lambda: all(synchronised(sim, node) for node in NODES), at_most=seconds(30))
    sim.run_for(seconds(10))
    return sim


def synchronised(sim: SimCluster, node: str) -> bool:
    member = sim.nodes[node].member
    return member is not None and member.synchronised


def seen_by(sim: SimCluster, node: str) -> Element:
    member = sim.nodes[node].member
    assert member is not None
    return member.cib.configuration


def with_value(configuration: Element, resource: int, value: str) -> Element:
    """Return the configuration with another value of r<resource>'s parameter."""

    def changed(element: Element) -> Element:
        if element.id == f"r{resource}-v":
            return element.with_attribute("value", value)
        return element.with_children(tuple(changed(child) for child in element.children))

    return changed(configuration)


def values_of(configuration: Element) -> dict[str, str]:
    pairs = (element for element in configuration.walk() if element.tag == "nvpair")
    return {pair.id: pair.get("value") or "" for pair in pairs}


def change(sim: SimCluster, node: str, after: Element) -> ChangeConfiguration:
    """What a tool on this node asks for, having read the CIB there."""
    member = sim.nodes[node].member
    assert member is not None
    return ChangeConfiguration(difference(member.cib.configuration, after), member.cib.version)


def answers(sim: SimCluster, node: str) -> dict[int, Answer]:
    return {answer.client: answer for answer in sim.nodes[node].answers}


def test_two_that_change_different_resources_at_once_both_do() -> None:
    sim = started(1)
    for number, node in enumerate(("a", "b"), 1):
        sim.ask(node, change(sim, node, with_value(seen_by(sim, node), number, "9")), 10 + number)
    sim.run_for(seconds(5))
    assert answers(sim, "a")[11].accepted
    assert answers(sim, "b")[12].accepted
    for node in NODES:
        kept = sim.nodes[node].disk.load()
        assert kept is not None
        values = values_of(from_bytes(kept).cib.configuration)
        assert (values["r1-v"], values["r2-v"], values["r3-v"]) == ("9", "9", "0")


def test_of_two_that_change_the_same_at_once_one_is_told_what_it_lost_to() -> None:
    sim = started(2)
    for number, node in enumerate(("a", "b"), 1):
        sim.ask(node, change(sim, node, with_value(seen_by(sim, node), 1, str(number))), 10)
    sim.run_for(seconds(5))
    first, second = answers(sim, "a")[10], answers(sim, "b")[10]
    assert first.accepted != second.accepted
    lost = second if first.accepted else first
    won = "1" if first.accepted else "2"
    place = (
        "/configuration/resources/primitive[@id='r1']/instance_attributes[@id='r1-i']"
        f"/nvpair[@id='r1-v']: value is {won} meanwhile; expected 0; lost to version 0.1."
    )
    assert lost.text.startswith(place)
    assert lost.ground is Ground.OVERTAKEN
    assert lost.text.partition("the change was made for ")[2].startswith("0.0.")
    assert {values_of(seen_by(sim, node))["r1-v"] for node in NODES} == {won}


def test_what_cannot_be_read_again_is_refused_and_nothing_changes() -> None:
    sim = started(3)
    before = seen_by(sim, "c")
    resources = before.child("resources")
    assert resources is not None
    twice = resources.with_children((*resources.children, Element("primitive", (("id", "r1-v"),))))
    children = tuple(twice if e.tag == "resources" else e for e in before.children)
    sim.ask("c", change(sim, "c", before.with_children(children)), 10)
    sim.run_for(seconds(5))
    answer = answers(sim, "c")[10]
    assert not answer.accepted
    assert "id r1-v is taken by CIB" in answer.text
    assert seen_by(sim, "a") == before


def test_an_attribute_until_a_restart() -> None:
    sim = started(4)
    sim.ask("b", SetAttribute("c", "rack", "7"), 10)
    sim.ask("b", SetAttribute("nobody", "rack", "7"), 11)
    sim.run_for(seconds(5))
    told = answers(sim, "b")
    assert (told[10].accepted, told[10].text) == (True, "rack of c is 7 until a restart")
    assert (told[11].accepted, told[11].text) == (
        False,
        "no node nobody; expected one of: a, b, c",
    )
    member = sim.nodes["a"].member
    assert member is not None
    state = member.cib.status.node("c")
    assert state is not None
    assert dict(state.attributes)["rack"] == "7"
    assert member.cib.author is None  # nobody has changed the configuration


@pytest.mark.parametrize("seed", [5, 6])
def test_no_acknowledged_change_is_lost_while_nodes_crash(seed: int) -> None:
    """500 mixed changes a seed; the coordinator crashes in the instant in which it has said yes.

    One node at a time: two of three always keep what was acknowledged. Half of all datagrams are
    lost then, and nobody sends again what a dead node has sent.
    """
    sim, source = started(seed), random.Random(seed)
    promised = Promised()
    crashes = 0
    for number in range(1, UPDATES // 2 + 1):
        fatal = number % 10 == 0
        node = next(name for name in NODES if leads(sim, name)) if fatal else source.choice(NODES)
        sim.network.weather = Weather(loss=0.5 if fatal else 0)
        acknowledged = asked(sim, node, source, number, promised)
        sim.network.weather = Weather()
        if fatal and acknowledged:
            crashes += 1
            sim.crash(node)
            other = next(name for name in NODES if name != node)
            sim.run_until(lambda other=other: leads_or_follows(sim, other), at_most=seconds(30))  # type: ignore[misc]
            sim.run_for(seconds(2))
            asked(sim, other, source, number, promised)
            sim.power_on(node)
            sim.run_until(lambda: all(synchronised(sim, n) for n in NODES), at_most=seconds(60))
            sim.run_for(seconds(5))
            compare(sim, promised)
    assert crashes > 20
    assert len(promised.values) == KEPT
    assert len(promised.there) > 20
    assert len(promised.gone) > 20
    sim.run_for(seconds(30))
    compare(sim, promised)


@dataclass
class Promised:
    """What was acknowledged last: values, resources that were added, and that were removed."""

    values: dict[str, int] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)


def asked(
    sim: SimCluster, node: str, source: random.Random, number: int, promised: Promised
) -> bool:
    """Have a value changed, a resource added or one removed; return whether that was acknowledged.

    What was not may be done all the same: nothing is known of it then.
    """
    now = seen_by(sim, node)
    kind = source.choice(("value", "add", "add", "remove"))
    here = sorted(name for name in promised.there if name in ids(now))
    if kind == "remove" and here:
        name = source.choice(here)
        after = with_resources(now, [e for e in resources(now) if e.id != name])
    elif kind == "add":
        name = f"new{number}-{node}"
        made = Element("primitive", (("id", name), *AGENT))
        after = with_resources(now, [*resources(now), made])
    else:
        kind, name = "value", f"r{source.randrange(KEPT)}"
        after = with_value(now, int(name[1:]), str(number))
    sim.ask(node, change(sim, node, after), number)
    for _ in range(400):
        if number in answers(sim, node):
            break
        sim.run_for(milliseconds(1))
    answer = answers(sim, node).get(number)
    for known in (promised.there, promised.gone):
        known.discard(name)
    if answer is None or not answer.accepted:
        return False
    if kind == "value":
        promised.values[f"{name}-v"] = number
    else:
        (promised.there if kind == "add" else promised.gone).add(name)
    return True


AGENT = (("class", "ocf"), ("provider", "x"), ("type", "Dummy"))


def resources(configuration: Element) -> tuple[Element, ...]:
    section = configuration.child("resources")
    return section.children if section is not None else ()


def ids(configuration: Element) -> set[str]:
    return {element.id for element in resources(configuration)}


def with_resources(configuration: Element, made: list[Element]) -> Element:
    section = Element("resources", (), tuple(made))
    return configuration.with_children(
        tuple(section if e.tag == "resources" else e for e in configuration.children)
    )


def compare(sim: SimCluster, promised: Promised) -> None:
    """What was acknowledged last is on every disk; a later value that was not may be, too."""
    for node in NODES:
        kept = sim.nodes[node].disk.load()
        assert kept is not None
        configuration = from_bytes(kept).cib.configuration
        values = values_of(configuration)
        assert not {w: v for w, v in promised.values.items() if int(values[w]) < v}, node
        assert promised.there <= ids(configuration), node
        assert not promised.gone & ids(configuration), node


def leads_or_follows(sim: SimCluster, node: str) -> bool:
    member = sim.nodes[node].member
    return member is not None and member.synchronised and sim.nodes[member.leader].up


def leads(sim: SimCluster, node: str) -> bool:
    member = sim.nodes[node].member
    return member is not None and member.coordinator is not None


def test_one_attribute_of_many_travels_alone() -> None:
    sim = started(7, 200)
    after = with_value(seen_by(sim, "a"), 1, "1")
    asked = len(encode(Ask(1, change(sim, "a", after))))
    # Five steps (resources, primitive, set, pair) and one value, not 200 primitives of 150 bytes.
    assert asked < 900


def on_trial(sim: SimCluster, node: str, resource: int, value: str, trial: int) -> None:
    asked = change(sim, node, with_value(seen_by(sim, node), resource, value))
    sim.ask(node, replace(asked, trial=trial), 20)
    sim.run_for(seconds(2))


def test_a_change_on_trial_is_taken_back_also_by_another_coordinator() -> None:
    sim = started(8)
    before = seen_by(sim, "b")
    leader = next(node for node in NODES if leads(sim, node))
    other = next(node for node in NODES if node != leader)
    on_trial(sim, other, 1, "9", 60)
    assert answers(sim, other)[20].accepted
    assert values_of(seen_by(sim, other))["r1-v"] == "9"
    sim.crash(leader)
    sim.run_for(seconds(50))
    assert values_of(seen_by(sim, other))["r1-v"] == "9"
    sim.run_for(seconds(12))
    assert seen_by(sim, other) == before
    member = sim.nodes[other].member
    assert member is not None
    assert member.cib.author is not None
    assert member.cib.author.client == "standfest-rollback"
    sim.power_on(leader)
    sim.run_for(seconds(20))
    assert seen_by(sim, leader) == before


def test_a_change_on_trial_that_is_confirmed_stays_and_only_one_is_at_a_time() -> None:
    sim = started(9)
    on_trial(sim, "a", 1, "9", 30)
    on_trial(sim, "b", 2, "9", 30)
    assert not answers(sim, "b")[20].accepted
    assert answers(sim, "b")[20].text == (
        "another change is on trial; expected that it is confirmed first"
    )
    sim.ask("c", change(sim, "c", provisional.without(seen_by(sim, "c"))), 21)
    sim.run_for(seconds(60))
    assert answers(sim, "c")[21].accepted
    assert values_of(seen_by(sim, "b"))["r1-v"] == "9"
    assert provisional.read(seen_by(sim, "b")) is None


def test_what_others_have_made_of_a_change_on_trial_is_not_undone() -> None:
    sim = started(10)
    on_trial(sim, "a", 1, "9", 30)
    sim.ask("c", change(sim, "c", with_value(seen_by(sim, "c"), 1, "7")), 21)
    sim.run_for(seconds(60))
    assert values_of(seen_by(sim, "b"))["r1-v"] == "7"
    assert provisional.read(seen_by(sim, "b")) is None
    notes = [note.event for node in NODES for _, note in sim.nodes[node].notes]
    assert "change-not-taken-back" in notes
