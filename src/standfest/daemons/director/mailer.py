"""Mail about changes of state, sent by a process of its own that ends when it is sent.

Run as `python -m standfest.daemons.director.mailer`, so that neither director nor helper ever
imports what a mail needs. Plain SMTP, as keepalived's users have it configured.
"""

import asyncio
import json
import os
import sys
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import aiosmtplib


async def send(letter: dict[str, object]) -> None:
    """Send one mail; raises aiosmtplib.SMTPException or OSError."""
    message = EmailMessage()
    message["From"] = str(letter["sender"])
    recipients = [str(one) for one in letter["recipients"]]  # type: ignore[attr-defined]
    message["To"] = ", ".join(recipients)
    message["Subject"] = str(letter["subject"])
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid()
    message["X-Mailer"] = "Standfest"
    message.set_content(str(letter["body"]))
    await aiosmtplib.send(
        message,
        hostname=str(letter["server"]),
        port=int(str(letter["port"])),
        timeout=float(str(letter["timeout_s"])),
        local_hostname=str(letter["helo"]) or os.uname().nodename,
        start_tls=None,
        recipients=recipients,
    )


def main() -> None:
    """Send the mail of the first argument; exit status 1 says that it was not sent."""
    try:
        asyncio.run(send(json.loads(sys.argv[1])))
    except Exception as error:  # whatever it is, the helper says that no mail went out
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
