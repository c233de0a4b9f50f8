"""`./dev bench scheduler`: `standfest simulate` beside `crm_simulate -R`, whole processes.

The CIBs are made by the suite's gen_synth.py, which has to be in ../shared. Printed are seconds,
resident memory and the ratio to crm_simulate in the same run; the large cluster without it.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SITUATIONS = ("steady", "lost", "drain", "cold")


def generator() -> Path:
    for parent in Path(__file__).resolve().parents:
        found = parent / "shared/suites/scheduler/tools/gen_synth.py"
        if found.is_file():
            return found
    raise SystemExit("bench scheduler: gen_synth.py is not here; expected ../shared/suites")


def measured(words: list[str]) -> tuple[float, int]:
    """Return seconds and the peak of resident memory in MiB."""
    begun = time.monotonic()
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(words, stdout=nowhere, stderr=nowhere)
        _, _, usage = os.wait4(process.pid, 0)
    assert isinstance(usage, resource.struct_rusage)
    return time.monotonic() - begun, usage.ru_maxrss // 1024


def main() -> None:
    make = generator()
    peer = shutil.which("crm_simulate")
    ours = str(Path(sys.executable).with_name("standfest"))
    runs = 3
    print(
        f"{'nodes x resources':18} {'situation':9} {'ours':>8} {'MiB':>5} {'peer':>8} {'ratio':>6}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for nodes, resources in ((8, 100), (16, 1000), (32, 5000)):
            for situation in SITUATIONS:
                place = f"{folder}/cib.xml"
                words = [sys.executable, str(make), str(nodes), str(resources), situation, place]
                subprocess.run(words, check=True)
                alone = peer is None or resources > 1000
                mine, theirs, memory = [], [], 0
                for _ in range(1 if alone else runs):  # alternating: both see the same noise
                    seconds, memory = measured([ours, "simulate", place])
                    mine.append(seconds)
                    if not alone and peer is not None:
                        theirs.append(measured([peer, "-x", place, "-R"])[0])
                best = min(mine)
                line = f"{nodes:>5} x {resources:<10} {situation:9} {best:8.2f} {memory:5}"
                if theirs:
                    line += f" {min(theirs):8.2f} {best / min(theirs):6.2f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
