"""Chapter 5.2 of the report as a script: its command lines against a live cluster in the lab.

Run as `python -m tests.netns.tools_case CASE`. Prints one JSON value.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.netns.cluster_case import new_lab, status, until

from standfest.lab import sandbox
from standfest.lab.lab import Lab

IP = """<resources>
  <primitive class="ocf" id="{id}" provider="myResources"
    type="IPaddr" is_managed="true">
    <instance_attributes id="{id}_attributes">
      <attributes>
        <nvpair id="{id}_ip" name="ip" value="123.123.123.{last}"/>
        <nvpair id="{id}_mask" name="netmask" value="24"/>
        <nvpair id="{id}_nic" name="nic" value="eth0"/>
      </attributes>
    </instance_attributes>
  </primitive>
</resources>
"""
"""As printed in section 5.2.5 (its gateway, which no example of ours has, left out)."""


def tool(lab: Lab, node: str, *words: str, timeout_s: float = 60) -> tuple[int, str]:
    """Run a tool on a node; return its exit status and what it printed."""
    there = lab.nodes[node]
    return there.run(*there.python("-m", "standfest.cli.main", *words), timeout_s=timeout_s)


def where(lab: Lab, node: str, resource: str) -> list[str]:
    """Return on which nodes a resource runs, as `crm_resource --locate` says on one."""
    _, said = tool(lab, node, "crm_resource", "--locate", "--resource", resource, "--quiet")
    return said.split()


def begun(lab: Lab) -> tuple[str, str]:
    """Start the mail server's two nodes; return who serves, and the other one."""
    lab.start()
    first = lab.wait_healthy(60)[0]
    until(lambda: set(status(lab, "node-1").values()) == {"online"}, 15)
    other = next(name for name in lab.plan.nodes if name != first)
    return first, other


def chapter(lab: Lab) -> object:
    """Every command line of sections 5.2.4 and 5.2.5, in the order of the text."""
    first, other = begun(lab)
    found: dict[str, object] = {}
    for name, last in (("ip", 77), ("ip_resource", 78)):
        for node in lab.plan.nodes:
            lab.nodes[node].path(f"/root/{name}.xml").write_text(IP.format(id=name, last=last))

    code, whole = tool(lab, other, "cibadmin", "--cib_query")
    found["query"] = [code, whole.splitlines()[0].split()[0], "<status>" in whole]
    words: tuple[str, ...] = ("--verbose", "--xml-file", "/root/ip.xml")
    found["verify file"] = tool(lab, other, "crm_verify", *words)[0]
    words = ("-obj_type", "resources", "--cib_create", "--xml-file", "/root/ip.xml")
    found["create"] = tool(lab, other, "cibadmin", *words)[0]
    found["create twice"] = tool(lab, first, "cibadmin", *words)[0]
    words = ("--obj_type", "resources", "--cib_create", "--xml-file", "/root/ip_resource.xml")
    found["create as in 5.2.5"] = tool(lab, other, "cibadmin", *words)[0]
    until(lambda: bool(where(lab, first, "ip")), 20)
    code, listed = tool(lab, first, "crm_resource", "--list")
    found["list"] = [code, "ip\t(ocf:myResources:IPaddr)" in listed, "postfix" in listed]
    found["verify live"] = tool(lab, first, "crm_verify", "--verbose", "--live-check")[0]

    found["before"] = where(lab, first, "postfix") == [first]
    found["migrate"] = tool(lab, first, "crm_resource", "--migrate", "postfix")[0]
    until(lambda: where(lab, first, "postfix") == [other], 60)
    time.sleep(2)
    found["stays away"] = where(lab, first, "postfix") == [other]
    found["un-migrate"] = tool(lab, first, "crm_resource", "--un-migrate", "postfix")[0]
    _, constraints = tool(lab, other, "cibadmin", "--cib_query", "--obj_type", "constraints")
    found["constraints after"] = "postfix" in constraints or "cli-" in constraints

    lab.nodes[first].run("/bin/mkdir", "-p", "/export/html")
    page = "/export/html/cluster.html"
    found["daemon"] = tool(lab, first, "crm_mon", "--daemonize", "--as-html", page)[0]
    until(lambda: "postfix" in lab.nodes[first].read(page), 20)
    found["page"] = [node in lab.nodes[first].read(page) for node in lab.plan.nodes]
    code, shown = tool(lab, first, "crm_mon", "-1")
    found["monitor"] = [code, "Online: [ node-1 node-2 ]" in shown, "postfix" in shown]

    words = ("--delete", "--resource-type", "primitive", "--resource", "ip")
    found["delete"] = tool(lab, other, "crm_resource", *words)[0]
    until(lambda: 'primitive id="ip"' not in tool(lab, first, "cibadmin", "-Q")[1], 20)
    found["erase"] = tool(lab, other, "cibadmin", "--cib_erase")[0]
    found["erase by force"] = tool(lab, other, "cibadmin", "--cib_erase", "--force")[0]
    _, empty = tool(lab, first, "cibadmin", "--cib_query", "--obj_type", "resources")
    found["erased"] = empty.strip()
    # Options are gone, too: with today's default, fencing, and no device nothing is touched.
    found["nodes after"] = "Online: [ node-1 node-2 ]" in tool(lab, first, "crm_mon", "-1")[1]
    return found


