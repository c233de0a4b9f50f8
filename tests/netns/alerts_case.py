"""What the test of alerts does inside namespaces: `python -m tests.netns.alerts_case CASE`.

Two nodes of the report's mail server. Agents are scripts that write one line for each event into a
file of the node that runs them. Prints one JSON value.
"""

import json
import sys
import time
from pathlib import Path

from tests.netns.cluster_case import new_lab, status, until
from tests.netns.tools_case import begun, tool, where

from standfest.lab import sandbox
from standfest.lab.lab import Lab

SHARED = "/opt/standfest-lab/shared/alerts"
SAMPLE = Path("/usr/share/pacemaker/alerts/alert_file.sh.sample")
_OPERATION = ("node", "rsc", "task", "interval", "rc", "status", "target_rc", "desc")
FIELDS = (*_OPERATION, "attribute_name", "attribute_value")
WRITES = f"""#!/bin/sh
echo "$CRM_alert_kind {" ".join(f"{name}=$CRM_alert_{name}," for name in FIELDS)}" \
  "recipient=$CRM_alert_recipient, who=$(id -un), colour=$colour" >> {SHARED}/said.$(uname -n)
"""
HANGS = f"""#!/bin/sh
echo "$$ $CRM_alert_kind" >> {SHARED}/hung.$(uname -n)
exec sleep 600
"""
ALERTS = f"""<alerts>
<alert id="writes" path="{SHARED}/writes.sh">
 <instance_attributes id="wi"><nvpair id="wi1" name="colour" value="pale-green"/>
 </instance_attributes>
 <select><select_nodes/><select_fencing/><select_resources/>
  <select_attributes><attribute id="wa1" name="load"/><attribute id="wa2" name="standby"/>
  </select_attributes></select>
 <recipient id="w1" value="everybody"/></alert>
<alert id="hangs" path="{SHARED}/hangs.sh">
 <meta_attributes id="hm"><nvpair id="hm1" name="timeout" value="1500ms"/></meta_attributes>
</alert>
<alert id="gone" path="/nowhere/gone.sh"/>
<alert id="sample" path="{SHARED}/alert_file.sh">
 <meta_attributes id="sm"><nvpair id="sm1" name="timestamp-format" value="then"/></meta_attributes>
 <recipient id="s1" value="{SHARED}/sample"/></alert>
</alerts>"""


def install(lab: Lab) -> bool:
    """Put the agents where all nodes see them; return whether Debian's is among them."""
    folder = lab._directory / "shared" / "alerts"
    folder.mkdir()
    folder.chmod(0o777)
    texts = {"writes.sh": WRITES, "hangs.sh": HANGS}
    if SAMPLE.exists():
        texts["alert_file.sh"] = SAMPLE.read_text()
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return SAMPLE.exists()


class Told:
    """What agents have written so far."""

    def __init__(self, lab: Lab) -> None:
        self._folder = lab._directory / "shared" / "alerts"

    def lines(self, name: str) -> list[str]:
        """Return a file's lines."""
        path = self._folder / name
        return path.read_text().splitlines() if path.exists() else []

    def by(self, node: str, kind: str = "") -> list[str]:
        """Return what the agent on a node was told of a kind of events."""
        found = self.lines(f"said.{node}")
        return [line for line in found if line.startswith(kind)]


def events(lab: Lab) -> object:
    """Attributes, a move, a lost node, a confirmed fencing, a return: who tells what?"""
    sample = install(lab)
    first, other = begun(lab)
    told, found = Told(lab), dict[str, object]()
    found["configured"] = tool(lab, other, "cibadmin", "-C", "-o", "configuration", "-X", ALERTS)[0]
    time.sleep(1)
    found["nothing yet"] = [told.by(first), told.by(other)]  # neither old results nor nodes

    words = ("crm_attribute", "-N", other, "-n", "load", "-l", "reboot", "-v", "7")
    tool(lab, first, *words)
    tool(lab, first, *words[:4], "ignored", *words[5:])
    tool(lab, first, "crm_standby", "-N", first, "-v", "on")
    until(lambda: where(lab, first, "postfix") == [other], 60)
    tool(lab, first, "crm_standby", "-N", first, "-D")
    until(lambda: len(told.by(first, "attribute") + told.by(other, "attribute")) >= 3, 10)
    attributes = [told.by(first, "attribute"), told.by(other, "attribute")]
    found["attributes"] = [
        [_names(line, first, other) for line in lines] for lines in attributes if lines
    ]
    until(lambda: any("rsc=postfix, task=start," in line for line in told.by(other)), 10)
    found["stop"] = _postfix(told, "stop", first, other)
    found["start"] = _postfix(told, "start", first, other)

    lab.kill(first)
    until(lambda: bool(told.by(other, "node")), 30)
    found["confirmed"] = lab.command(other, "fence", "confirm", first)[0]
    until(lambda: bool(told.by(other, "fencing")), 10)
    found["fencing"] = [
        _names(line.partition(" (ref=")[0], first, other) for line in told.by(other, "fencing")
    ]
    before = len(told.by(first))
    lab.bury(first)
    lab.boot(first)
    lab.launch(first)
    until(lambda: set(status(lab, other).values()) == {"online"}, 60)
    until(lambda: len(told.by(other, "node")) == 2, 10)
    time.sleep(1)
    found["nodes"] = [_names(line, first, other) for line in told.by(other, "node")]
    found["returned"] = [line for line in told.by(first)[before:] if "task=monitor" not in line]

    log = lab.nodes[other].read("/var/log/ha-debug") + lab.nodes[other].read("/var/log/console")
    found["hung"] = [len(told.lines(f"hung.{other}")) > 3, "alert-timed-out" in log]
    lines = lab.nodes[other].read("/var/log/ha-debug").splitlines()
    found["unusable"] = len([line for line in lines if "/nowhere/gone.sh" in line])
    found["secrets"] = "pale-green" in log
    hung = [line.split()[0] for line in told.lines(f"hung.{other}")]
    time.sleep(2)
    running = lab.nodes[other].run("/bin/sh", "-c", "ls -d /proc/[0-9]*")[1].split()
    found["left over"] = len([process for process in hung if f"/proc/{process}" in running]) > 1
    if sample:
        lines = told.lines("sample")
        found["sample"] = [
            f"then: Node '{first}' is now '{state}'" in lines for state in ("lost", "member")
        ]
        found["sample resource"] = (
            f"then: Resource operation 'start' for 'postfix' on '{other}': ok" in lines
        )
    return found


def _postfix(told: Told, task: str, first: str, other: str) -> list[list[str]]:
    """Return what was told of this operation of one resource, on each of the nodes."""
    return [
        [
            _names(line, first, other)
            for line in told.by(node, "resource")
            if f" rsc=postfix, task={task}," in line
        ]
        for node in (first, other)
    ]


def _names(line: str, first: str, other: str) -> str:
    """Return a line with roles for names."""
    who = line.replace(first, "FIRST").replace(other, "OTHER")
    return who.replace("who=hacluster", "who=AGENT").replace("who=root", "who=AGENT")


CASES = {"events": events}


def main() -> int:
    """Run one case in a sandbox."""

    def inside() -> int:
        with new_lab("node-1", "node-2") as lab:
            print(json.dumps(CASES[sys.argv[1]](lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
