"""All seeded bugs by name."""

from tests.simulation.bugs import deciding, election, membership, replication

BUGS = {
    bug.name: bug for bug in (*membership.BUGS, *election.BUGS, *replication.BUGS, *deciding.BUGS)
}
