"""Telling operators of changes: log lines, scripts, FIFOs, mail, in keepalived's words.

Source: facts/keepalived/samples (fifo.txt, notify.txt, keepalived.log).
"""

from collections.abc import Callable, Iterable

from standfest.core.vrrp.effects import Alert, Notify, Subject, Told, Warned
from standfest.daemons.director.words import Words
from standfest.model.director import DirectorSettings
from standfest.model.vrrp import Command, InstanceSettings, NotifyCommands, SyncGroup

PRIORITY_CHANGES = (Told.MASTER_PRIORITY, Told.BACKUP_PRIORITY)
MAILED = (Told.MASTER, Told.BACKUP, Told.FAULT)
MAILED_ALERTS = (Warned.DUPLICATE_ADDRESS, Warned.OWNER_CONFLICT, Warned.YIELDED)
"""What makes two owners, or nearly: worth a mail of its own."""

Run = Callable[[str, Command], None]


class Notifier:
    """Knows who wants to be told what."""

    def __init__(
        self,
        settings: DirectorSettings,
        words: Words,
        *,
        run: Run,
        fifo: Callable[[str], None],
        mail: Callable[[str, str], None],
        before: DirectorSettings | None = None,
    ) -> None:
        """Know these settings, and of those before who is told of an end."""
        self._words, self._run, self._fifo, self._mail = words, run, fifo, mail
        self._globals = settings.globals
        self._notify: dict[tuple[Subject, str], NotifyCommands] = {}
        self._mails: set[tuple[Subject, str]] = set()
        for known in (before, settings):
            if known is not None:
                self._learn(Subject.INSTANCE, known.instances)
                self._learn(Subject.GROUP, known.sync_groups)
        self._has_fifo = bool(self._globals.notify_fifo or self._globals.vrrp_notify_fifo)
        self._has_mail = bool(self._globals.mail.recipients)

    def _learn(self, subject: Subject, some: Iterable[InstanceSettings | SyncGroup]) -> None:
        for one in some:
            who = (subject, one.name)
            self._notify[who] = one.notify
            if one.smtp_alert:
                self._mails.add(who)
            else:
                self._mails.discard(who)

    def tell(self, told: Notify) -> None:
        """Tell everybody who wants to know, in this order: log, FIFOs, scripts, mail."""
        self._words.say(_line(told))
        who = (told.subject, told.name)
        if self._has_fifo:
            self._fifo(f'{told.subject.value} "{told.name}" {told.state.value} {told.priority}')
        self._run_scripts(told, self._notify.get(who, NotifyCommands()))
        wanted = told.state in MAILED and (
            told.state is not Told.FAULT or self._globals.mail.faults
        )
        if wanted and self._has_mail and who in self._mails:
            self._mail(*self._letter(told))

    def alert(self, alert: Alert, line: str) -> None:
        """Tell of what the protocol cannot mend: in the log, and by mail what may be two owners."""
        self._words.warn(line)
        if alert.kind in MAILED_ALERTS and (Subject.INSTANCE, alert.instance) in self._mails:
            what = alert.kind.value.replace("-", " ")
            router = self._globals.router_id
            subject = f"[{router}] VRRP Instance {alert.instance} - {what}"
            if self._has_mail:
                self._mail(subject, f"On {router}: {line}.\n")

    def _run_scripts(self, told: Notify, notify: NotifyCommands) -> None:
        key = f"{told.subject.value} {told.name}"
        specific = {
            Told.MASTER: notify.master,
            Told.BACKUP: notify.backup,
            Told.FAULT: notify.fault,
            Told.STOP: notify.stop,
            Told.DELETED: notify.deleted,
            Told.MASTER_RX_LOWER_PRI: notify.master_rx_lower_priority,
        }.get(told.state)
        if specific is not None:
            self._run(key, specific)
        if notify.any is not None and told.state not in PRIORITY_CHANGES:
            four = (told.subject.value, told.name, told.state.value, str(told.priority))
            words = (*notify.any.words, *four)
            self._run(key, Command(words, notify.any.user, notify.any.group))

    def _letter(self, told: Notify) -> tuple[str, str]:
        """Return subject, as keepalived's users filter for it, and text."""
        what = "VRRP Group" if told.subject is Subject.GROUP else "VRRP Instance"
        holds = "has" if told.state is Told.MASTER else "does not have"
        router, state = self._globals.router_id, told.state.value
        subject = f"[{router}] {what} {told.name} - Entering {state} state"
        return subject, f"{told.name} on {router} {holds} its addresses now ({state}).\n"


def _line(told: Notify) -> str:
    name, state = told.name, told.state.value
    if told.subject is Subject.GROUP:
        return f"VRRP_Group({name}) Syncing instances to {state} state"
    if told.state in PRIORITY_CHANGES:
        return f"({name}) Changing effective priority to {told.priority}"
    if told.state is Told.MASTER_RX_LOWER_PRI:
        return f"({name}) Received advert from a lower priority router"
    if told.state in (Told.STOP, Told.DELETED):
        return f"({name}) {state}"
    return f"({name}) Entering {state} STATE"
