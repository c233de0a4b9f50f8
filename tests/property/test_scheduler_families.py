"""What must hold for the plan of every situation that the generators make, family by family.

Compared are all operations, what waits for what, and where everything ends up. The order of
<node_state> entries is left alone: instances of clones are numbered in that order, and among equals
the number decides, in Pacemaker too.
"""

import hashlib
import os
import random
import re
import subprocess
import sys
from collections import Counter
from xml.sax.saxutils import quoteattr

import pytest
from tests.differential.peer import Operation, Verdict, ours
from tests.generators.clusters import FAMILIES, numbered
from tests.generators.situation import NOW

from standfest.analysis.follow import MOST_TRANSITIONS, at_rest, follow
from standfest.config.recorded import read
from standfest.model import xml
from standfest.model.element import Element

EXAMPLES = range(32)  # every fourth is a large cluster
WITHOUT_ORDER = {
    "nodes",
    "constraints",
    "operations",
    "cluster_property_set",
    "meta_attributes",
    "instance_attributes",
    "utilization",
    "tickets",
    "transient_attributes",
    "lrm_resources",
    "lrm_resource",
}
"""Elements whose children mean the same in any order."""
RENAMED = {f"n{number}": f"m{number * number:03}" for number in range(1, 9)}  # n2 -> m004
STOPPED = (
    '<primitive id="unrelated" class="ocf" provider="pacemaker" type="Dummy">'
    '<meta_attributes id="unrelated-m"><nvpair id="unrelated-m-t" name="target-role" '
    'value="Stopped"/></meta_attributes></primitive>'
)

of_each_family = pytest.mark.parametrize("family", sorted(FAMILIES))


def texts(family: str) -> list[str]:
    return [numbered(family, number).text() for number in EXAMPLES]


def shuffled(element: Element, chance: random.Random) -> str:
    """Return an element as text, with attributes and what has no order in another one."""
    children = [shuffled(child, chance) for child in element.children]
    if element.tag in WITHOUT_ORDER:
        chance.shuffle(children)
    attributes = [f" {name}={quoteattr(value)}" for name, value in element.attributes]
    chance.shuffle(attributes)
    return f"<{element.tag}{''.join(attributes)}>{''.join(children)}</{element.tag}>"


@of_each_family
def test_the_order_of_attributes_and_siblings_means_nothing(family: str) -> None:
    for number, text in enumerate(texts(family)):
        other = shuffled(xml.parse(text, family), random.Random(f"{family} {number}"))
        assert other != text
        assert ours(other) == ours(text), (family, number)


@of_each_family
def test_renaming_nodes_in_order_renames_the_plan(family: str) -> None:
    for number, text in enumerate(texts(family)):
        other = re.sub(r'"(n\d)"', lambda match: f'"{RENAMED[match[1]]}"', text)
        assert ours(other) == renamed(ours(text)), (family, number)


def renamed(plan: Verdict) -> Verdict:
    def on(operation: Operation) -> Operation:
        what, resource, node, how = operation
        return what, resource, RENAMED.get(node, node), how

    return Verdict(
        Counter({on(operation): count for operation, count in plan.operations.items()}),
        frozenset((on(earlier), on(later)) for earlier, later in plan.ordered),
        {
            name: sorted((role, RENAMED[node]) for role, node in found)
            for name, found in plan.places.items()
        },
    )


@of_each_family
def test_an_unrelated_resource_moves_nothing(family: str) -> None:
    for number, text in enumerate(texts(family)):
        before, after = ours(text), ours(text.replace("</resources>", f"{STOPPED}</resources>"))
        probes = [one for one in after.operations if one[1] == "unrelated"]
        assert {what for what, *_ in probes} <= {"probe"}, (family, number)
        for probe in probes:
            del after.operations[probe]
        assert after == before, (family, number)


@of_each_family
def test_when_the_plan_has_run_nothing_is_left_to_do(family: str) -> None:
    for number, text in enumerate(texts(family)):
        steps = [step.cluster for step in follow(*read(text, family), NOW, [])]
        assert len(steps) < MOST_TRANSITIONS, (family, number)
        assert at_rest(steps[-1]), (family, number)


def fingerprint(family: str) -> str:
    """Return a digest of all plans of a family, in the order in which they come."""
    found = hashlib.sha256()
    for text in texts(family):
        plan = ours(text)
        found.update(repr((list(plan.operations.items()), plan.places)).encode())
        found.update(repr(sorted(plan.ordered)).encode())
    return found.hexdigest()


def test_the_seed_of_hashes_changes_nothing() -> None:
    script = (
        "from tests.property.test_scheduler_families import FAMILIES, fingerprint\n"
        "for family in sorted(FAMILIES):\n    print(fingerprint(family))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1
    assert len(set(outputs.pop().split())) == len(FAMILIES)
