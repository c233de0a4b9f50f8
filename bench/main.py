"""heartbeat 3.0.6, Pacemaker on Corosync and Standfest in one rig, in turn; prints ratios.

    ./dev bench [--runs N] [--modes kill,link,svc,stop,start,idle] [--quick] [--no-pacemaker]

The rig is `../shared/rigs/failover`, copied aside because it writes beside itself. It takes
Standfest in a peer's place: the same nodes, the same service agent, the same prober. Needs root.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("STANDFEST_SHARED", ROOT.parent / "shared"))
RESULTS = ROOT / "bench" / "results"
PEERS = {"heartbeat": "/usr/libexec/heartbeat/heartbeat", "pacemaker": "/usr/sbin/pacemakerd"}
MODES = "kill,link,svc,stop,start,idle"

HA_CF = """crm on
use_logd on
node @NODES@
ucast eth0 10.77.0.1
ucast eth0 10.77.0.2
ucast eth0 10.77.0.3
udpport 694
keepalive {keepalive}
deadtime {deadtime}
initdead 10
"""
LOGD = "debugfile /var/log/ha-debug\nlogfile /var/log/ha-log\n"
CIB = """<cib validate-with="pacemaker-3.9" admin_epoch="0" epoch="5" num_updates="0">
<configuration><crm_config><cluster_property_set id="cib-bootstrap-options">
<nvpair id="o1" name="stonith-enabled" value="false"/>
<nvpair id="o2" name="no-quorum-policy" value="ignore"/>
</cluster_property_set></crm_config><nodes/><resources><group id="g">
<primitive id="vip" class="ocf" provider="standfest" type="IPaddr">
<instance_attributes id="vip-ia"><nvpair id="vip-ip" name="ip" value="@VIP@"/>
<nvpair id="vip-nm" name="cidr_netmask" value="@VIP_PREFIX@"/>
<nvpair id="vip-nic" name="nic" value="eth0"/></instance_attributes>
<operations><op id="vip-m" name="monitor" interval="10s" timeout="20s"/></operations></primitive>
<primitive id="svc" class="ocf" provider="rig" type="tinyhttp">
<operations><op id="svc-m" name="monitor" interval="1s" timeout="20s"/></operations></primitive>
</group></resources><constraints/><rsc_defaults><meta_attributes id="rd">
<nvpair id="rd-s" name="resource-stickiness" value="100"/></meta_attributes></rsc_defaults>
</configuration><status/></cib>
"""


def specification(name: str, keepalive: str, deadtime: str) -> dict[str, Any]:
    """Return Standfest as the rig's product hook wants it."""
    run = f"exec {sys.executable} -m standfest.cli.main run"
    return {
        "name": name,
        "nodes": 2,
        "files": {
            "/etc/ha.d/ha.cf": HA_CF.format(keepalive=keepalive, deadtime=deadtime),
            "/etc/ha.d/authkeys": "auth 1\n1 sha1 rigSecretKey\n",
            "/etc/ha.d/ha_logd.cf": LOGD,
            "/etc/ha.d/cib.xml": CIB,
        },
        "modes": {"/etc/ha.d/authkeys": "600"},
        "start": f"{run} --ha-dir /etc/ha.d --cib /etc/ha.d/cib.xml",
        "stop": "kill $(cat /run/standfest/supervisor.pid)",
        "log_files": ["/var/log/ha-debug"],
        "env": {"PYTHONPATH": str(ROOT / "src")},
        "exclude": ["tinyhttp.py"],
    }


def stacks(directory: Path, arguments: argparse.Namespace) -> list[str]:
    """Return the rig's --stack options: each pair of timings with its peers beside it."""
    found = []
    for name, keepalive, deadtime in (
        ("standfest-100ms-1s", "100ms", "1"),
        ("standfest-50ms-300ms", "50ms", "300ms"),
    ):
        path = directory / f"{name}.json"
        path.write_text(json.dumps(specification(name, keepalive, deadtime)), encoding="utf-8")
        found.append(f"spec:{path}")
        if Path(PEERS["heartbeat"]).exists():
            found.append(f"heartbeat:keepalive={keepalive},deadtime={deadtime}")
        if arguments.quick:
            break
    if Path(PEERS["pacemaker"]).exists() and not arguments.no_pacemaker:
        found.append("pacemaker:token=1000,transport=knet,dc_deadtime=2s")
        if not arguments.quick:
            found.append("pacemaker:token=130,transport=udpu,dc_deadtime=2s")
    return found


