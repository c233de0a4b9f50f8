"""What a change of the configuration comes to: its differences, and the transition it leads to."""

from collections.abc import Iterator
from dataclasses import dataclass

from standfest.analysis import plantext, reasons
from standfest.analysis.follow import follow
from standfest.config import cib as cib_config
from standfest.config import recorded
from standfest.core.cib import provisional, roster
from standfest.core.cib.document import with_section
from standfest.core.cib.patch import Patch, Setting, Step, difference, steps
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.secrets import is_secret

EMPTY = Element("configuration")
INTERRUPTING = frozenset({"stop", "move", "restart", "recover", "demote"})
HIDDEN = "(not shown)"
_OURS = (roster.SET_ID, provisional.SET_ID)


@dataclass(frozen=True, slots=True)
class Plan:
    """differences and transition: lines; interrupted: resources that run and are stopped by it."""

    differences: tuple[str, ...]
    transition: tuple[str, ...]
    interrupted: tuple[str, ...]


def proposed(cib: Element, text: bytes, path: str) -> Element:
    """Return the configuration that a file means: a whole one, or one with its sections in it.

    cib: as it is now. Files in Heartbeat 2's dialect are upgraded. Raises ConfigError.
    """
    root = xml.parse(text, path)
    loaded = cib_config.load([(path, xml.serialise(root))])
    now = cib.child("configuration") or EMPTY
    if root.tag in ("cib", "configuration"):
        found = _with_ours(loaded.configuration, now)
    else:
        section = loaded.configuration.child(root.tag)
        assert section is not None, "load refuses what is no section"
        found = _with_ours(with_section(now, section), now)
    return cib_config.checked(found, path)


def _with_ours(configuration: Element, now: Element) -> Element:
    """Return the configuration with what is not the administrator's to change, as it is now."""
    there = now.child("crm_config")
    kept = tuple(s for s in there.children if s.id in _OURS) if there else ()
    section = configuration.child("crm_config") or Element("crm_config")
    others = tuple(child for child in section.children if child.id not in _OURS)
    return with_section(configuration, section.with_children((*others, *kept)))


def plan(cib: Element, configuration: Element, now: int) -> Plan:
    """Return what it comes to when this becomes the configuration; now: seconds since 1970."""
    before = cib.child("configuration") or EMPTY
    patch = difference(before, configuration)
    lines = tuple(differences(patch, before)) if patch is not None else ()
    children = tuple(
        configuration if child.tag == "configuration" else child for child in cib.children
    )
    text = xml.serialise(cib.with_children(children))
    element, situation = recorded.read(text, "the changed CIB")
    first = next(iter(follow(element, situation, now, ())))
    events = reasons.events(first.cluster)
    stopped = sorted(
        {e.resource for e in events if e.op in INTERRUPTING and e.source and not e.blocked}
    )
    return Plan(lines, tuple(plantext.lines_of(first.cluster)), tuple(stopped))


def differences(patch: Patch, before: Element, path: str = "") -> Iterator[str]:
    """Yield what a patch makes of `before`: `+` what comes, `-` what goes, `~` another value."""
    secret = before.tag == "nvpair" and is_secret(before.get("name") or before.id)
    for setting in patch.settings:
        hidden = HIDDEN if secret and setting.name == "value" else ""
        yield f"~ {path or 'configuration'}: {hidden or _setting(setting)}"
    for drop in patch.drops:
        yield f"- {_below(path, _described(drop.element))}"
    for place in patch.places:
        if place.element is None:
            yield f"~ {_below(path, _short(place.step))}: now number {place.at + 1}"
        else:
            yield f"+ {_below(path, _described(place.element))}"
            yield from (f"+   {line}" for line in _inside(place.element))
    children = dict(steps(before.children))
    for step, inner in patch.inside:
        child = children[step]
        name = f" ({child.get('name')})" if step.tag == "nvpair" and child.get("name") else ""
        yield from differences(inner, child, _below(path, f"{_short(step)}{name}"))


def _inside(element: Element) -> Iterator[str]:
    for inner in element.walk():
        if inner.tag == "nvpair":
            yield _pair(inner)
        elif inner is not element and inner.tag in ("primitive", "group", "op"):
            yield _described(inner)


def _below(path: str, name: str) -> str:
    return f"{path} > {name}" if path else name


def _short(step: Step) -> str:
    return f"{step.tag} {step.id}".rstrip()


def _described(element: Element) -> str:
    if element.tag == "nvpair":
        return f"nvpair {_pair(element)}"
    shown = [element.tag, element.id]
    if element.tag == "primitive":
        agent = (element.get("class"), element.get("provider"), element.get("type"))
        shown.append(":".join(part for part in agent if part))
    else:
        shown += [f"{name}={value}" for name, value in element.attributes if name != "id"]
    return " ".join(word for word in shown if word)


def _pair(pair: Element) -> str:
    name = pair.get("name") or pair.id
    return f"{name}={HIDDEN if is_secret(name) else pair.get('value') or ''}"


def _setting(setting: Setting) -> str:
    before, after = (("none" if v is None else v) for v in (setting.before, setting.after))
    return f"{setting.name} {before} -> {after}"
