"""A patch between two CIBs as lines for people, as `crm_shadow --diff` shows it.

Source: crm_shadow 2.1.5 by experiment.
"""

from collections.abc import Iterator

from standfest.core.cib.printed import formatted
from standfest.model.element import Element


def lines(patch: Element) -> list[str]:
    """Return the lines of a <diff format="2">."""
    return [*_versions(patch), *(line for one in patch.all("change") for line in _change(one))]


def _versions(patch: Element) -> Iterator[str]:
    version = patch.child("version")
    if version is None:
        return
    numbers = [
        ".".join(side.get(name) or "0" for name in ("admin_epoch", "epoch", "num_updates"))
        for side in version.children
    ]
    if len(numbers) == 2 and numbers[0] != numbers[1]:
        yield f"Diff: --- {numbers[0]} 2"
        yield f"Diff: +++ {numbers[1]} {patch.get('digest') or '(null)'}"
    else:
        yield f"  : Local-only Change: {numbers[0]}"


def _change(change: Element) -> Iterator[str]:
    path = change.get("path") or ""
    match change.get("operation"):
        case "delete":
            yield f"-- {path}"
        case "move":
            yield f"+~ {path} moved to offset {change.get('position')}"
        case "create":
            margin = f"++ {path}:  "
            for element in change.children:
                for line in formatted(element).splitlines():
                    yield f"{margin}{line}"
                    margin = f"++ {' ' * (len(path) + 3)}"
        case _:
            yield from _modified(change, path)


def _modified(change: Element, path: str) -> Iterator[str]:
    listed = change.child("change-list")
    attributes = listed.children if listed is not None else ()
    changed = [
        f"@{one.get('name')}={one.get('value')}"
        for one in attributes
        if one.get("operation") == "set"
    ]
    gone = [f"@{one.get('name')}" for one in attributes if one.get("operation") == "unset"]
    if changed:
        yield f"+  {path}:  {', '.join(changed)}"
    if gone:
        yield f"-- {path}:  {', '.join(gone)}"
