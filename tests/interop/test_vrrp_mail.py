"""Mail: the same letters as keepalived's, and one when somebody else has our address."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.netns import vrrp_lab
from tests.netns.test_director_daemon import ask

SKIP = vrrp_lab.why_not("keepalived")
pytestmark = pytest.mark.skipif(bool(SKIP), reason=SKIP)

VIP, ALIEN_MAC = "10.77.0.100", "02:00:00:00:00:99"
SERVER = """import asyncio
async def serve(reader, writer):
    writer.write(b"220 lab ESMTP\\r\\n")
    inside = False
    letter = []
    while line := await reader.readline():
        text = line.decode().rstrip()
        if inside:
            if text == ".":
                inside = False
                print("|".join(letter), flush=True)
                letter = []
                writer.write(b"250 taken\\r\\n")
            elif text.startswith("Subject: "):
                letter.append(text)
        elif text.upper().startswith(("MAIL FROM", "RCPT TO")):
            letter.append(text.split(" ")[0] + " " + text.split(" ")[1].split("<")[-1])
            writer.write(b"250 well\\r\\n")
        elif text.upper() == "DATA":
            inside = True
            writer.write(b"354 go on\\r\\n")
        elif text.upper() == "QUIT":
            writer.write(b"221 farewell\\r\\n")
            break
        else:
            writer.write(b"250 lab\\r\\n")
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 25)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
CONFIGURATION = f"""global_defs {{
router_id sample
notification_email {{
admin@example.org
second@example.org
}}
notification_email_from director@example.org
smtp_server 127.0.0.1
smtp_connect_timeout 5
}}
vrrp_sync_group VG {{
group {{
VI_1
}}
smtp_alert
}}
vrrp_instance VI_1 {{
interface eth0
version 3
virtual_router_id 51
priority 100
advert_int 0.2
virtual_ipaddress {{
{VIP}/24
}}
smtp_alert
}}
"""
CLAIM = f"""import socket
from standfest.adapters.linux.neighbours import Announcer
from standfest.wire import arp
mac = bytes.fromhex("{ALIEN_MAC.replace(":", "")}")
frame = arp.gratuitous_frame(mac, socket.inet_aton("{VIP}"))
assert Announcer().send("eth0", frame)
"""


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[vrrp_lab.Lan]:
    with vrrp_lab.lan(tmp_path) as made:
        yield made


@contextmanager
def post_office(lan: vrrp_lab.Lan, file: Path) -> Iterator[None]:
    """Take mail on node 1, one line for each letter."""
    command = ["ip", "netns", "exec", lan.first.namespace, sys.executable, "-c", SERVER]
    with file.open("w", encoding="utf-8") as out, subprocess.Popen(command, stdout=out) as server:
        try:
            assert vrrp_lab.until(lambda: "ready" in file.read_text(encoding="utf-8"), 10)
            yield
        finally:
            server.kill()


def letters(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()[1:]


def told(lan: vrrp_lab.Lan, product: str, file: Path) -> list[str]:
    """Return the letters of a start, a cable that is out, and in again."""
    with post_office(lan, file):
        lan.first.start(product, CONFIGURATION)
        assert vrrp_lab.until(lambda: len(letters(file)) == 4, 8), letters(file)
        lan.cut(lan.first)
        assert vrrp_lab.until(lambda: len(letters(file)) == 6, 8), letters(file)
        lan.cut(lan.first, cut=False)
        assert vrrp_lab.until(lambda: len(letters(file)) == 10, 8), letters(file)
        lan.first.stop()
        time.sleep(0.5)
    return letters(file)


def test_the_same_letters_as_keepalived(lan: vrrp_lab.Lan, tmp_path: Path) -> None:
    theirs = told(lan, "keepalived", tmp_path / "theirs")
    ours = told(lan, "standfest", tmp_path / "ours")
    # Those of one change leave side by side: their order is nobody's promise.
    assert sorted(ours) == sorted(theirs)
    assert len(ours) == 10


def test_somebody_else_who_answers_for_our_address_is_named_in_log_mail_and_metric(
    lan: vrrp_lab.Lan, tmp_path: Path
) -> None:
    file = tmp_path / "letters"
    with post_office(lan, file):
        lan.first.start("standfest", CONFIGURATION)
        assert vrrp_lab.until(lambda: lan.owners(VIP) == [1], 8), lan.first.log()
        assert vrrp_lab.until(lambda: len(letters(file)) == 4, 8), letters(file)
        for _ in range(3):
            subprocess.run(
                ["ip", "netns", "exec", lan.second.namespace, sys.executable, "-c", CLAIM],
                check=True,
                env={**os.environ, "PYTHONPATH": vrrp_lab.SOURCE},
            )
        subject = "Subject: [sample] VRRP Instance VI_1 - duplicate address"
        assert vrrp_lab.until(lambda: any(subject in one for one in letters(file)), 8)
        assert sum(subject in one for one in letters(file)) == 1  # once, not with each answer
        assert f"duplicate-address {VIP} ({ALIEN_MAC})" in lan.first.log()
        metric = 'standfest_vrrp_duplicate_address_claims_total{instance="VI_1"} 3\n'
        assert metric in ask(lan.first, "metrics")
        assert 'standfest_vrrp_state{instance="VI_1",state="MASTER"} 1\n' in ask(
            lan.first, "metrics"
        )
        lan.first.signal(signal.SIGTERM)
        lan.first.stop()
