"""Fence devices and topology, compiled from XML."""

import pytest

from standfest.config.cib import compile_configuration, load
from standfest.model.errors import ConfigError
from standfest.model.fencing import FenceDevice, FencingLevel, FencingPlan
from standfest.model.time import seconds


def pairs(prefix: str, values: dict[str, str]) -> str:
    return "".join(
        f'<nvpair id="{prefix}-{number}" name="{name}" value="{value}"/>'
        for number, (name, value) in enumerate(values.items())
    )


def device(
    parameters: dict[str, str], kind: str = "fence_x", meta: dict[str, str] | None = None
) -> str:
    return (
        f'<primitive id="power" class="stonith" type="{kind}">'
        f'<instance_attributes id="i">{pairs("i", parameters)}</instance_attributes>'
        f'<meta_attributes id="m">{pairs("m", meta or {})}</meta_attributes></primitive>'
    )


def plan(resources: str, more: str = "", options: dict[str, str] | None = None) -> FencingPlan:
    sets = f'<cluster_property_set id="o">{pairs("o", options or {})}</cluster_property_set>'
    text = (
        f"<configuration><crm_config>{sets}</crm_config><resources>{resources}</resources>"
        f"{more}</configuration>"
    )
    return compile_configuration(load([("1.xml", text)]).configuration, "1.xml")[0].fencing


def only(parameters: dict[str, str], kind: str = "fence_x", **meta: str) -> FenceDevice:
    [found] = plan(device(parameters, kind, meta)).devices
    return found


def test_every_special_parameter_has_its_place_and_the_agent_gets_the_rest() -> None:
    assert only(
        {
            "ipaddr": "192.0.2.1",
            "passwd": "x",
            "pcmk_host_map": "alice:1;bob:2,3",
            "pcmk_host_list": "carol, dave",
            "pcmk_host_argument": "plug",
            "pcmk_reboot_action": "cycle",
            "pcmk_off_timeout": "90s",
            "pcmk_on_retries": "4",
            "pcmk_delay_base": "alice:2s;bob:3s",
            "pcmk_delay_max": "10s",
            "pcmk_action_limit": "-1",
            "stonith-timeout": "30s",
            "priority": "7",
        },
        provides="unfencing",
    ) == FenceDevice(
        id="power",
        agent="fence_x",
        parameters=(("ipaddr", "192.0.2.1"), ("passwd", "x")),
        hosts=("alice", "bob", "carol", "dave"),
        ports=(("alice", "1"), ("bob", "2,3")),
        host_argument="plug",
        priority=7,
        words=(("reboot", "cycle"),),
        timeouts=(("off", seconds(90)),),
        tries=(("on", 4),),
        delays=(("alice", seconds(2)), ("bob", seconds(3))),
        delay_max=seconds(10),
        limit=0,
        timeout=seconds(30),
        unfences=True,
    )


@pytest.mark.parametrize(
    ("parameters", "kind", "hosts"),
    [
        ({}, "fence_x", ()),
        ({"pcmk_host_list": "a b", "pcmk_host_check": "none"}, "fence_x", ()),
        ({"pcmk_host_list": "a b", "pcmk_host_check": "static-list"}, "fence_x", ("a", "b")),
        ({"hostlist": "a b"}, "external/ssh", ("a", "b")),
        ({"hostname": "a"}, "external/ipmi", ("a",)),
        ({"hostlist": "a b"}, "fence_x", ()),
    ],
)
def test_whom_a_device_can_fence(
    parameters: dict[str, str], kind: str, hosts: tuple[str, ...]
) -> None:
    assert only(parameters, kind).hosts == hosts


def test_a_device_that_is_switched_off_fences_nobody() -> None:
    assert plan(device({}, meta={"target-role": "Stopped"})).devices == ()


def test_levels_and_cluster_options() -> None:
    topology = (
        '<fencing-topology><fencing-level id="l1" index="2" devices="power" target="alice"/>'
        '<fencing-level id="l2" index="1" devices="power,power" target-pattern="^b.*"/>'
        '<fencing-level id="l3" index="1" devices="power" target-attribute="rack" '
        'target-value="7"/></fencing-topology>'
    )
    found = plan(device({}), topology, {"stonith-timeout": "20s", "stonith-max-attempts": "4"})
    assert found.levels == (
        FencingLevel(2, ("power",), target="alice"),
        FencingLevel(1, ("power", "power"), pattern="^b.*"),
        FencingLevel(1, ("power",), attribute=("rack", "7")),
    )
    assert (found.timeout, found.max_attempts) == (seconds(20), 4)
    assert [level.is_for("bob", {"rack": "7"}) for level in found.levels] == [False, True, True]


@pytest.mark.parametrize(
    ("resources", "topology", "error"),
    [
        (
            device({"pcmk_host_map": "alice"}),
            "",
            "1.xml:1: pcmk_host_map of power has 'alice'; expected NODE:PORT;NODE:PORT",
        ),
        (
            device({"pcmk_host_check": "static-list"}),
            "",
            "1.xml:1: pcmk_host_check of power is static-list, but there is no list; expected "
            "pcmk_host_list or pcmk_host_map",
        ),
        (
            device({"pcmk_reboot_timeout": "soon"}),
            "",
            "1.xml:1: pcmk_reboot_timeout of power is 'soon'; expected a time such as 20s, 500ms, "
            "2min or PT5M",
        ),
        (
            device({}),
            '<fencing-topology><fencing-level id="l" index="1" devices="pwoer" target="a"/>'
            "</fencing-topology>",
            "1.xml:1: l names the device pwoer; expected power",
        ),
        (
            device({}),
            '<fencing-topology><fencing-level id="l" index="12" devices="power" target="a"/>'
            "</fencing-topology>",
            "1.xml:1: index of l is 12; expected 1..9",
        ),
    ],
)
def test_mistakes_are_told(resources: str, topology: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(resources, topology)
    assert str(caught.value).splitlines() == [error]
