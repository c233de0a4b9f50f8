"""Runs a real Pacemaker cluster of two nodes in ../shared's rig, and saves the CIB that it wrote.

Run as `python -m tests.interop.pacemaker_cib RIG FOLDER`: FOLDER gets the rig's own files, and
cib.xml. The rig takes everything away that it has made.
"""

import importlib
import sys
import time
from pathlib import Path

LIMIT_S = 60


def main() -> int:
    """Return 0 when the group runs and its monitors have reported."""
    rig_folder, folder = sys.argv[1:]
    sys.path.insert(0, rig_folder)
    peer = importlib.import_module("failover_rig")
    vars(peer)["HERE"] = folder  # it would write beside itself
    rig, stack = peer.Rig(2, tag="cib"), peer.Pacemaker(dc_deadtime="2s")
    try:
        rig.up()
        stack.prepare(rig)
        for node in rig.nodes:
            stack.start(node)
        end = time.monotonic() + LIMIT_S
        text = ""
        while 'id="svc_monitor_1000"' not in text and time.monotonic() < end:
            time.sleep(0.5)
            text = rig.nodes[0].run("cibadmin", "-Q")
        time.sleep(2)
        text = rig.nodes[0].run("cibadmin", "-Q")
        Path(folder, "cib.xml").write_text(text, encoding="utf-8")
        return 0 if 'id="svc_monitor_1000"' in text else 1
    finally:
        rig.down()
        rig.forget()


if __name__ == "__main__":
    sys.exit(main())
