"""What all tests share: hypothesis profiles (the gate is derandomised, hunts are not), workers.

`./dev test` has two workers. What runs in the lab (real kernels, real time) is one worker's, one
test after the other; the other worker computes, and only when the lab leaves it a core.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
LAB = ("interop", "netns", "uml")

settings.register_profile(
    "gate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "hunt", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("STANDFEST_HYPOTHESIS_PROFILE", "gate"))


def is_in_lab(item: pytest.Item) -> bool:
    """Return whether a test needs the kernel, or the time of day, for itself."""
    directory = item.path.relative_to(TESTS).parts[0]
    return directory in LAB or item.get_closest_marker("userns") is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the lab's tests together."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            if is_in_lab(item):
                item.add_marker(pytest.mark.xdist_group("lab"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the lab go first where workers share the machine."""
    if "PYTEST_XDIST_WORKER" in os.environ and os.geteuid() == 0:
        policy = os.SCHED_OTHER if is_in_lab(item) else os.SCHED_IDLE
        os.sched_setscheduler(0, policy, os.sched_param(0))


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    """Commands that end at once switch the garbage collector off; here the process goes on."""
    yield
    gc.enable()
