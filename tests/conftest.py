"""What all tests share: hypothesis profiles (the gate is derandomised, hunts are not), workers.

`./dev test` has three workers. What runs in namespaces of this kernel, by its clock, is one
worker's, one test after the other, and so is what boots kernels of its own; all others compute, and
only when the lab leaves them a core.
"""

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

GROUPS = {"interop": "lab", "netns": "lab", "uml": "kernels"}
"""Directory -> whose tests are never two at a time."""

settings.register_profile(
    "gate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "hunt", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("STANDFEST_HYPOTHESIS_PROFILE", "gate"))


def scope_of(nodeid: str) -> str:
    """Return the group of a test, or the test itself: it may run beside any other."""
    return GROUPS.get(nodeid.split("/")[1], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Give each group to one worker, as one piece of work."""
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = scope_of  # its documentation has it overridden
    return scheduler


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the lab go first where workers share the machine."""
    if "PYTEST_XDIST_WORKER" in os.environ and os.geteuid() == 0:
        policy = os.SCHED_IDLE if scope_of(item.nodeid) == item.nodeid else os.SCHED_OTHER
        os.sched_setscheduler(0, policy, os.sched_param(0))


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    """Commands that end at once switch the garbage collector off; here the process goes on."""
    yield
    gc.enable()
