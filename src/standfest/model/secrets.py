"""Which names of parameters and options are taken to have secret values: those are never shown."""

import re

_SECRET = re.compile(r"pass|pwd|secret|token|key|community|credential|auth", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Return whether a value of this name is to be hidden."""
    return _SECRET.search(name) is not None
