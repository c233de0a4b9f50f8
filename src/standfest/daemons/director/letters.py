"""What mail about a change of state says, and the command that sends it (mailer.py)."""

import json
import sys

from standfest.model.director import GlobalSettings
from standfest.model.time import in_seconds
from standfest.model.vrrp import Command

DEFAULT_SERVER = "127.0.0.1"
MAILER = "standfest.daemons.director.mailer"


def command(settings: GlobalSettings, subject: str, body: str) -> Command:
    """Return the command that sends one mail; it must run as the daemon's own user."""
    letter = {
        "server": settings.mail.server or DEFAULT_SERVER,
        "port": settings.mail.port,
        "timeout_s": in_seconds(settings.mail.connect_timeout),
        "helo": settings.mail.helo_name,
        "sender": settings.mail.sender,
        "recipients": settings.mail.recipients,
        "subject": subject,
        "body": body,
    }
    return Command((sys.executable, "-m", MAILER, json.dumps(letter)), "0")
