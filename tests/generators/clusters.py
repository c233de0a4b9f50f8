"""Whole situations of a generated cluster, in families that each cover a part of the rules."""

from hypothesis import strategies as st
from tests.generators import constraints, histories, resources
from tests.generators.choices import Choices, drawn, seeded
from tests.generators.situation import NOW, Node, Situation

BASE = frozenset(
    [
        "fresh",
        "unprobed",
        "stopped",
        "group",
        "clone",
        "standby",
        "location",
        "colocation",
        "order",
        "stickiness",
    ]
)


def _with(words: str) -> frozenset[str]:
    return BASE | frozenset(words.split())


FAMILIES = {
    "placement": _with(
        "rules dates discovery attributes priority critical influence opt-in half-started maximum"
    ),
    "ordering": _with(
        "order-kinds order-actions interleave clone-min ordered clone-options "
        "target-role failures half-started notify"
    ),
    "sets": _with("resource-sets promotable scores target-role failures"),
    "fencing": _with(
        "fencing lost quorum requires stop-failures on-fail terminate failures "
        "fencing-options promotable scores"
    ),
    "failures": _with(
        "failures threshold failure-timeout on-fail start-failures stop-failures "
        "old-failures probe-errors cleaned critical"
    ),
    "promotion": _with(
        "promotable scores failures promote-failures clone-options order-kinds "
        "target-role threshold notify"
    ),
    "migration": _with("migrate half-migrated shutdown failures order-kinds"),
    "room": _with("utilization placement-strategy priority capacity migrate"),
    "tickets": _with("ticket promotable scores fencing"),
    "administration": _with(
        "target-role unmanaged resource-maintenance node-maintenance orphans "
        "double multiple-active shutdown maintenance-mode stop-all found "
        "removed-options failures"
    ),
    "changes": _with(
        "parameters changed other-agent unwatched pending found stopped-monitor half-started"
    ),
    "clones": _with(
        "unique clone-options interleave clone-min ordered failures failure-timeout "
        "threshold lost promotable scores notify"
    ),
    "health": _with("health allow-unhealthy promotable scores"),
}
FAMILIES["everything"] = frozenset[str]().union(*FAMILIES.values())


@st.composite
def situations(draw: st.DrawFn, family: str) -> Situation:
    """Draw a situation of one of the FAMILIES."""
    return made_of(Choices(drawn(draw), FAMILIES[family]))


def numbered(family: str, number: int) -> Situation:
    """Return a situation of a family by its number: every fourth is of a large cluster.

    Large: up to 8 nodes, and 14 groups, clones and primitives, some 40 primitives at the most.
    """
    return made_of(Choices(seeded(f"{family} {number}"), FAMILIES[family], large=number % 4 == 3))


def made_of(choose: Choices) -> Situation:
    """Return the situation that these choices make."""
    made = Situation()
    made.nodes = [
        Node(number, f"n{number}") for number in range(1, choose.number(2, choose.most_nodes) + 1)
    ]
    _states(choose, made.nodes)
    _options(choose, made)
    units = resources.units(choose, len(made.nodes))
    made.resources = [unit.xml for unit in units]
    made.constraints = constraints.write(choose, units, made.nodes)
    histories.record(choose, units, made.nodes)
    if choose.has("ticket"):
        for number in range(2):
            state = choose.pick(
                'granted="true"', "", 'granted="false"', 'granted="true" standby="true"'
            )
            if state:
                made.tickets.append(
                    f'<ticket_state id="t{number}" {state} last-granted="{NOW - 9000}"/>'
                )
    coordinator = next((node for node in made.nodes if node.state == "online"), made.nodes[0])
    made.root["dc-uuid"] = str(coordinator.number)
    return made


def _states(choose: Choices, nodes: list[Node]) -> None:
    for position, node in enumerate(nodes):
        if choose.some("standby", 6):
            node.permanent["standby"] = "on"
        if choose.some("node-maintenance", 8):
            node.permanent["maintenance"] = "true"
        if choose.some("attributes", 3):
            node.permanent["site"] = choose.pick("east", "west")
        if choose.some("attributes", 3):
            node.permanent["rank"] = choose.pick("3", "10")
        if choose.has("capacity"):
            # No two nodes have equally much left: crm_simulate takes any of those.
            node.capacity["memory"] = str(choose.pick(20, 40, 0) + node.number)
        if choose.some("shutdown", 8):
            node.transient["shutdown"] = str(NOW - 10)
        if choose.some("health", 3):
            node.transient["#health-disk"] = choose.pick("green", "yellow", "red", "-10")
        if choose.some("terminate", 12):
            node.transient["terminate"] = "true"
        if position and choose.some("lost", 4):
            node.state = choose.pick("lost", "down", "crashed", "unseen", "pending")


def _options(choose: Choices, made: Situation) -> None:
    options = made.options
    options["stonith-enabled"] = "true" if choose.has("fencing") else "false"
    if choose.some("opt-in", 4):
        options["symmetric-cluster"] = "false"
    if choose.some("quorum", 3):
        made.root["have-quorum"] = "0"
        options["no-quorum-policy"] = choose.pick("stop", "freeze", "ignore", "demote", "suicide")
    if choose.some("fencing-options", 4):
        options["startup-fencing"] = "false"
    if choose.some("fencing-options", 4):
        options["stonith-action"] = choose.pick("off", "reboot")
    if choose.has("fencing"):  # its default differs: false in 2.1.5, true in 3.0
        options["concurrent-fencing"] = choose.pick("true", "false")
    if choose.some("placement-strategy", 1):
        options["placement-strategy"] = choose.pick("utilization", "balanced", "minimal", "default")
    if choose.some("maintenance-mode", 8):
        options["maintenance-mode"] = "true"
    if choose.some("stop-all", 12):
        options["stop-all-resources"] = "true"
    if choose.some("removed-options", 4):
        options["stop-orphan-resources"] = choose.pick("false", "true")
    if choose.some("removed-options", 4):
        options["stop-orphan-actions"] = choose.pick("false", "true")
    if choose.has("health"):
        options["node-health-strategy"] = choose.pick(
            "migrate-on-red", "only-green", "progressive", "none"
        )
        if choose.pick(False, True):
            options["node-health-yellow"] = "-20"