def run_rig(arguments: argparse.Namespace, out: Path) -> int:
    """Run the rig over all stacks, alternating; records go to `out`."""
    with tempfile.TemporaryDirectory(prefix="standfest-bench-") as directory:
        rig = Path(directory) / "rig"
        shutil.copytree(SHARED / "rigs" / "failover", rig)
        for path in [rig, *rig.rglob("*")]:
            path.chmod(0o755)
        words = [sys.executable, str(rig / "failover_rig.py"), "compare", "--out", str(out)]
        for stack in stacks(Path(directory), arguments):
            words += ["--stack", stack]
        words += ["--modes", arguments.modes, "--runs", str(arguments.runs)]
        words += ["--idle-seconds", str(arguments.idle_seconds)]
        return subprocess.run(words, check=False, stdout=subprocess.DEVNULL).returncode


def label(record: dict[str, Any]) -> str:
    """Return the name of a stack with what distinguishes it."""
    stack = str(record["stack"])
    if stack.startswith("standfest"):
        return stack
    variant = str(record.get("variant", ""))
    return f"{stack} {variant.replace('transport=', '').replace('dc_deadtime=2s,', '')}".strip()


def medians(records: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[float]]:
    """Return (mode, stack) -> figures in ms: outage; for `start` the time to the first answer."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in records:
        figure = record.get("start_ms" if record["mode"] == "start" else "outage_ms")
        if figure is not None and record["mode"] != "idle":
            found.setdefault((record["mode"], label(record)), []).append(figure)
    return found


def show(records: Sequence[dict[str, Any]]) -> None:
    """Print the tables: figures, and how many times as long a peer takes as Standfest."""
    figures = medians(records)
    names = list(dict.fromkeys(label(record) for record in records))
    ours = next((name for name in names if name.startswith("standfest")), "")
    print("| mode | stack | runs | median ms (min to max) | times standfest-100ms-1s |")
    print("|---|---|---|---|---|")
    for mode in dict.fromkeys(record["mode"] for record in records if record["mode"] != "idle"):
        base = figures.get((mode, ours))
        for name in names:
            values = figures.get((mode, name))
            if not values:
                print(f"| {mode} | {name} | 0 | never | - |")
                continue
            middle = statistics.median(values)
            ratio = f"{middle / statistics.median(base):.2f}" if base else "-"
            span = f"{middle:.0f} ({min(values):.0f} to {max(values):.0f})"
            print(f"| {mode} | {name} | {len(values)} | {span} | {ratio} |")
    idle = [record for record in records if record["mode"] == "idle" and "idle" in record]
    if idle:
        print("\n| idle, per node | CPU % of a core | PSS MB | processes | packets/s |")
        print("|---|---|---|---|---|")
    for record in idle:
        for node, data in sorted(record["idle"].items()):
            role = "active" if data["active"] else "standby"
            print(
                f"| {label(record)} {node} ({role}) | {data['cpu_pct']:.2f} | "
                f"{data['pss_kb'] / 1024:.0f} | {data['procs']:.0f} | {data['pkts_per_s']:.1f} |"
            )


def main() -> int:
    """Measure and print; exit status 1 when something needed is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--modes", default=MODES)
    parser.add_argument("--quick", action="store_true", help="one timing only")
    parser.add_argument("--no-pacemaker", action="store_true")
    parser.add_argument("--idle-seconds", type=float, default=60)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: needs root (namespaces, cgroups, the peers' daemons)", file=sys.stderr)
        return 1
    if not (SHARED / "rigs" / "failover").is_dir():
        print(
            f"bench: no rig in {SHARED}; expected ../shared or $STANDFEST_SHARED", file=sys.stderr
        )
        return 1
    for peer, program in PEERS.items():
        if not Path(program).exists():
            print(f"bench: {peer} is not installed ({program}): left out", file=sys.stderr)
    RESULTS.mkdir(parents=True, exist_ok=True)
    out = RESULTS / time.strftime("%Y%m%d-%H%M%S.jsonl")
    status = run_rig(arguments, out)
    if out.exists():
        show([json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()])
    return status


if __name__ == "__main__":
    sys.exit(main())