def attributes(lab: Lab) -> object:
    """Attributes until a restart and for good, standby, failures: today's tools, live."""
    first, other = begun(lab)
    found: dict[str, object] = {}
    words = ("crm_attribute", "-N", other, "-n", "load", "-l", "reboot")
    found["set"] = tool(lab, first, *words, "-v", "7")
    found["count"] = tool(lab, first, *words, "-v", "value++")[0]
    found["query"] = tool(lab, other, *words, "-G", "-q")
    found["delete"] = tool(lab, first, *words, "-D")[0]
    found["gone"] = tool(lab, other, *words, "-G")[0]
    found["option"] = tool(lab, other, "crm_attribute", "-n", "batch-limit", "-v", "5")[0]
    found["read"] = tool(lab, first, "crm_attribute", "-n", "batch-limit", "-G", "-q")
    found["standby"] = tool(lab, other, "crm_standby", "-N", first, "-v", "on")[0]
    until(lambda: where(lab, first, "postfix") == [other], 60)
    found["back"] = tool(lab, other, "crm_standby", "-N", first, "-D")[0]
    found["failures"] = tool(lab, other, "crm_failcount", "-G", "-r", "postfix", "-N", other, "-q")
    found["forgotten"] = tool(lab, other, "crm_failcount", "-D", "-r", "postfix", "-N", other)[0]
    device = ("stonith_admin", "-R", "power", "-a", "fence_x", "-o", "pcmk_host_list=node-1")
    found["device"] = tool(lab, other, *device, "-q")
    level = ("stonith_admin", "-r", "node-1", "-i", "1", "-v", "power")
    found["level"] = tool(lab, other, *level, "-q")
    found["needed"] = tool(lab, first, "stonith_admin", "-D", "power")[0]
    found["devices"] = tool(lab, first, "stonith_admin", "-L")[1].splitlines()[:1]
    found["levels off"] = tool(lab, first, "stonith_admin", "-d", "node-1", "-q")
    found["device off"] = tool(lab, first, "stonith_admin", "-D", "power", "-q")
    found["history off"] = tool(lab, first, "stonith_admin", "-H", "*", "-c")
    found["no node"] = tool(lab, first, "stonith_admin", "-H", "nobody", "-c")[0]
    found["nobody"] = tool(lab, other, "crm_standby", "-N", "nobody", "-v", "on")[0]
    found["log"] = "crm_standby" in tool(lab, first, "cib", "log")[1]
    return found


def debian(lab: Lab) -> object:
    """What Debian's own tools say of our live CIB, beside ours."""
    if missing("crm_mon", "crm_verify", "crm_simulate"):
        return None
    first, other = begun(lab)
    tool(lab, other, "crm_standby", "-N", first, "-v", "on")
    until(lambda: where(lab, first, "postfix") == [other], 60)
    time.sleep(2)
    lines = (("crm_mon", "-1", "-r"), ("crm_verify", "-L", "-V"), ("crm_simulate", "-L", "-S"))
    theirs = debians(lab, first, *lines)
    _, ours = tool(lab, first, "crm_mon", "-1", "-r")
    return {
        "exit": [done.returncode for done in theirs],
        "complaints": "".join(done.stderr for done in theirs),
        "nodes": _part(theirs[0].stdout, "Node List:") == _part(ours, "Node List:"),
        "resources": _part(theirs[0].stdout, "Full List of") == _part(ours, "Full List of"),
        "shown": [name in ours for name in ("standby", "postfix", other)],
        "would do": would_do(theirs[2].stdout),
    }


def missing(*programs: str) -> bool:
    """Return whether one of Debian's tools is not here."""
    return any(shutil.which(name) is None for name in programs)


