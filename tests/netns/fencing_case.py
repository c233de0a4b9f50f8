"""What the test of fencing does inside namespaces: `python -m tests.netns.fencing_case`.

Two nodes of the report's mail server and a made-up fence agent, a real program in /usr/sbin that
asks the power switch: this process, which kills a node's process 1 and with it all others there.
Prints one JSON value.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.netns.cluster_case import EXAMPLE, SIGNED, owner, status, until

from standfest.config import cib, hacf
from standfest.daemons import seed
from standfest.lab import measure, sandbox, syscalls
from standfest.lab.lab import Lab
from standfest.lab.plan import make_plan
from standfest.model.errors import OperationError

NODES = ("node-1", "node-2")
SECRET = "switchSecret"
REQUESTS = "/opt/standfest-lab/shared/power"
AGENT = f"""#!/bin/sh
while IFS='=' read -r name value; do
    case $name in
        action) action=$value ;;
        port) port=$value ;;
        passwd) passwd=$value ;;
    esac
done
case $action in monitor|metadata) exit 0 ;; esac
name=$(date +%s%N)-$$
echo "$action $port $passwd $#" > {REQUESTS}/$name.new
mv {REQUESTS}/$name.new {REQUESTS}/$name.asked
while [ ! -e {REQUESTS}/$name.answer ]; do sleep 0.05; done
read -r code < {REQUESTS}/$name.answer
[ "$code" = 0 ] || echo "the switch does not take $passwd" >&2
exit "$code"
"""
DEVICE = """<resources><primitive id="power" class="stonith" type="fence_lab">
<operations><op id="power-m" name="monitor" interval="5s"/></operations>
<instance_attributes id="power-i">
<nvpair id="power-1" name="pcmk_host_map" value="node-1:socket-1;node-2:socket-2"/>
<nvpair id="power-2" name="pcmk_reboot_retries" value="1"/>
<nvpair id="power-3" name="passwd" value="switchSecret"/>
</instance_attributes></primitive></resources>"""


def new_lab(directory: Path) -> Lab:
    """Return the mail server's lab, with fencing; not yet entered."""
    text = (EXAMPLE / "ha.cf").read_text(encoding="utf-8")
    settings, _ = hacf.parse(text, "ha.cf")
    (directory / "cib-power.xml").write_text(DEVICE)
    options = (EXAMPLE / "cib-options.xml").read_text().replace('value="false"', 'value="true"')
    (directory / "cib-options.xml").write_text(options)
    files = [EXAMPLE / "cib-mail-server.xml", *sorted(directory.glob("cib*.xml"))]
    element = seed.from_files(files, settings.nodes).cib.configuration
    plan = make_plan(settings, element, cib.compile_configuration(element)[0], "cib")
    logd = (EXAMPLE / "ha_logd.cf").read_text(encoding="utf-8")
    return Lab(plan, {"ha.cf": text, "ha_logd.cf": logd, "authkeys": SIGNED})


def install(directory: Path) -> None:
    """Put the agent into /usr/sbin, as this mount namespace shows it."""
    agents = directory / "sbin"
    agents.mkdir()
    agent = agents / "fence_lab"
    agent.write_text(AGENT)
    agent.chmod(0o755)
    try:
        syscalls.mount("overlay", "/usr/sbin", "overlay", 0, f"lowerdir={agents}:/usr/sbin")
    except OSError as error:
        raise OperationError(f"no overlay on /usr/sbin here: {error.strerror}") from error


@dataclass
class Switch:
    """Answers requests. failures: so many are refused; takes_s: how long a node needs to die."""

    lab: Lab
    folder: Path
    failures: int = 0
    takes_s: float = 1.0
    asked: list[str] = field(default_factory=list)
    died: list[float] = field(default_factory=list)

    def serve(self) -> None:
        """Answer until the process ends."""
        while True:
            for path in sorted(self.folder.glob("*.asked")):
                self.asked.append(path.read_text().strip())
                code = 1 if self.failures else 0
                self.failures -= code
                if code == 0:
                    time.sleep(self.takes_s)
                    self.lab.kill(f"node-{self.asked[-1].split()[1][-1]}")
                    self.died.append(time.time())
                answer = path.with_suffix(".part")
                answer.write_text(f"{code}\n")
                answer.rename(path.with_suffix(".answer"))
                path.unlink()
            time.sleep(0.02)


def freeze(lab: Lab, node: str) -> None:
    """Stop every process of a node: it hangs, while its kernel goes on answering for it."""
    namespace = os.readlink(f"/proc/{lab.nodes[node].process}/ns/pid")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                    os.kill(int(entry), signal.SIGSTOP)
            except OSError:
                continue


def run(lab: Lab, switch: Switch) -> object:
    """Freeze the active node; then cut the other one off; look when each is recovered."""
    lab.start()
    hung = lab.wait_healthy(40)[0]
    other = next(node for node in NODES if node != hung)
    until(lambda: set(status(lab, other).values()) == {"online"}, 10)
    refused, said = lab.command(other, "fence", "confirm", hung)
    switch.failures = 2
    began = time.monotonic()
    freeze(lab, hung)
    until(lambda: owner(lab) == other, 40)
    history = json.loads(lab.command(other, "fence", "history", "--json")[1])
    lab.bury(hung)
    lab.boot(hung)
    lab.launch(hung)
    until(lambda: set(status(lab, other).values()) == {"online"}, 30)
    stayed = owner(lab) == other
    # Now who serves is cut off from everything.
    lab.wiring.unplug(other, tuple(network.device for network in lab.plan.networks))
    until(lambda: owner(lab) == hung, 30)
    until(lambda: len(switch.died) == 2, 5)
    ended = time.monotonic()
    _, replies = lab.stop_client()
    events = lab.events()
    fenced = [event for event in events if event.name == "fenced"]
    starts = [
        event.at
        for event in events
        if event.name == "operation-started"
        and event.field("task") == "start"
        and event.field("resource") != "power"  # the device itself may start whenever it likes
    ]
    logs = "".join(lab.nodes[hung].read(f"/var/log/{name}") for name in ("ha-debug", "console"))
    return {
        "confirming refused": (refused, said.strip() == _refusal(hung)),
        "asked": [line.replace(SECRET, "SECRET") for line in switch.asked],
        "victims": [
            event.field("node") == node for event, node in zip(fenced, (hung, other), strict=True)
        ],
        "states": [(r["target"] == hung, r["state"], r["failed_attempts"]) for r in history],
        "reason": [event.field("reason") for event in events if event.name == "fencing-failed"],
        # Between a node's death and the agent's answer nothing may have been started.
        "early": [
            start
            for died, event in zip(switch.died, fenced, strict=True)
            for start in starts
            if died - switch.takes_s - 3 < start < event.at
        ],
        "stayed": stayed,
        "secret": SECRET in logs,
        "twice": max(measure.answered_twice(replies, a.ip, began) for a in lab.plan.addresses),
        "within": ended - began < 120,
    }


def _refusal(node: str) -> str:
    return f"{node} takes part in the cluster; stop it first, or `standfest fence {node}`"


def main() -> int:
    """Run in a sandbox."""

    def inside() -> int:
        with tempfile.TemporaryDirectory(prefix="standfest-fence-") as name:
            directory = Path(name)
            install(directory)
            with new_lab(directory) as lab:
                requests = lab._directory / "shared" / "power"
                requests.mkdir()
                switch = Switch(lab, requests)
                threading.Thread(target=switch.serve, daemon=True).start()
                print(json.dumps(run(lab, switch)), flush=True)
            syscalls.unmount("/usr/sbin")
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
