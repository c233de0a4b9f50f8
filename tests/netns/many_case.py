"""Many nodes in namespaces of one machine: how soon they are active, how soon one is missed.

Run as `python -m tests.netns.many_case NODES`. Prints one JSON value, times in seconds.
"""

import json
import sys
import time

from tests.netns.cluster_case import SIGNED, owner, status, until

from standfest.config import cib, hacf
from standfest.lab import sandbox
from standfest.lab.lab import Lab
from standfest.lab.plan import make_plan
from standfest.model.errors import OperationError
from standfest.runtime import channel, frames

START_LIMIT_S = 20.0
HA_CF = """crm on
use_logd on
node {nodes}
bcast eth1
keepalive 250ms
deadtime 2
initdead 60
"""
LOGD = "debugfile /var/log/ha-debug\nlogfile /var/log/ha-log\n"
CIB = """<cib validate-with="pacemaker-3.9" admin_epoch="0" epoch="1" num_updates="0">
<configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="stonith-enabled" value="false"/>
</cluster_property_set></crm_config><nodes/><resources><group id="g">
<primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2">
<instance_attributes id="ia"><nvpair id="ip" name="ip" value="10.99.0.9"/>
<nvpair id="nm" name="cidr_netmask" value="24"/><nvpair id="nic" name="nic" value="eth1"/>
</instance_attributes></primitive><primitive id="web" class="lsb" type="web"/>
</group></resources><constraints/></configuration><status/></cib>
"""


def lab_of(count: int) -> Lab:
    """Return an installation of so many nodes on one broadcast medium."""
    names = tuple(f"node-{number}" for number in range(1, count + 1))
    text = HA_CF.format(nodes=" ".join(names))
    settings, _ = hacf.parse(text, "ha.cf")
    element = cib.load([("cib.xml", CIB)]).configuration
    configuration, _ = cib.compile_configuration(element)
    plan = make_plan(settings, element, configuration, "cib.xml")
    return Lab(plan, {"ha.cf": text, "ha_logd.cf": LOGD, "authkeys": SIGNED})


def heard(lab: Lab, observer: str) -> dict[str, str]:
    """Return node -> status as a node's `pulse` sees it; nothing while it is not there."""
    try:
        socket = lab.nodes[observer].path("/run/standfest/pulse.sock")
        answer = channel.request(socket, frames.Query("links"), 2.0)
    except OperationError:
        return {}
    assert isinstance(answer, frames.Reply)
    return {str(name): str(state) for name, state in json.loads(answer.text)["nodes"].items()}


def all_active(lab: Lab) -> bool:
    """Return whether every node sees every node as active."""
    wanted = dict.fromkeys(lab.plan.nodes, "active")
    return all(heard(lab, name) == wanted for name in reversed(lab.plan.nodes))


def start(lab: Lab) -> float:
    """Start one node after the other, as an operator does; return when the last one was."""
    for name in lab.plan.nodes:
        lab.boot(name)
    lab.start_client()
    *before, final = lab.plan.nodes
    for name in before:
        lab.launch(name)
        until(lab.nodes[name].path("/run/standfest/cluster.sock").exists, START_LIMIT_S)
    began = time.time()
    lab.launch(final)
    return began


def many(lab: Lab) -> object:
    """All are started, then the owner of the services fails."""
    began, names = start(lab), set(lab.plan.nodes)
    until(lambda: all_active(lab), 60)
    active = time.time() - began
    victim = lab.wait_healthy(30)[0]
    rest = names - {victim}
    witness = sorted(rest)[0]
    until(lambda: list(status(lab, witness).values()) == ["online"] * len(names), 30)
    lab.kill(victim)
    killed = time.time()

    def missed() -> list[float]:
        """Return after how long each of the others gave the victim up."""
        return [
            event.at - killed
            for event in lab.events()
            if event.name == "node-status" and event.field("node") == victim
            if event.field("status") == "dead" and event.at > killed
        ]

    until(lambda: len(missed()) == len(rest), 30)
    until(lambda: owner(lab) in rest, 30)
    others = status(lab, witness)
    died = {e.field("node") for e in lab.events() if e.field("status") == "dead"}
    return {
        "active": round(active, 2),
        "missed": [round(min(missed()), 2), round(max(missed()), 2)],
        "online": sum(state == "online" for state in others.values()),
        "died": len(died),
    }


def main() -> int:
    """Run the case in a sandbox."""

    def inside() -> int:
        with lab_of(int(sys.argv[1])) as lab:
            print(json.dumps(many(lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
