"""`./dev bench checks`: thousands of TCP checks beside keepalived's, in turn, in the suite's rig.

    ./dev bench checks [--runs N] [--seconds S] [--services N] [--fail refuse|timeout]
                       [--backend NAME]

A director's namespace, servers that accept on 4,000 addresses, a loop of 6 s. keepalived runs with
its IPVS messages answered by a stub; ours balances in fact, by the backend named. Processor time
and memory of the process that checks, rate that the servers see, time from a failure to the line
that tells of the removal. Needs root and a C compiler.
"""

import argparse
import json
import os
import shutil
import signal
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
RIGS = SHARED / "rigs" / "keepalived"
OURS, PEER = "standfest", "keepalived"
ALLOWED_RATIO = 1.5
RIG_LIMIT_S = 400
COME, GONE = 5, 7  # what the rig looks for in the log


def rig(product: str, stub: str, backend: str, words: Sequence[str]) -> dict[str, Any] | None:
    """Run the rig with a product and return its record."""
    command = [sys.executable, str(RIGS / "checks_rig.py"), "--preload", stub, *words]
    if product == OURS:
        ours = f"{sys.executable} -m bench.checks balance {{conf}} {backend}"
        command += ["--cmd", ours, "--name", OURS]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=RIG_LIMIT_S, env=environment, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    print(f"bench: the rig failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return None


def measure(runs: int, stub: str, backend: str, words: Sequence[str]) -> None:
    """Print what both cost, one line a run, and the ratio of the medians."""
    print("| checks | run | CPU % | RSS MiB | checks/s seen (asked) | removed s: median (max) |")
    print("|---|---|---|---|---|---|")
    cpu: dict[str, list[float]] = {PEER: [], OURS: []}
    for run in range(runs):
        for product, found in cpu.items():
            record = rig(product, stub, backend, words)
            if record is None:
                continue
            checker = max(record["processes"], key=lambda one: float(one["cpu_pct"]))
            down = record.get("down_s", {})
            found.append(checker["cpu_pct"])
            rss = checker["rss_kb"] / 1024
            print(
                f"| {product} | {run + 1} | {checker['cpu_pct']:.1f} | {rss:.1f}"
                f" | {record['checks_per_s_seen']} ({record['checks_per_s_expected']})"
                f" | {down.get('median', 0):.1f} ({down.get('max', 0):.1f}) |",
                flush=True,
            )
    if cpu[PEER] and cpu[OURS]:
        ratio = statistics.median(cpu[OURS]) / statistics.median(cpu[PEER])
        print(f"\nratio of the medians: {ratio:.2f}{' (over)' if ratio > ALLOWED_RATIO else ''}")


# --- our side: the rig's --cmd --------------------------------------------------------------------


def balance(path: str, backend: str) -> int:
    """Run the balancer; note in the rig's log when servers come and go, from what it says."""
    if backend == "xdp":  # it has no NAT
        text = Path(path).read_text(encoding="ascii").replace("lb_kind NAT", "lb_kind DR")
        Path(path).write_text(text, encoding="ascii")
    servers = Path(path).read_text(encoding="ascii").count("real_server ")
    words = [sys.executable, "-m", "standfest.daemons.balancer.main", path]
    words += ["--backend", backend, "--name", f"bench-{os.getpid()}"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    signal.signal(signal.SIGTERM, lambda number, _frame: process.send_signal(number))
    assert process.stdout is not None, "it is a pipe"
    with open(os.environ["NLSTUB_LOG"], "a", buffering=1, encoding="ascii") as log:
        for line in process.stdout:
            sys.stdout.write(line)
            if "Balancing " in line:
                log.write(f"{time.monotonic():.6f} {COME}\n" * servers)
            elif "Adding service" in line or "Removing service" in line:
                log.write(f"{time.monotonic():.6f} {COME if 'Adding' in line else GONE}\n")
    return process.wait()


def main() -> int:
    """Measure and print; exit status 1 when something needed is missing."""
    if sys.argv[1:2] == ["balance"]:
        return balance(*sys.argv[2:4])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", default="30")
    parser.add_argument("--services", default="1000")
    parser.add_argument("--backend", default="nftables")
    parser.add_argument("--fail", choices=("refuse", "timeout"), default="refuse")
    arguments = parser.parse_args()
    missing = [program for program in ("ip", "keepalived", "cc") if shutil.which(program) is None]
    if os.geteuid() != 0 or missing or not RIGS.exists():
        print(f"bench: needs root, keepalived, cc and {RIGS}; missing: {missing}", file=sys.stderr)
        return 1
    words = ["--vs", arguments.services, "--window", arguments.seconds]
    words += ["--fail-how", arguments.fail]
    with tempfile.TemporaryDirectory(prefix="standfest-bench-") as directory:
        stub = f"{directory}/nlstub.so"
        source = str(RIGS / "nlstub.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", stub, source], check=True)
        measure(arguments.runs, stub, arguments.backend, words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
