"""Fence devices and their topology: stonith-class primitives as `model.fencing` values.

Source: facts/formats/CIB-MODERN.md sections 2 and 5; cluster-glue's parameter `hostlist`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from standfest.config.cib import values
from standfest.config.cib.findings import Findings
from standfest.model.configuration import ClusterOptions, Primitive, TargetRole
from standfest.model.element import Element
from standfest.model.fencing import FenceDevice, FencingLevel, FencingPlan, is_for_agents
from standfest.model.time import Duration

ACTIONS = ("reboot", "off", "on", "monitor", "status", "list")
HOST_CHECKS = ("static-list", "dynamic-list", "status", "none")
MAX_INDEX = 9
_SEPARATORS = re.compile(r"[,;\s]+")
T = TypeVar("T")


def compile_plan(
    configuration: Element,
    primitives: Iterable[tuple[Element, Primitive, Mapping[str, str]]],
    options: ClusterOptions,
    findings: Findings,
) -> FencingPlan:
    """Return all devices and levels. primitives: as written, as compiled, and its meta-attributes.

    A device that is switched off by its target-role fences nobody.
    """
    known = []
    devices = []
    for written, primitive, meta in primitives:
        if primitive.agent.standard == "stonith":
            device = _Reader(written, primitive, findings).device(meta)
            known.append(device.id)
            if primitive.options.target_role is not TargetRole.STOPPED:
                devices.append(device)
    section = configuration.child("fencing-topology")
    levels = [
        _level(element, known, findings)
        for element in (section.all("fencing-level") if section is not None else ())
    ]
    return FencingPlan(
        tuple(devices),
        tuple(level for level in levels if level is not None),
        options.stonith_timeout,
        options.stonith_max_attempts,
    )


class _Reader:
    """Reads the special parameters of one device."""

    def __init__(self, written: Element, primitive: Primitive, findings: Findings) -> None:
        self._written = written
        self._primitive = primitive
        self._findings = findings
        self._given = dict(primitive.parameters)

    def device(self, meta: Mapping[str, str]) -> FenceDevice:
        """Return the device."""
        given, primitive = self._given, self._primitive
        ports = self._ports(given.get("pcmk_host_map", ""))
        listed = _words(given.get("pcmk_host_list", ""))
        if primitive.agent.type.startswith("external/") and not ports and not listed:
            listed = _words(given.get("hostlist", given.get("hostname", "")))
        hosts = tuple(sorted({*listed, *dict(ports)}))
        words = {a: given[f"pcmk_{a}_action"] for a in ACTIONS if f"pcmk_{a}_action" in given}
        return FenceDevice(
            id=primitive.id,
            agent=primitive.agent.type,
            parameters=tuple(pair for pair in primitive.parameters if is_for_agents(pair[0])),
            hosts=hosts if self._check(hosts) == "static-list" else (),
            ports=tuple(sorted(ports)),
            host_argument=given.get("pcmk_host_argument", ""),
            priority=self._read("priority", values.score, meta.get("priority", "0")),
            words=tuple(sorted(words.items())),
            timeouts=self._per_action("timeout", values.duration),
            tries=self._per_action("retries", values.count),
            delays=self._delays(given.get("pcmk_delay_base", "")),
            delay_max=self._read("pcmk_delay_max", values.duration, "0"),
            limit=max(0, self._read("pcmk_action_limit", values.score, "1")),
            timeout=self._read("stonith-timeout", values.duration, "0"),
            unfences=meta.get("provides") == "unfencing",
        )

    def _read(self, name: str, parse: Callable[[str], T], fallback: str) -> T:
        text = self._given.get(name, fallback)
        return self._findings.value(self._written, name, text, parse, parse("0"))

    def _per_action(self, what: str, parse: Callable[[str], T]) -> tuple[tuple[str, T], ...]:
        names = ((action, f"pcmk_{action}_{what}") for action in ACTIONS)
        return tuple((a, self._read(name, parse, "0")) for a, name in names if name in self._given)

    def _check(self, hosts: tuple[str, ...]) -> str:
        """Return how it is known whom the device can fence; asking its agent is not supported."""
        check = self._given.get("pcmk_host_check", "static-list" if hosts else "none")
        who = self._primitive.id
        if check not in HOST_CHECKS:
            expected = ", ".join(HOST_CHECKS)
            self._findings.error(self._written, f"pcmk_host_check of {who} is {check}", expected)
        elif check in ("dynamic-list", "status"):
            problem = f"pcmk_host_check of {who} is {check}: its agent is not asked"
            self._findings.warn(self._written, problem, "pcmk_host_list or pcmk_host_map")
            return "static-list" if hosts else "none"
        elif check == "static-list" and not hosts:
            problem = f"pcmk_host_check of {who} is static-list, but there is no list"
            self._findings.error(self._written, problem, "pcmk_host_list or pcmk_host_map")
        return check

    def _ports(self, text: str) -> tuple[tuple[str, str], ...]:
        """Return node -> port of `alice:1;bob:2,3`; separated by semicolons or spaces."""
        found = []
        for part in re.split(r"[;\s]+", text.strip()):
            node, colon, port = part.partition(":" if ":" in part else "=")
            if colon and node and port:
                found.append((node, port))
            elif part:
                problem = f"pcmk_host_map of {self._primitive.id} has {part!r}"
                self._findings.error(self._written, problem, "NODE:PORT;NODE:PORT")
        return tuple(found)

    def _delays(self, text: str) -> tuple[tuple[str, Duration], ...]:
        """Return node -> delay of `5s` or of `alice:0;bob:5s`."""
        found = []
        for part in re.split(r"[;\s]+", text.strip()):
            if part:
                node, _, delay = part.rpartition(":")
                parsed = self._findings.value(
                    self._written, "pcmk_delay_base", delay, values.duration, 0
                )
                found.append((node, parsed))
        return tuple(found)


def _level(element: Element, known: list[str], findings: Findings) -> FencingLevel | None:
    devices = tuple(_words(element.get("devices") or ""))
    for name in devices:
        if name not in known:
            expected = ", ".join(known) or "the id of a fence device"
            findings.error(element, f"{element.id} names the device {name}", expected)
    index = findings.value(element, "index", element.get("index") or "", values.count, 0)
    if not 1 <= index <= MAX_INDEX:
        findings.error(element, f"index of {element.id} is {index}", f"1..{MAX_INDEX}")
    pattern = element.get("target-pattern") or ""
    try:
        re.compile(pattern)
    except re.error as error:
        findings.error(element, f"target-pattern of {element.id} is {pattern}", str(error))
        return None
    attribute = (element.get("target-attribute") or "", element.get("target-value") or "")
    target = element.get("target") or ""
    if not (target or pattern or attribute[0]):
        findings.error(
            element, f"{element.id} has no target", "target, target-pattern or -attribute"
        )
    return FencingLevel(index, devices, target, pattern, attribute)


def _words(text: str) -> list[str]:
    return [word for word in _SEPARATORS.split(text) if word]
