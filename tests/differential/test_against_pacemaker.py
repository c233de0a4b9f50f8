"""Random clusters, scheduled by us and by Debian's crm_simulate: the same transition, the same end.

The situations come in families (tests/generators/clusters.py), each by number, so that they are the
same everywhere. Compared are all operations, their order, and what runs where afterwards. How many
of each family differ is written here, and may shrink; docs/guide/compatibility.md says in what.
"""

import os
import random
import shutil

import pytest
from tests.differential.peer import disagreement
from tests.generators.clusters import FAMILIES, numbered

needs_peer = pytest.mark.skipif(
    shutil.which("crm_simulate") is None, reason="crm_simulate is not installed"
)
EXAMPLES = 25
DIFFERENT = {"everything": 3, "health": 1, "promotion": 1, "tickets": 1}
HUNTED_EXAMPLES = 100
HUNTED_SHARE = 0.2
"""Of one family at the most; a rule that broke shows in most of its family."""


@needs_peer
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_same_transition_as_crm_simulate(family: str) -> None:
    found = [n for n in range(EXAMPLES) if disagreement(numbered(family, n).text())]
    assert len(found) <= DIFFERENT.get(family, 0), f"numbers that differ: {found}"


@needs_peer
@pytest.mark.hunt
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_hunt_for_other_transitions(family: str) -> None:
    source = random.Random(f"{os.environ['STANDFEST_HUNT_SEED']} {family}")
    numbers = [source.randrange(10_000, 10**9) for _ in range(HUNTED_EXAMPLES)]
    found = [n for n in numbers if disagreement(numbered(family, n).text())]
    print(f"\n{family}: {len(found)} of {len(numbers)} differ, e.g. {found[:3]}")
    assert len(found) <= HUNTED_SHARE * len(numbers)
