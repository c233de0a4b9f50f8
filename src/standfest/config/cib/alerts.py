"""`<alerts>` -> whom events are told. A set with a rule does not count: there is no time here.

Source: facts/formats/CIB-MODERN.md section 6; Pacemaker Explained, chapter "Alerts".
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from standfest.config.cib import values
from standfest.config.cib.findings import Findings
from standfest.config.cib.names import meant
from standfest.config.cib.sets import options_of
from standfest.model.alerts import (
    DEFAULT_FORMAT,
    DEFAULT_TIMEOUT,
    UNSELECTED,
    AlertKind,
    AlertTarget,
)
from standfest.model.element import Element
from standfest.model.time import Duration

META = ("enabled", "timeout", "timestamp-format")
_SELECTED = {
    "select_nodes": AlertKind.NODE,
    "select_fencing": AlertKind.FENCING,
    "select_resources": AlertKind.RESOURCE,
    "select_attributes": AlertKind.ATTRIBUTE,
}
T = TypeVar("T")


def compile_alerts(configuration: Element) -> tuple[AlertTarget, ...]:
    """Return whom events are told, in the document's order; one without an absolute path: nobody.

    What cannot be understood counts as not written: `check` warns of it.
    """
    return tuple(target for alert in alerts_of(configuration) for target in _targets(alert))


def alerts_of(configuration: Element) -> tuple[Element, ...]:
    """Return every `<alert>`, in the document's order."""
    section = configuration.child("alerts")
    return tuple(section.all("alert")) if section is not None else ()


def check(configuration: Element, findings: Findings) -> None:
    """Warn of what has no effect as it is written."""
    for alert in alerts_of(configuration):
        path = alert.get("path") or ""
        if not path.startswith("/"):
            problem = f"alert {alert.id}: path {path!r}: it is never called"
            findings.warn(alert, problem, "an absolute path")
        for holder in (alert, *alert.all("recipient")):
            _check_meta(holder, findings)


def _check_meta(holder: Element, findings: Findings) -> None:
    for attributes in (*holder.all("meta_attributes"), *holder.all("instance_attributes")):
        if attributes.child("rule") is not None:
            findings.warn(attributes, f"{attributes.id} has a rule: it does not count for alerts")
    for attributes in holder.all("meta_attributes"):
        for pair in attributes.all("nvpair"):
            name, text = pair.get("name") or "", pair.get("value") or ""
            problem = f"{name} of {holder.tag} {holder.id}"
            if name not in META:
                findings.warn(pair, f"{problem} has no effect", meant(name, META))
                continue
            parse = {"enabled": values.boolean, "timeout": _positive}.get(name, str)
            try:
                parse(text)
            except ValueError as error:
                findings.warn(pair, f"{problem} is {text!r}: it does not count", str(error))


def _targets(alert: Element) -> list[AlertTarget]:
    path = alert.get("path") or ""
    meta = options_of(alert, "meta_attributes")
    if not path.startswith("/") or not _enabled(meta):
        return []
    environment = options_of(alert, "instance_attributes")
    kinds, names = _selected(alert)

    def target(own: Mapping[str, str], more: Mapping[str, str], **named: str) -> AlertTarget:
        settled = {**meta, **own}
        return AlertTarget(
            alert.id,
            path,
            **named,
            timeout=_parsed(settled, "timeout", _positive, DEFAULT_TIMEOUT),
            timestamp_format=settled.get("timestamp-format") or DEFAULT_FORMAT,
            kinds=kinds,
            names=names,
            environment=tuple(sorted({**environment, **more}.items())),
        )

    recipients = tuple(alert.all("recipient"))
    if not recipients:
        return [target({}, {})]
    found = []
    for recipient in recipients:
        own = options_of(recipient, "meta_attributes")
        more = options_of(recipient, "instance_attributes")
        if _enabled(own):
            value = recipient.get("value") or ""
            found.append(target(own, more, recipient=recipient.id, value=value))
    return found


def _selected(alert: Element) -> tuple[frozenset[AlertKind], frozenset[str]]:
    """Return the kinds of events, and the names of attributes, that an alert asks for."""
    select = alert.child("select")
    if select is None:
        return UNSELECTED, frozenset()
    kinds = frozenset(_SELECTED[part.tag] for part in select.children if part.tag in _SELECTED)
    attributes = select.child("select_attributes")
    named = attributes.all("attribute") if attributes is not None else ()
    return kinds, frozenset(attribute.get("name") or "" for attribute in named)


def _enabled(meta: Mapping[str, str]) -> bool:
    return _parsed(meta, "enabled", values.boolean, fallback=True)


def _positive(text: str) -> Duration:
    found = values.duration(text)
    if found <= 0:
        raise ValueError("a time such as 30s")
    return found


def _parsed(meta: Mapping[str, str], name: str, parse: Callable[[str], T], fallback: T) -> T:
    try:
        return parse(meta[name]) if name in meta else fallback
    except ValueError:
        return fallback
