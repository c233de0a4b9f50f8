"""The prober of this machine, made for one assignment."""

from standfest.adapters.linux.probes.prober import Probes
from standfest.ports.probes import Report
from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.loop import Loop


def make(loop: Loop, report: Report, assignment: Assignment) -> Probes:
    """Return a prober; files and BFD sessions are not its matter: others tell of them."""
    return Probes(
        loop,
        report,
        tls=assignment.balancer.tls,
        secure_scripts=assignment.globals.script_security,
    )


def reload(prober: Probes, assignment: Assignment) -> None:
    """Take other settings for the probes that begin from now on."""
    prober.reload(tls=assignment.balancer.tls)
