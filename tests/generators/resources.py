"""Resources of a generated cluster: primitives, groups, clones and what may be set on them."""

from dataclasses import dataclass, field

from tests.generators.choices import Choices
from tests.generators.situation import pairs


@dataclass(slots=True)
class Leaf:
    """A primitive as the history needs it; `monitors` are (name, seconds, role)."""

    name: str
    agent: tuple[str, str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    monitors: list[tuple[int, str]] = field(default_factory=list)
    migrates: bool = False
    reloads: bool = False
    xml: str = ""


@dataclass(slots=True)
class Unit:
    """A resource of the top level: what constraints name."""

    name: str
    leaves: list[Leaf]
    kind: str = "primitive"  # primitive, group, clone
    promotable: bool = False
    unique: bool = False
    instances: int = 0
    per_node: int = 1
    xml: str = ""


DUMMY = ("ocf", "pacemaker", "Dummy")
STATEFUL = ("ocf", "pacemaker", "Stateful")
FENCER = ("stonith", "", "fence_dummy")
FAILURES = ("ignore", "block", "stop", "standby", "fence", "restart")


def leaf(choose: Choices, name: str, *, promotable: bool = False, cloned: bool = False) -> Leaf:
    made = Leaf(name, STATEFUL if promotable else DUMMY)
    meta = _meta(choose, made, cloned=cloned)
    if choose.some("parameters"):
        made.parameters = {"fake": "one", "state": "/run/x"}
    operations = _operations(choose, made, promotable=promotable)
    standard, provider, type_ = made.agent
    made.xml = (
        f'<primitive id="{name}" class="{standard}" provider="{provider}" type="{type_}">'
        f"{pairs('meta_attributes', f'{name}-m', meta)}"
        f"{pairs('instance_attributes', f'{name}-i', made.parameters)}"
        f"<operations>{operations}</operations>"
        f"{_needs_room(choose, name)}</primitive>"
    )
    return made


def _meta(choose: Choices, made: Leaf, *, cloned: bool) -> dict[str, str]:
    meta: dict[str, str] = {}
    if choose.some("stickiness", 3):
        meta["resource-stickiness"] = choose.pick("0", "1", "100", "INFINITY")
    if choose.some("target-role", 6):
        meta["target-role"] = choose.pick("Stopped", "Started")
    if choose.some("unmanaged", 8):
        meta["is-managed"] = "false"
    if choose.some("resource-maintenance", 12):
        meta["maintenance"] = "true"
    if choose.some("priority", 4):
        meta["priority"] = choose.pick("0", "5", "10")
    if choose.some("critical", 4):
        meta["critical"] = "false"
    if choose.some("threshold", 2):
        meta["migration-threshold"] = choose.pick("1", "2", "3")
    if choose.some("failure-timeout", 3):
        meta["failure-timeout"] = choose.pick("60s", "2h")
    if choose.some("requires", 4):
        meta["requires"] = choose.pick("nothing", "quorum", "fencing")
    if not cloned and choose.some("multiple-active", 3):
        meta["multiple-active"] = choose.pick("stop_start", "stop_only", "block", "stop_unexpected")
    if choose.some("migrate", 2):
        meta["allow-migrate"] = "true"
        made.migrates = True
    if choose.some("allow-unhealthy", 4):
        meta["allow-unhealthy-nodes"] = "true"
    return meta


def _operations(choose: Choices, made: Leaf, *, promotable: bool) -> str:
    name = made.name
    lines = []
    roles = [(10, "")]
    if promotable:
        roles = [(10, "Promoted"), (11, "Unpromoted")]
    elif choose.some("stopped-monitor", 6):
        roles.append((12, "Stopped"))
    for seconds, role in roles:
        made.monitors.append((seconds, role))
        words = f'id="{name}-mon-{seconds}" name="monitor" interval="{seconds}s"'
        if role:
            words += f' role="{role}"'
        if choose.some("on-fail", 3):
            options = (*FAILURES, "demote") if role == "Promoted" else FAILURES
            words += f' on-fail="{choose.pick(*options)}"'
        lines.append(f"<op {words}/>")
    if choose.some("on-fail", 5):
        how = choose.pick("ignore", "block", "fence", "standby")
        lines.append(f'<op id="{name}-start" name="start" interval="0" on-fail="{how}"/>')
    if choose.some("on-fail", 5):
        how = choose.pick("block", "ignore", "fence")
        lines.append(f'<op id="{name}-stop" name="stop" interval="0" on-fail="{how}"/>')
    return "".join(lines)


def _needs_room(choose: Choices, name: str) -> str:
    if not choose.some("utilization", 2):
        return ""
    return pairs("utilization", f"{name}-u", {"memory": choose.pick("10", "20", "40")})


def fence_device(name: str) -> Leaf:
    made = Leaf(name, FENCER)
    made.monitors = []
    made.xml = f'<primitive id="{name}" class="stonith" type="fence_dummy"/>'
    return made


def units(choose: Choices, nodes: int) -> list[Unit]:
    """Return the resources of the top level: one, or up to as many as the choices allow."""
    kinds = ["primitive"]
    for feature in ("group", "clone", "promotable"):
        if choose.has(feature):
            kinds += [feature, feature]
    made = []
    for number in range(choose.number(1, choose.most_units)):
        name = f"r{number}"
        kind = choose.pick(*kinds)
        if kind == "primitive":
            one = leaf(choose, name)
            made.append(Unit(name, [one], xml=one.xml))
        elif kind == "group":
            made.append(_group(choose, f"{name}-grp", name))
        else:
            made.append(_clone(choose, name, nodes, promotable=kind == "promotable"))
    if choose.has("fencing"):
        device = fence_device("fencer")
        made.append(Unit("fencer", [device], xml=device.xml))
    return made


def _group(choose: Choices, name: str, base: str, *, cloned: bool = False) -> Unit:
    count = choose.number(1, 3)
    leaves = [leaf(choose, f"{base}{letter}", cloned=cloned) for letter in "abc"[:count]]
    meta = {}
    if choose.some("target-role", 6):
        meta["target-role"] = "Stopped"
    if choose.some("priority", 4):
        meta["priority"] = choose.pick("3", "7")
    inner = "".join(one.xml for one in leaves)
    xml = f'<group id="{name}">{pairs("meta_attributes", f"{name}-m", meta)}{inner}</group>'
    return Unit(name, leaves, "group", xml=xml)


def _clone(choose: Choices, base: str, nodes: int, *, promotable: bool) -> Unit:
    name = f"{base}-clone"
    meta: dict[str, str] = {"promotable": "true"} if promotable else {}
    if not promotable and choose.some("group", 5):
        inner = _group(choose, f"{base}-grp", base, cloned=True)
        leaves = inner.leaves
    else:
        one = leaf(choose, base, promotable=promotable, cloned=True)
        inner = Unit(base, [one], xml=one.xml)
        leaves = [one]
    made = Unit(name, leaves, "clone", promotable=promotable, instances=nodes)
    if choose.some("clone-options", 4):
        made.instances = choose.number(1, nodes)
        meta["clone-max"] = str(made.instances)
    if choose.some("unique", 5) and len(leaves) == 1:
        made.unique = True
        meta["globally-unique"] = "true"
        made.per_node = choose.number(1, 2)
        meta["clone-node-max"] = str(made.per_node)
    if choose.some("interleave", 3):
        meta["interleave"] = "true"
    if choose.some("clone-min", 4):
        meta["clone-min"] = choose.pick("1", "2")
    if choose.some("ordered", 5):
        meta["ordered"] = "true"
    if choose.some("notify", 4):
        meta["notify"] = "true"
    if promotable and choose.some("clone-options", 4):
        meta["promoted-max"] = choose.pick("2", "1")
    made.xml = (
        f'<clone id="{name}">{pairs("meta_attributes", f"{name}-m", meta)}{inner.xml}</clone>'
    )
    return made
