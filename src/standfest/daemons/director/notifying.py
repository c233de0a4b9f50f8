"""Telling operators of changes: log lines, scripts, FIFOs, mail, in keepalived's words.

Source: facts/keepalived/samples (fifo.txt, notify.txt, keepalived.log).
"""

from collections.abc import Callable

from standfest.core.vrrp.effects import Notify, Subject, Told
from standfest.daemons.director.words import Words
from standfest.model.director import DirectorSettings
from standfest.model.vrrp import Command, NotifyCommands

PRIORITY_CHANGES = (Told.MASTER_PRIORITY, Told.BACKUP_PRIORITY)
MAILED = (Told.MASTER, Told.BACKUP, Told.FAULT, Told.STOP)

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
    ) -> None:
        self._words, self._run, self._fifo, self._mail = words, run, fifo, mail
        self._globals = settings.globals
        self._notify: dict[tuple[Subject, str], NotifyCommands] = {}
        self._mails: set[tuple[Subject, str]] = set()
        for subject, some in (
            (Subject.INSTANCE, settings.instances),
            (Subject.GROUP, settings.sync_groups),
        ):
            for one in some:
                self._notify[subject, one.name] = one.notify
                if one.smtp_alert:
                    self._mails.add((subject, one.name))
        self._has_fifo = bool(self._globals.notify_fifo or self._globals.vrrp_notify_fifo)
        self._has_mail = bool(self._globals.mail.recipients)

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
        what = "VRRP group" if told.subject is Subject.GROUP else "VRRP instance"
        holds = "has" if told.state is Told.MASTER else "does not have"
        subject = f"[{self._globals.router_id}] {what} {told.name} is now {told.state.value}"
        body = f"{what} {told.name} on {self._globals.router_id} {holds} its addresses.\n"
        return subject, body


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
