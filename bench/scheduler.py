"""`./dev bench scheduler`: `standfest simulate` beside `crm_simulate -R`, whole processes.

The CIBs are made by the suite's gen_synth.py, which has to be in ../shared. Printed are seconds,
resident memory, the ratio to crm_simulate in the same run, and what an element (a resource, a
constraint or an operation) costs us: it must not grow with the cluster. crm_simulate is ended after
a limit.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SITUATIONS = ("steady", "lost", "drain", "cold")
SIZES = ((8, 100, 3), (16, 1000, 3), (32, 5000, 1))  # nodes, resources, runs
PEER_LIMIT_S = 180.0
POLL_S = 0.02
COUNTED = (b"<primitive ", b"<rsc_", b"<lrm_rsc_op ")


@dataclass(frozen=True, slots=True)
class Measured:
    """One process: seconds, peak of resident memory in MiB; ended: it took longer than allowed."""

    seconds: float
    memory: int
    ended: bool = False


def generator() -> Path:
    for parent in Path(__file__).resolve().parents:
        found = parent / "shared/suites/scheduler/tools/gen_synth.py"
        if found.is_file():
            return found
    raise SystemExit("bench scheduler: gen_synth.py is not here; expected ../shared/suites")


def measured(words: list[str], limit: float = PEER_LIMIT_S) -> Measured:
    begun = time.monotonic()
    ended = False
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(words, stdout=nowhere, stderr=nowhere)
        pidfd = os.pidfd_open(process.pid)
        while True:
            done, _, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            if not ended and time.monotonic() - begun > limit:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                ended = True
            time.sleep(POLL_S if time.monotonic() - begun > 1 else POLL_S / 20)
        os.close(pidfd)
        process.returncode = 0  # reaped above
    assert isinstance(usage, resource.struct_rusage)
    return Measured(time.monotonic() - begun, usage.ru_maxrss // 1024, ended)


def main() -> None:
    make = generator()
    peer = shutil.which("crm_simulate")
    ours = str(Path(sys.executable).with_name("standfest"))
    print(
        f"{'nodes x resources':18} {'situation':9} {'ours':>8} {'MiB':>5} {'us/elem':>8} "
        f"{'peer':>8} {'MiB':>5} {'ratio':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for nodes, resources, runs in SIZES:
            for situation in SITUATIONS:
                place = Path(folder, "cib.xml")
                words = [str(make), str(nodes), str(resources), situation, str(place)]
                subprocess.run([sys.executable, *words], check=True)
                mine, theirs = [], []
                for _ in range(runs):  # alternating: both see the same noise
                    mine.append(measured([ours, "simulate", str(place)]))
                    if peer is not None:
                        theirs.append(measured([peer, "-x", str(place), "-R"]))
                label = f"{nodes:>5} x {resources:<10} {situation:9}"
                print(label, row(place, mine, theirs), flush=True)


def row(place: Path, mine: list[Measured], theirs: list[Measured]) -> str:
    best = min(mine, key=lambda run: run.seconds)
    elements = sum(place.read_bytes().count(mark) for mark in COUNTED)
    text = f"{best.seconds:8.2f} {best.memory:5} {1e6 * best.seconds / elements:8.1f}"
    if theirs:
        other = min(theirs, key=lambda run: run.seconds)
        mark = ">" if other.ended else ""
        ratio = "<" if other.ended else ""
        text += f" {mark + format(other.seconds, '.2f'):>8} {other.memory:5}"
        text += f" {ratio + format(best.seconds / other.seconds, '.3f'):>7}"
    return text


if __name__ == "__main__":
    main()
