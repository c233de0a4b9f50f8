"""Named values as crm_attribute shows them: lines and elements.

Source: samples/outputs/commands/more-commands.txt; what is not there by experiment with 2.1.5.
"""

from collections.abc import Sequence

from standfest.core.cib.attributes import Found
from standfest.model import xml
from standfest.model.element import Element

API_VERSION = "2.25"


def line(scope: str, pair_id: str, name: str, value: str) -> str:
    """Return `scope=nodes  name=rack value=A`; the id stands there when it was asked for."""
    which = f"id={pair_id}" if pair_id else ""
    return f"scope={scope} {which} name={name} value={value}"


def element(scope: str, pair_id: str, name: str, value: str) -> Element:
    """Return the same as an <attribute>."""
    attributes = [("name", name), ("value", value), ("scope", scope)]
    if pair_id:
        attributes.append(("id", pair_id))
    return Element("attribute", tuple(attributes))


def deleted(scope: str, set_id: str, gone: Found) -> str:
    """Return what is said about a value that was removed."""
    kind = "attribute" if scope in ("nodes", "status") else "option"
    which = f" set={set_id}" if set_id else ""
    return f"Deleted {scope} {kind}: id={gone.pair.id}{which} name={gone.name}"


def several(name: str, found: Sequence[Found]) -> str:
    """Return the list of values of which only one can be meant."""
    lines = [f"  Value: {one.value} \t(id={one.pair.id})" for one in found]
    return "\n".join([f"Multiple attributes match name={name}", *lines])


def failure(text: str, request: str) -> str:
    """Return the document that says that there is no such value."""
    errors = Element("errors", (), (Element("error", text=text),))
    status = Element("status", (("code", "105"), ("message", "No such object")), (errors,))
    around = (("api-version", API_VERSION), ("request", request))
    return xml.serialise(Element("pacemaker-result", around, (status,)))
