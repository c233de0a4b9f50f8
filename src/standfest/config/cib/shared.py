"""Traps of an address that several nodes share: a clone of IPaddr2, an instance for each bucket.

Nothing here is refused: each is a configuration that works until a node dies or comes back.
Source: TUM-I0828 section 5.4.2; docs/adr/0024-load-sharing.md; docs/guide/load-sharing.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from standfest.config.cib import templates, values
from standfest.config.cib.findings import Findings
from standfest.config.cib.sets import options_of
from standfest.model.element import Element

AGENT = "ipaddr2"


@dataclass(frozen=True, slots=True)
class _Shared:
    """A clone whose instances are buckets; meta: effective; parameters: of its address."""

    clone: Element
    address: Element
    provider: str
    meta: Mapping[str, str]
    parameters: Mapping[str, str]
    instances: int
    on_one_node: int


def check(
    configuration: Element,
    findings: Findings,
    *,
    nodes: int,
    defaults: Mapping[str, str],
    fencing: bool,
) -> None:
    """Note the traps; nodes: how many there are, 0 if unknown; defaults: rsc_defaults."""
    for shared in _all(configuration, defaults, nodes):
        _instances(shared, findings, nodes)
        _address(shared, findings)
        if not fencing:
            findings.warn(
                shared.clone,
                f"{shared.clone.id} is shared without fencing: a node that hangs may still answer "
                "what another has taken over",
                "fencing, or `standfest share`, where the kernel ends what a silent node answers",
            )
        _constraints(configuration, shared, findings)


def _all(configuration: Element, defaults: Mapping[str, str], nodes: int) -> Iterator[_Shared]:
    section = configuration.child("resources")
    if section is None:
        return
    known = {template.id: template for template in section.all("template")}
    for clone in section.all("clone"):
        meta = dict(defaults) | options_of(clone, "meta_attributes")
        for inner in clone.walk():
            primitive = templates.merged(inner, known) if inner.tag == "primitive" else inner
            if primitive.tag != "primitive" or (primitive.get("type") or "").lower() != AGENT:
                continue
            parameters = options_of(clone, "instance_attributes")
            parameters |= options_of(primitive, "instance_attributes")
            own = meta | options_of(primitive, "meta_attributes")
            instances = _count(meta.get("clone-max"), max(1, nodes))
            unique = _truth(parameters.get("unique_clone_address"), fallback=False)
            if instances > 1 and not unique:
                most = _count(meta.get("clone-node-max"), 1)
                provider = primitive.get("provider") or "heartbeat"
                yield _Shared(clone, inner, provider, own, parameters, instances, most)


def _instances(shared: _Shared, findings: Findings, nodes: int) -> None:
    clone, meta, instances = shared.clone, shared.meta, shared.instances
    if not _truth(meta.get("globally-unique"), fallback=shared.on_one_node > 1):
        findings.warn(
            clone,
            f"the instances of {clone.id} cannot be told apart: IPaddr2 refuses to share",
            "globally-unique=true",
        )
    if nodes and instances < nodes:
        findings.warn(
            clone,
            f"clone-max of {clone.id} is {instances}, but there are {nodes} nodes: not all answer",
            f"{nodes}",
        )
    elif nodes and instances % nodes:
        findings.warn(
            clone,
            f"clone-max of {clone.id} is {instances} for {nodes} nodes: unequal shares",
            f"{nodes}, or a multiple of it",
        )
    if shared.on_one_node < instances:
        findings.warn(
            clone,
            f"clone-node-max of {clone.id} is {shared.on_one_node}, clone-max {instances}: when "
            "nodes die, some clients are answered by nobody",
            f"clone-node-max={instances}",
        )
    sticky = meta.get("resource-stickiness")
    if shared.on_one_node > 1 and sticky != "0":
        said = "not said, and then 1" if sticky is None else sticky
        findings.warn(
            clone,
            f"resource-stickiness of {clone.id} is {said}: a node that comes back gets no bucket",
            "resource-stickiness=0",
        )


def _address(shared: _Shared, findings: Findings) -> None:
    if shared.provider == "heartbeat":
        findings.warn(
            shared.address,
            f"{shared.address.id} is resource-agents' script where that is installed: it needs the "
            "target CLUSTERIP, which Linux has no more",
            'provider="standfest"',
        )
    mac = shared.parameters.get("mac", "")
    try:
        first = int(mac.partition(":")[0], 16)
    except ValueError:
        return  # none: a multicast one is derived; or nonsense: the agent says so
    if not first & 1:
        findings.warn(
            shared.address,
            f"mac of {shared.address.id} is {mac}, a unicast one: a switch that learns it sends "
            "everything to one node",
            "a multicast one such as 01:02:03:04:05:06, or a network that floods it",
        )


def _constraints(configuration: Element, shared: _Shared, findings: Findings) -> None:
    section = configuration.child("constraints")
    own = {element.id for element in shared.clone.walk() if element.tag != "nvpair"}
    cloned = _cloned(configuration)
    for constraint in section.children if section is not None else ():
        if constraint.tag == "rsc_colocation" and constraint.get("rsc") in own:
            other, score = constraint.get("with-rsc") or "", constraint.get("score") or "0"
            if score.upper() in ("INFINITY", "+INFINITY") and other not in cloned:
                findings.warn(
                    constraint,
                    f"{shared.clone.id} must be where {other} is, which is on one node: that one "
                    "answers everybody",
                    f"a clone of {other}, or no colocation",
                )
        elif constraint.tag == "rsc_order" and constraint.get("then") in own:
            first, kind = constraint.get("first") or "", constraint.get("kind") or "Mandatory"
            apart = _truth(shared.meta.get("interleave"), fallback=False)
            if kind == "Mandatory" and first in cloned and not apart:
                findings.warn(
                    constraint,
                    f"{shared.clone.id} starts after {first}, not interleaved: what stops one "
                    f"instance of {first} stops the address on all nodes",
                    f"interleave=true of {shared.clone.id}",
                )


def _cloned(configuration: Element) -> set[str]:
    """Return the ids of all clones and of what is in them."""
    section = configuration.child("resources")
    tops = section.children if section is not None else ()
    tags = ("clone", "master", "group", "primitive")
    return {
        element.id
        for top in tops
        if top.tag in ("clone", "master")
        for element in top.walk()
        if element.tag in tags
    }


def _count(text: str | None, fallback: int) -> int:
    return int(text) if text is not None and text.isdigit() else fallback


def _truth(text: str | None, *, fallback: bool) -> bool:
    try:
        return fallback if text is None else values.boolean(text)
    except ValueError:
        return fallback  # the compiler refuses it, by its line
