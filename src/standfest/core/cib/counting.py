"""The version of a CIB after a change: what Pacemaker's file tools count.

Source: facts/formats/CIB-STATUS.md section 6.
"""

from standfest.model.element import Element

VERSION = ("admin_epoch", "epoch", "num_updates")


def rank_of(cib: Element) -> tuple[int, int, int]:
    """Return (admin_epoch, epoch, num_updates); what is no number counts as 0."""
    admin_epoch, epoch, num_updates = (_number(cib.get(name)) for name in VERSION)
    return admin_epoch, epoch, num_updates


def same(one: Element | None, other: Element | None) -> bool:
    """Return whether two elements say the same: the order of attributes does not count."""
    if one is None or other is None:
        return one is other
    stack = [(one, other)]
    while stack:
        left, right = stack.pop()
        if left is right:
            continue
        if left.tag != right.tag or left.text != right.text:
            return False
        if left.attributes != right.attributes and dict(left.attributes) != dict(right.attributes):
            return False
        if len(left.children) != len(right.children):
            return False
        stack.extend(zip(left.children, right.children, strict=True))
    return True


def counted(before: Element, after: Element) -> Element:
    """Return `after` with the version that the change gives it; `before` when nothing changed.

    A changed <configuration> adds one to the epoch that `after` states and begins num_updates at 0;
    any other change adds one to num_updates.
    """
    if same(before, after):
        return before
    _, epoch, num_updates = rank_of(after)
    if not same(before.child("configuration"), after.child("configuration")):
        return after.with_attribute("epoch", str(epoch + 1)).with_attribute("num_updates", "0")
    return after.with_attribute("num_updates", str(num_updates + 1))


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
