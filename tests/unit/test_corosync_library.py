"""What of corosync's libraries can be tested without a corosync."""

from ctypes import sizeof

import pytest

from standfest.adapters.linux.corosync import library
from standfest.adapters.linux.corosync.nodelist import Nodelist, nodelist
from standfest.model.errors import OperationError
from standfest.model.time import milliseconds


def test_a_missing_library_is_one_line_with_the_package_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library, "LIBRARIES", (("libcpg.so.99", "libcpg4"), *library.LIBRARIES[1:]))
    with pytest.raises(OperationError) as caught:
        library.Libraries()
    line = "libcpg.so.99 cannot be loaded; expected Debian's package libcpg4"
    assert str(caught.value) == line


def test_structures_have_the_sizes_of_the_c_library() -> None:
    # struct cpg_name: 4 + 128; cpg_address: 3 * 4; cpg_ring_id: 4, 4 to align, 8; iovec: 8 + 8;
    # cpg_model_v1_data_t: 4, 4 to align, 3 * 8, 4, 4 to align.
    sizes = [
        sizeof(kind)
        for kind in (
            *(library.Name, library.Address, library.RingId),
            *(library.Buffer, library.GroupCallbacks, library.QuorumCallbacks),
        )
    ]
    assert sizes == [132, 12, 16, 16, 40, 8]


def test_keys_are_names_addresses_and_patience() -> None:
    values: dict[str, str | int] = {
        "nodelist.node.0.nodeid": 1,
        "nodelist.node.0.name": "Alice",
        "nodelist.node.1.nodeid": 2,
        "nodelist.node.1.ring0_addr": "bob",
        "nodelist.node.2.nodeid": 7,
        "nodelist.local_node_pos": 2,
        "nodelist.node.3.ring0_addr": "10.0.0.4",
        "runtime.config.totem.token": 1650,
        "runtime.config.totem.consensus": 1980,
        "runtime.members.7.ip": "r(0) ip(10.0.0.3) r(1) ip(10.1.0.3) ",
    }
    # Node 7 is this one and has no name in the list; the fourth has no number and cannot be heard.
    assert nodelist(values, 7, "carol") == Nodelist(
        ((1, "alice"), (2, "bob"), (7, "carol")),
        ("10.0.0.3", "10.1.0.3"),
        milliseconds(3630),  # 1650 + 1980
    )
