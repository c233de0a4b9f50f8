"""A director for packets that go through the XDP program one by one."""

from collections.abc import Iterator

import pytest
from tests.netns import xdp_bench as bench
from tests.netns.xdp_bench import Director

from standfest.model.forwarding import DeleteService


@pytest.fixture(scope="module")
def xdp_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Director]:
    """One director for a module's tests, in a network namespace of its own."""
    path = tmp_path_factory.mktemp("xdp") / "bpf"
    with bench.bpf_directory(path) as directory, bench.own_namespace():
        director = Director(directory, bench.build_director())
        yield director
        director.close()


@pytest.fixture
def xdp_director(xdp_shared: Director) -> Director:
    """The director, without any service."""
    xdp_shared.backend.apply([DeleteService(key) for key in xdp_shared.backend.read()])
    return xdp_shared
