"""A CIB that asks for more instances than anybody can decide about is unpacked up to a limit."""

import pytest

from standfest.config.recorded import read
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import unpack

CIB = """<cib><configuration><crm_config/><nodes><node id="1" uname="a"/><node id="2" uname="b"/>
</nodes><resources>{}</resources><constraints/></configuration><status/></cib>"""
CLONE = """<clone id="c"><meta_attributes id="m"><nvpair id="m1" name="clone-max" value="{}"/>
<nvpair id="m2" name="clone-node-max" value="{}"/></meta_attributes>
<primitive id="p" class="ocf" provider="pacemaker" type="Dummy"/></clone>"""
BUNDLE = """<bundle id="c"><podman image="i" replicas="{}" replicas-per-host="{}"/></bundle>"""


def unpacked(resource: str) -> Cluster:
    configuration, recorded = read(CIB.format(resource), "test")
    return unpack(configuration, recorded, 1_700_000_000)


@pytest.mark.parametrize("kind", [CLONE, BUNDLE])
@pytest.mark.parametrize(
    ("asked", "made"), [("3", 3), ("1000", 1000), ("1001", 1000), ("1000000000", 1000)]
)
def test_at_most_a_thousand_instances_are_made(kind: str, asked: str, made: int) -> None:
    cluster = unpacked(kind.format(asked, "999999999"))
    [top] = [resource for resource in cluster.resources if resource.id == "c"]
    assert (len(top.children), top.clone_max) == (made, made)
