"""A change on trial: what takes it back, and when, as a property set in the configuration itself.

So it survives whatever the change survives, and whoever coordinates then takes it back.
"""

from dataclasses import dataclass

from standfest.core.cib.document import with_section
from standfest.model.element import Element

SET_ID = "standfest-on-trial"
UNTIL, UNDO = "standfest-on-trial-until", "standfest-on-trial-undo"


@dataclass(frozen=True, slots=True)
class Trial:
    """until: seconds since 1970; undo: the patch that takes it back, as text."""

    until: int
    undo: str


def read(configuration: Element) -> Trial | None:
    """Return the change on trial, if there is one."""
    section = configuration.child("crm_config")
    found = next((s for s in section.children if s.id == SET_ID), None) if section else None
    if found is None:
        return None
    values = {pair.get("name"): pair.get("value") or "" for pair in found.children}
    until = values.get(UNTIL, "")
    number = int(until) if until.isascii() and until.isdigit() and len(until) < 16 else 0
    return Trial(number, values.get(UNDO, ""))


def without(configuration: Element) -> Element:
    """Return the configuration with nothing on trial: what was is confirmed."""
    section = configuration.child("crm_config")
    if section is None or all(child.id != SET_ID for child in section.children):
        return configuration
    kept = tuple(child for child in section.children if child.id != SET_ID)
    return with_section(configuration, section.with_children(kept))


def with_trial(configuration: Element, trial: Trial) -> Element:
    """Return the configuration as it is on trial."""
    configuration = without(configuration)
    pairs = tuple(
        Element("nvpair", (("id", name), ("name", name), ("value", value)))
        for name, value in ((UNTIL, str(trial.until)), (UNDO, trial.undo))
    )
    made = Element("cluster_property_set", (("id", SET_ID),), pairs)
    section = configuration.child("crm_config") or Element("crm_config")
    return with_section(configuration, section.with_children((*section.children, made)))
