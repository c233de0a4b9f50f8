"""Seeded bugs of `pulse` and of what it stands on: liveness, reliable messages, signatures."""

from tests.simulation.bugs.bug import Bug

MACHINE = "standfest.core.membership.machine"
RECEIVER = "standfest.core.membership.receiver"
SENDER = "standfest.core.membership.sender"

BUGS = (
    Bug(
        "deadtime-off-by-one",
        "a node is dead one heartbeat too early",
        MACHINE,
        "        if peer.alive and peer.last_heartbeat + peer.deadtime <= now:",
        "        if peer.alive and peer.last_heartbeat + peer.deadtime"
        " - self._settings.keepalive <= now:",
    ),
    Bug(
        "deadtime-in-decimal",
        "the announced deadtime is hexadecimal, and read as decimal",
        MACHINE,
        'announced = parse_number(message.text("dt"), 16)',
        'announced = parse_number(message.text("dt"), 10)',
    ),
    Bug(
        "any-message-is-life",
        "a payload counts as a heartbeat, so a node lives longer than it beats",
        MACHINE,
        "        effects += self._in_order(now, wall, peer)\n        if number %",
        "        peer.last_heartbeat = now\n"
        "        effects += self._in_order(now, wall, peer)\n        if number %",
    ),
    Bug(
        "numbers-not-begun-anew",
        "after a restart the old sequence numbers are still expected",
        MACHINE,
        "        peer.receiver = self._receiver()\n",
        "",
    ),
    Bug(
        "orderly-leave-forgotten",
        "who says goodbye is waited for like one that fell silent",
        MACHINE,
        '            if kind == "shutdone":',
        '            if kind == "shutdown":',
    ),
    Bug(
        "settled-at-once",
        "nobody waits until the others have been heard or given up",
        MACHINE,
        "        if self._settled or any(peer.status is None for peer in self._peers.values()):",
        "        if self._settled:",
    ),
    Bug(
        "pause-not-noticed",
        "pulse goes on after a pause as if nothing had been",
        MACHINE,
        "        if now < self.dead_at:\n",
        "        if now < self.dead_at or self._spoke:\n",
    ),
    Bug(
        "not-for-us",
        "a message for another node is read as ours",
        MACHINE,
        "        return destination is None or destination == self._name",
        "        return True",
    ),
    Bug(
        "duplicate-delivered",
        "an old number is taken for one that counts anew",
        RECEIVER,
        "        if number < self._expected or number in self._held:\n",
        "        if number < self._expected and number == self.highest:\n"
        "            self._expected = number\n"
        "        if number < self._expected or number in self._held:\n",
    ),
    Bug(
        "gap-not-waited-for",
        "later messages are delivered before a missing one",
        RECEIVER,
        "        while (message := self._held.pop(self._expected, None)) is not None:\n"
        "            self._expected += 1\n"
        "            if message is LOST:\n"
        "                self._pieces.clear()\n"
        "            yield message\n",
        "        for number in sorted(self._held):\n"
        "            self._expected = number + 1\n"
        "            yield self._held.pop(number)\n",
    ),
    Bug(
        "lost-rexmit",
        "what was asked for too often, or is sent no more, is passed over without a word",
        MACHINE,
        "                effects.append(StreamReset(peer.name))\n                continue\n",
        "                continue\n",
    ),
    Bug(
        "damaged-datagram-accepted",
        "a signature is not compared",
        "standfest.wire.signature",
        "    if hmac.compare_digest(token(key.method, key.secret, data), given):",
        "    if token(key.method, key.secret, data)[:0] == given[:0]:",
    ),
)
