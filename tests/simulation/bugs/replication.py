"""Seeded bugs of the copies of the configuration, in memory and on disk."""

from tests.simulation.bugs.bug import Bug

REPLICA = "standfest.core.cib.replica"
STORED = "standfest.runtime.cluster.stored"
WHOLE = "standfest.model.wholefile"
LEDGER = "standfest.runtime.cluster.ledger"

BUGS = (
    Bug(
        "acknowledged-unsaved",
        "a follower says that it has a change on disk, and has not written it",
        REPLICA,
        "        return [Persist(after), Publish(Stored(update.term, after.version), sender)]",
        "        return [Publish(Stored(update.term, after.version), sender)]",
    ),
    Bug(
        "acknowledged-before-save",
        "a follower says that it has a change on disk before it writes it",
        REPLICA,
        "        return [Persist(after), Publish(Stored(update.term, after.version), sender)]",
        "        return [Publish(Stored(update.term, after.version), sender), Persist(after)]",
    ),
    Bug(
        "acknowledged-before-sync",
        "a document is renamed into place, and its folder not synced",
        WHOLE,
        "    files.rename(name + TEMPORARY, name)\n    files.sync()\n",
        "    files.rename(name + TEMPORARY, name)\n",
    ),
    Bug(
        "acknowledged-alone",
        "a change counts as kept as soon as the coordinator has it",
        REPLICA,
        "        self._unstored[after.version] = set(self.members)\n",
        "        self._unstored[after.version] = set()\n",
    ),
    Bug(
        "one-copy-is-enough",
        "the first member that has a change on disk answers for all",
        REPLICA,
        "                missing.discard(sender)\n",
        "                missing.clear()\n",
        nodes=(5, 3),
    ),
    Bug(
        "synchronised-unsaved",
        "a whole configuration is taken over and not written to disk",
        REPLICA,
        "        return [Persist(self.cib), stored]",
        "        return [stored]",
    ),
    Bug(
        "status-lost-on-the-way",
        "a member that joins gets the configuration without its status",
        REPLICA,
        "        self.cib = Cib(sync.version, sync.configuration, sync.status, sync.written,"
        " sync.author)\n",
        "        self.cib = Cib(\n"
        "            sync.version, sync.configuration, before.status, sync.written\n"
        "        )\n",
    ),
    Bug(
        "older-configuration-wins",
        "a newer configuration that a member brings is ignored",
        "standfest.runtime.cluster.coordinator",
        "        newer = rank(version, written) > self.ledger.replica.rank\n",
        "        newer = rank(version, written) < self.ledger.replica.rank\n",
    ),
    Bug(
        "term-not-kept-with-it",
        "a restarted daemon has forgotten in which term its configuration was written",
        STORED,
        "_number(element.get(WRITTEN))",
        "0",
    ),
    Bug(
        "damaged-file-read",
        "the checksum of a document is not compared",
        WHOLE,
        "    return content if len(raw) >= size and line == _line(content) else None",
        "    return content if len(raw) >= size else None",
    ),
    Bug(
        "never-answered",
        "whoever asked waits for as long as it takes",
        "standfest.runtime.cluster.asks",
        "        self._open[number] = (client, now + ASK_TIMEOUT)\n",
        "        self._open[number] = (client, now + 100 * ASK_TIMEOUT)\n",
    ),
)
