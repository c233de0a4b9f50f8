"""The running cluster, as a tool sees it: asked through its daemon's socket on this node."""

from dataclasses import dataclass
from pathlib import Path

import click

from standfest.cli.tools.codes import Exit, ToolError
from standfest.config.cib import older, upgrade, version_of
from standfest.config.cib.schema.validate import validate
from standfest.core.cib.patch import difference
from standfest.daemons.places import Places
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Ground, OperationError
from standfest.runtime import channel, frames
from standfest.runtime.cluster import protocol

EMPTY = Element("configuration")
CODES = {
    Ground.OVERTAKEN: Exit.OLD,
    Ground.NO_QUORUM: Exit.NO_QUORUM,
    Ground.NOT_ALLOWED: Exit.NO_PERMISSION,
    Ground.NO_ANSWER: Exit.TIMEOUT,
    Ground.NO_SUCH: Exit.NO_SUCH,
    Ground.NOT_ONLINE: Exit.DISCONNECTED,
}
"""Ground of a refusal by the cluster -> exit code."""


@dataclass(frozen=True, slots=True)
class LiveSource:
    """The CIB of this node's cluster daemon."""

    run_dir: Path

    @property
    def live(self) -> bool:
        """Return True."""
        return True

    def read(self) -> Element:
        """Return the daemon's CIB as it is now, with the status."""
        answer = ask(self.run_dir, frames.Query("cib-xml"))
        return xml.parse(answer.text, "the cluster's CIB")

    def change(self, before: Element, after: Element) -> None:
        """Have the cluster make `before` `after`: only the configuration, as a whole or not at all.

        What others changed meanwhile elsewhere stays; the cluster counts the version.
        """
        submit(self.run_dir, before, after, tool_name())


def tool_name() -> str:
    """Return which tool this is, for who reads who changed what."""
    ctx = click.get_current_context(silent=True)
    return (ctx.info_name if ctx is not None else None) or "standfest"


def submit(run_dir: Path, before: Element, after: Element, client: str, trial: int = 0) -> str:
    """Have the cluster change its configuration; returns its sentence, raises ToolError.

    client: by which tool; trial: seconds after which it is taken back unless it is confirmed.
    """
    if before.child("status") != after.child("status"):
        text = "the status is the cluster's own; expected a change of the configuration"
        raise ToolError(Exit.UNSATISFIED, text)
    after = _newer(after)
    old, new = (cib.child("configuration") or EMPTY for cib in (before, after))
    _validate(before, after)
    base, wanted = version_of(before), version_of(after)
    epoch = wanted.admin_epoch if wanted.admin_epoch > base.admin_epoch else 0
    patch = difference(old, new)
    if patch is None and not epoch and wanted.epoch <= base.epoch:
        return "nothing to change"
    return do(run_dir, protocol.ChangeConfiguration(patch, base, epoch, client, trial=trial))


def _newer(cib: Element) -> Element:
    """Return a <cib> of an older schema as the cluster keeps it; says on stderr what is lost."""
    if not older.is_older(cib):
        return cib
    for loss in older.losses(cib.child("configuration") or EMPTY, "CIB"):
        click.echo(str(loss), err=True)
    return older.upgraded(cib).with_attribute("validate-with", upgrade.TARGET)


def _validate(before: Element, after: Element) -> None:
    """Refuse what the schema does not allow, unless it did not allow what was, either.

    Done here and not by the daemon: of a CIB of 5 MB it takes longer than a heartbeat may wait.
    """
    found = validate(after, "CIB")
    if found and not validate(before, "CIB"):
        raise ToolError(Exit.CONFIG, str(ConfigError(*found)))


def do(run_dir: Path, request: protocol.CibRequest) -> str:
    """Have the cluster do something; returns its sentence; raises ToolError."""
    content = protocol.encode_request(request).decode()
    answer = ask(run_dir, frames.Command("cib", how=content))
    if not answer.accepted:
        raise ToolError(CODES.get(answer.ground, Exit.CONFIG), answer.text)
    return answer.text


def ask(run_dir: Path, value: frames.Query | frames.Command) -> frames.Reply:
    """Return the cluster daemon's answer; raises ToolError without a daemon.

    So it does when a query is refused; what becomes of a command is the caller's to say.
    """
    try:
        answer = channel.request(Places(run_dir=run_dir).cluster_socket, value)
    except OperationError as error:
        raise ToolError(Exit.DISCONNECTED, f"Could not connect to the cluster: {error}") from error
    assert isinstance(answer, frames.Reply), "the daemon answers with a Reply"
    if isinstance(value, frames.Query) and not answer.accepted:
        raise ToolError(Exit.NO_PERMISSION, answer.text)
    return answer
