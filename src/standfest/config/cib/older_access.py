"""Access rules as schemas 1.2 and 1.3 had them -> today's: users become targets with roles.

What becomes of each is what cibadmin 2.1.5 makes of it.
"""

from standfest.model.element import Element
from standfest.model.errors import Finding, Severity

_KINDS = ("read", "write", "deny")


def upgrade(acls: Element) -> Element:
    """Return <acls> with permissions, targets and roles; unchanged where it has these already."""
    children: list[Element] = []
    for child in acls.children:
        children += _user(child) if child.tag == "acl_user" else [_role(child)]
    return acls if tuple(children) == acls.children else acls.with_children(tuple(children))


def losses(configuration: Element, path: str) -> list[Finding]:
    """Return a warning for each rule that says less, or more, than it did."""
    found = []
    for acls in configuration.all("acls"):
        for rule in acls.walk():
            name = rule.get("attribute")
            if rule.tag not in _KINDS or name is None:
                continue
            if rule.get("ref") is not None:
                problem = f"attribute {name} of {rule.id} is dropped: a reference means all of it"
            elif rule.get("xpath") is not None:
                problem = f"{rule.id} holds for elements that have the attribute {name}, as a whole"
            else:
                continue
            expected = "object-type with attribute"
            found.append(Finding(path, rule.line, problem, expected, Severity.WARNING))
    return found


def _role(role: Element) -> Element:
    if role.tag != "acl_role" or role.child("acl_permission") is not None:
        return role
    return role.with_children(tuple(map(_permission, role.children)))


def _user(user: Element) -> list[Element]:
    """Return a target, and the role that has what the user's rules allowed."""
    roles = tuple(Element("role", (("id", one.id),), line=one.line) for one in user.all("role_ref"))
    rules = tuple(map(_permission, user.all(*_KINDS)))
    if rules:
        roles = (Element("role", (("id", f"auto-{user.id}"),), line=user.line),)
    target = Element("acl_target", (("id", user.id),), roles, line=user.line)
    if not rules:
        return [target]
    own = Element("acl_role", (("id", f"auto-{user.id}"),), rules, line=user.line)
    return [target, own]


def _permission(rule: Element) -> Element:
    if rule.tag not in _KINDS:
        return rule
    attributes = [("id", rule.id), ("kind", rule.tag)]
    name = rule.get("attribute")
    path, reference, tag = rule.get("xpath"), rule.get("ref"), rule.get("tag")
    if path is not None:
        attributes.append(("xpath", path if name is None else f"{path}[@{name}]"))
    elif reference is not None:
        attributes.append(("reference", reference))
    else:
        attributes.append(("object-type", tag or ""))
        if name is not None:
            attributes.append(("attribute", name))
    return Element("acl_permission", tuple(attributes), line=rule.line)