def debians(
    lab: Lab, node: str, *command_lines: tuple[str, ...]
) -> list[subprocess.CompletedProcess[str]]:
    """Run Debian's own tools on the CIB that ours reads live on a node."""
    _, text = tool(lab, node, "cibadmin", "--query")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cib.xml"
        path.write_text(text, encoding="utf-8")
        return [
            subprocess.run(
                [str(shutil.which(program)), *words],
                env={"CIB_file": str(path), "PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=False,
            )
            for program, *words in command_lines
        ]


def would_do(simulated: str) -> list[str]:
    """Return the lines of crm_simulate's Transition Summary."""
    summary = simulated.partition("Transition Summary:")[2].partition("Executing")[0]
    return [line for line in summary.splitlines() if line.strip()]


NEEDS_TICKET = '<rsc_ticket id="t" rsc="mail-server" ticket="T" loss-policy="stop"/>'


def tickets(lab: Lab) -> object:
    """A ticket is granted, put into standby and revoked, live; Debian's tools read it there."""
    first, other = begun(lab)
    found: dict[str, object] = {}

    def ticket(node: str, *words: str) -> tuple[int, str]:
        return tool(lab, node, "crm_ticket", "-t", "T", *words)

    words = ("cibadmin", "-C", "-o", "constraints", "-X", NEEDS_TICKET)
    found["constraint"] = tool(lab, first, *words)[0]
    until(lambda: not where(lab, other, "postfix"), 60)
    found["unknown"] = ticket(first, "-q")[0]
    found["not without force"] = ticket(first, "-g")[0]
    found["grant"] = ticket(first, "-g", "--force")
    until(lambda: bool(where(lab, other, "postfix")), 60)
    code, text = ticket(other, "-q")
    found["query"] = [code, re.sub(r"\d{10}", "TIME", text)]
    dated = int(ticket(other, "-G", "last-granted")[1])
    found["dated"] = abs(dated - time.time()) < 120
    found["standby"] = ticket(other, "-s")
    until(lambda: not where(lab, first, "postfix"), 60)
    found["listed"] = ticket(first, "-l")[1].startswith("T\tgranted [standby] last-granted=")
    if not missing("crm_mon", "crm_simulate"):
        time.sleep(2)
        asked = ("crm_simulate", "-L", "-S")
        lines = (("crm_mon", "-1", "-c"), asked, (*asked, "-e", "T"))
        page, nothing, activated = debians(lab, other, *lines)
        there = _part(page.stdout, "Tickets:")
        ours = _part(tool(lab, first, "crm_mon", "-1", "-c")[1], "Tickets:")
        alike = ours == there and there[0].startswith("  * T: granted [standby] last-granted=")
        starts = [line.split()[1:3] for line in would_do(activated.stdout)]
        found["debian"] = [alike, would_do(nothing.stdout), ["Start", "postfix"] in starts]
        found["complaints"] = page.stderr + nothing.stderr + activated.stderr
    found["activate"] = ticket(first, "-a")
    until(lambda: bool(where(lab, first, "postfix")), 60)
    found["not revoked without force"] = ticket(other, "-r")[0]
    found["revoke"] = ticket(other, "-r", "--force")
    until(lambda: not where(lab, first, "postfix"), 60)
    found["attribute"] = [ticket(other, "-S", "geo", "-v", "5"), ticket(first, "-G", "geo")]
    found["no name"] = ticket(other, "-S", "a=b", "-v", "5")[0]
    found["clean up"] = ticket(other, "-C")
    found["gone"] = ticket(first, "-C")
    return found


def failure(lab: Lab) -> object:
    """A resource is said to have failed: it is restarted where it is, and that is counted."""
    first, other = begun(lab)
    found: dict[str, object] = {}

    def fail(*words: str) -> tuple[int, str]:
        return tool(lab, other, "crm_resource", "-F", *words)

    def count(what: str) -> str:
        words = ("-r", "postfix", "-N", first, "-n", what, "-I", "0", "-q")
        return tool(lab, other, "crm_failcount", "-G", *words)[1].strip()

    started = _start_calls(lab, first)
    found["fail"] = fail("-r", "postfix", "-N", first)
    until(lambda: _start_calls(lab, first) > started, 60)
    until(lambda: where(lab, other, "postfix") == [first], 60)
    found["counted"] = [count("asyncmon"), count("monitor")]
    _, page = tool(lab, first, "crm_mon", "-1")
    said = [line for line in page.splitlines() if "asyncmon" in line]
    found["page"] = [line.partition(" at ")[0].strip().replace(first, "NODE") for line in said]
    if not missing("crm_mon", "crm_simulate"):
        theirs, simulated = debians(lab, first, ("crm_mon", "-1"), ("crm_simulate", "-L", "-S"))
        shown = [line for line in theirs.stdout.splitlines() if "asyncmon" in line]
        found["debian"] = [shown == said, would_do(simulated.stdout)]
    found["elsewhere"] = fail("-r", "postfix", "-N", other)[0]
    found["unknown"] = [fail("-r", "nosuch", "-N", first)[0], fail("-r", "postfix", "-N", "x")[0]]
    found["group"] = fail("-r", "mail-server", "-N", first)[0]
    found["cleaned up"] = tool(lab, other, "crm_resource", "-C", "-r", "postfix")[0]
    until(lambda: count("asyncmon") == "0", 30)
    found["stays"] = where(lab, other, "postfix") == [first]
    return found


def _start_calls(lab: Lab, node: str) -> int:
    """Return the number of the last start of the mail server on a node."""
    _, text = tool(lab, node, "cibadmin", "--query")
    calls = re.findall(r'operation_key="postfix_start_0"[^>]* call-id="(\d+)"', text)
    return max(map(int, calls), default=0)


USER = 4242
AS_USER = (
    f"import os, grp, runpy, sys; g = grp.getgrnam('haclient').gr_gid; os.setgroups([g]); "
    f"os.setgid(g); os.setuid({USER}); sys.argv[:1] = ['standfest']; "
    "runpy.run_module('standfest.cli.main', run_name='__main__')"
)
"""A member of group haclient that has no name; `<acl_target>` calls it by its number."""
RULES = f"""<acls><acl_role id="planner">
<acl_permission id="see-nodes" kind="read" xpath="//nodes"/>
<acl_permission id="plan" kind="write" xpath="//constraints"/></acl_role>
<acl_target id="{USER}"><role id="planner"/></acl_target></acls>"""
PLACE = '<rsc_location id="{id}" rsc="mail-server" node="node-1" score="1"/>'


def access(lab: Lab) -> object:
    """A user whom the CIB's rules let see the nodes and change the constraints, live."""
    first, _ = begun(lab)
    there = lab.nodes[first]

    def user(*words: str) -> tuple[int, str]:
        return there.run(*there.python("-c", AS_USER, *words), timeout_s=60)

    if user("crm_node", "-q")[0] == 1:
        return None  # no such group, or no other users in this namespace
    found: dict[str, object] = {}
    found["before"] = "<primitive" in user("cibadmin", "--query")[1]
    found["rules"] = tool(lab, first, "cibadmin", "-C", "-o", "configuration", "-X", RULES)[0]
    words: tuple[str, ...] = ("crm_attribute", "-n", "enable-acl", "-v", "true")
    found["enabled"] = tool(lab, first, *words)[0]
    _, text = user("cibadmin", "--query")
    found["sees"] = ['uname="node-1"' in text, "<primitive" in text, "nvpair" in text]
    words = ("cibadmin", "-C", "-o", "constraints", "-X", PLACE.format(id="mine"))
    found["may"] = user(*words)[0]
    found["did"] = 'id="mine"' in tool(lab, first, "cibadmin", "-Q", "-o", "constraints")[1]
    found["may not"] = user("crm_attribute", "-n", "batch-limit", "-v", "3")[0]
    code, said = user("node", "standby", "node-1")
    found["nor this"] = [code, "may not ask for Standby" in said]
    code, said = user("crm_ticket", "-t", "T", "-g", "--force")
    found["no ticket"] = [code, f"{USER} may not change /cib/status/tickets" in said]
    code, said = user("crm_resource", "-F", "-r", "postfix", "-N", first)
    found["no failure"] = code != 0 and "Waiting" not in said
    _, whole = tool(lab, first, "cibadmin", "-Q")
    found["report"] = user("status")[0]
    found["root sees"] = "<primitive" in whole and "batch-limit" not in whole
    return found


def _part(text: str, title: str) -> list[str]:
    """Return the lines of one section of crm_mon."""
    lines = text.partition(title)[2].splitlines()[1:]
    return lines[: lines.index("")] if "" in lines else lines


CASES = {
    "access": access,
    "attributes": attributes,
    "chapter": chapter,
    "debian": debian,
    "failure": failure,
    "tickets": tickets,
}


def main() -> int:
    """Run one case in a sandbox."""
    case = CASES[sys.argv[1]]

    def inside() -> int:
        with new_lab("node-1", "node-2") as lab:
            print(json.dumps(case(lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
