"""What takes a change back, as text that the configuration keeps while the change is on trial."""

from standfest.core.cib.patch import Patch
from standfest.wire import values

LONGEST_UNDO = 1_000_000
"""Characters: it travels with the change, and every member keeps it."""
_TYPES: dict[str, type] = {"Patch": Patch}


def text_of(undo: Patch) -> str:
    """Return a patch as text for `provisional.Trial`."""
    return values.encode(undo).decode()


def patch_of(text: str) -> Patch:
    """Return the patch that a text holds; raises WireError."""
    undo: Patch = values.decode(text.encode(), _TYPES)
    return undo
