"""Three real nodes with a CIB of 5 MB: they form a cluster, and a small change stays small."""

import pytest
from tests.netns.cases import run_case

TIMEOUT_S = 300

pytestmark = pytest.mark.slow


def test_one_value_of_five_megabytes_travels_alone() -> None:
    found = run_case("large_case", "one", TIMEOUT_S)
    assert found["bytes"] > 5_000_000
    assert found["accepted"]
    assert found["everywhere"] == [True, True, True]
    # The whole document is 5 MB, packed some 200 KB; heartbeats of 2 s are taken off, not exactly.
    assert found["sent for it"] < 60_000, found
    assert found["memory MB"] < 300, found
