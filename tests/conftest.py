"""What all tests share: hypothesis profiles (the gate is derandomised, hunts are not)."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "gate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "hunt", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("STANDFEST_HYPOTHESIS_PROFILE", "gate"))


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    """Commands that end at once switch the garbage collector off; here the process goes on."""
    yield
    gc.enable()
