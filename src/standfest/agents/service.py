"""`Service`, alias `GentooService`: any init script or systemd unit, made to obey the rules.

Init scripts of some distributions return codes that are not LSB's: Gentoo's of 2008 said 1 for a
stopped service, where a cluster takes 1 for a failure. Here the answer to `status` decides alone.
Source: TUM-I0828 section 5.2.5 and appendix B.3; LSB 5.0, "Init Script Actions".
"""

import re

from standfest.agents.kit import Agent, AgentError, Parameter, Timeouts
from standfest.model.operations import ExitCode
from standfest.ports.host import Host

INIT_DIRECTORY = "/etc/init.d"
SYSTEMD_DIRECTORY = "/run/systemd/system"
SYSTEMCTL = "/usr/bin/systemctl"
ACTION_TIMEOUT_S = 300.0
"""Longer than any sensible operation timeout: the cluster ends us first, with all our children."""
SETTLE_S = 3.0
POLL_S = 0.02
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,127}", re.ASCII)


class Service(Agent):
    """One service of the operating system."""

    name = "Service"
    short = "Service with an init script or a systemd unit"
    long = (
        "Starts, stops and watches /etc/init.d/SERVICE, or the systemd unit of that name if there "
        "is no such script. Exit codes that are not LSB's are repaired: only what the service's "
        "status says counts, after start and stop too."
    )
    parameters = (
        Parameter("service", "Name of the init script or unit", required=True, unique=True),
    )
    timeouts = Timeouts(30, 30, 30)

    def validate(self, host: Host) -> None:
        """Check the name, and that there is such a service."""
        super().validate(host)
        name = self.required("service")
        if not _NAME.fullmatch(name):
            reason = f"service is {name!r}; expected the name of an init script or unit"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason)

    def start(self, host: Host) -> ExitCode:
        """Start, and come back when `status` confirms it."""
        if self.monitor(host) is ExitCode.OK:
            return ExitCode.OK
        status, output = self._call(host, "start")
        if self._becomes(host, ExitCode.OK, patient=status == 0):
            return ExitCode.OK
        raise AgentError(ExitCode.GENERIC, _reason("start", status, output))

    def stop(self, host: Host) -> ExitCode:
        """Stop, and come back when `status` confirms it."""
        try:
            if self.monitor(host) is ExitCode.NOT_RUNNING:
                return ExitCode.OK
        except AgentError as error:
            if error.code is ExitCode.NOT_INSTALLED:
                return ExitCode.OK  # what is not there does not run
        status, output = self._call(host, "stop")
        if self._becomes(host, ExitCode.NOT_RUNNING, patient=status == 0):
            return ExitCode.OK
        raise AgentError(ExitCode.GENERIC, _reason("stop", status, output))

    def monitor(self, host: Host) -> ExitCode:
        """0 is running; 1, 2 and 3 are stopped, whatever the script means by them; others fail."""
        status, output = self._call(host, "status")
        if status == 0:
            return ExitCode.OK
        if status in (1, 2, 3):
            return ExitCode.NOT_RUNNING
        raise AgentError(ExitCode.GENERIC, _reason("status", status, output))

    def _call(self, host: Host, action: str) -> tuple[int, str]:
        name = self.required("service")
        script = f"{INIT_DIRECTORY}/{name}"
        if host.is_executable(script):
            return host.run([script, action], ACTION_TIMEOUT_S)
        if host.is_directory(SYSTEMD_DIRECTORY) and host.is_executable(SYSTEMCTL):
            verb = "is-active" if action == "status" else action
            return host.run([SYSTEMCTL, verb, "--", f"{name}.service"], ACTION_TIMEOUT_S)
        raise AgentError(
            ExitCode.NOT_INSTALLED, f"no init script {script} and no systemd to ask for {name}"
        )

    def _becomes(self, host: Host, wanted: ExitCode, *, patient: bool) -> bool:
        """Return whether `status` says so now, or soon where the action claimed success."""
        waited = 0.0
        while self.monitor(host) is not wanted:
            if not patient or waited >= SETTLE_S:
                return False
            host.sleep(POLL_S)
            waited += POLL_S
        return True


def _reason(action: str, status: int, output: str) -> str:
    last = output.splitlines()[-1] if output else "no output"
    return f"{action} exited {status}: {last}"
