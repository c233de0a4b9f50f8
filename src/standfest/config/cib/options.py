"""Names and values of cluster options and meta-attributes: known, misspelt, or without effect.

Those that `compile` turns into values are checked there; sets with rules are looked at here, too.
"""

from collections.abc import Callable, Mapping

from standfest.config.cib import values
from standfest.config.cib.findings import Findings
from standfest.config.cib.names import meant
from standfest.config.cib.vocabulary import (
    EFFECTIVE_META,
    EFFECTIVE_OPTIONS,
    KNOWN_META,
    KNOWN_OPTIONS,
    NO_REMOTE,
    NO_WATCHDOG,
    REMOTE_META,
    RENAMED_OPTIONS,
    SILENT_OPTIONS,
    WATCHDOG_OPTIONS,
)
from standfest.model.element import Element

Parser = Callable[[str], object]


def _one_of(*words: str) -> Parser:
    def parse(text: str) -> object:
        if text.lower() not in words:
            raise ValueError(meant(text, words))
        return text

    return parse


_OPTIONS: Mapping[str, Parser] = {
    "startup-fencing": values.boolean,
    "concurrent-fencing": values.boolean,
    "stonith-action": _one_of("reboot", "off", "poweroff"),
    "stop-orphan-actions": values.boolean,
    "remove-after-stop": values.boolean,
    "placement-strategy": _one_of("default", "utilization", "minimal", "balanced"),
    "node-health-strategy": _one_of(
        "none", "migrate-on-red", "only-green", "progressive", "custom"
    ),
    "node-health-base": values.score,
    "node-health-green": values.score,
    "node-health-yellow": values.score,
    "node-health-red": values.score,
}
_META: Mapping[str, Parser] = {
    "requires": _one_of("nothing", "quorum", "fencing", "unfencing"),
    "multiple-active": _one_of("block", "stop_only", "stop_start", "stop_unexpected"),
    "restart-type": _one_of("ignore", "restart"),
    "allow-migrate": values.boolean,
    "allow-unhealthy-nodes": values.boolean,
    "clone-max": values.instances,
    "clone-node-max": values.count,
    "clone-min": values.count,
    "globally-unique": values.boolean,
    "notify": values.boolean,
    "interleave": values.boolean,
    "promotable": values.boolean,
    "promoted-max": values.count,
    "promoted-node-max": values.count,
    "master-max": values.count,
    "master-node-max": values.count,
}
"""Names that `compile` does not parse -> what their values must be."""


class Names:
    """Notes what is wrong with the names and values in attribute sets."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def options(self, properties: Element) -> None:
        """Look at one set of cluster options."""
        for pair in properties.all("nvpair"):
            written = (pair.get("name") or "").replace("_", "-")
            name = RENAMED_OPTIONS.get(written, written)
            if name in _OPTIONS:
                self._findings.value(pair, name, pair.get("value") or "", _OPTIONS[name], None)
            if name in EFFECTIVE_OPTIONS or name in SILENT_OPTIONS:
                continue
            if name not in KNOWN_OPTIONS:
                problem = f"unknown cluster option {name}"
                self._findings.warn(pair, problem, meant(name, KNOWN_OPTIONS))
                continue
            why = f": {NO_WATCHDOG}" if name in WATCHDOG_OPTIONS else ""
            self._findings.warn(pair, f"cluster option {written} has no effect{why}")

    def meta(self, element: Element) -> None:
        """Look at the meta-attributes of a resource, a template, or the defaults."""
        for attributes in element.all("meta_attributes"):
            for pair in attributes.all("nvpair"):
                self._meta(pair, pair.get("name") or "", pair.get("value") or "")

    def _meta(self, pair: Element, name: str, value: str) -> None:
        if name in _META:
            self._findings.value(pair, name, value, _META[name], None)
        if name in REMOTE_META:
            self._findings.warn(pair, f"meta-attribute {name} has no effect: {NO_REMOTE}")
        elif name not in EFFECTIVE_META:
            self._findings.warn(pair, f"unknown meta-attribute {name}", meant(name, KNOWN_META))
