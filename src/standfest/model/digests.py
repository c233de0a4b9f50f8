"""Digests of parameters: how a history says which parameters an operation ran with.

MD5 of a `<parameters>` element with sorted attributes, as it stands in `op-digest`. Pacemaker 3
escapes as libxml2 does, 2.1 had rules of its own; they differ where a value holds an apostrophe or
white space other than blanks. Source: facts/formats/CIB-STATUS.md section 4, crm_simulate.
"""

import hashlib
from collections.abc import Mapping

_COMMON = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"))
_LIBXML = (*_COMMON, ("\n", "&#xA;"), ("\t", "&#x9;"), ("\r", "&#xD;"))
_PACEMAKER_2_1 = (*_COMMON, ("'", "&apos;"), ("\t", "    "), ("\n", "\\n"))


def digest(parameters: Mapping[str, str]) -> str:
    """Return the digest as Pacemaker 3 writes it."""
    return _digest(parameters, _LIBXML)


def digest_2_1(parameters: Mapping[str, str]) -> str:
    """Return the digest as Pacemaker 2.1 writes it; this is the one that we write, too."""
    return _digest(parameters, _PACEMAKER_2_1)


def matches(parameters: Mapping[str, str], recorded: str) -> bool:
    """Return whether an operation with this digest had these parameters."""
    return recorded == digest(parameters) or recorded == digest_2_1(parameters)


def _digest(parameters: Mapping[str, str], escapes: tuple[tuple[str, str], ...]) -> str:
    inner = "".join(
        f' {name}="{_escaped(value, escapes)}"' for name, value in sorted(parameters.items())
    )
    text = f" <parameters{inner}/>\n"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _escaped(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for character, entity in escapes:
        if character in text:
            text = text.replace(character, entity)
    return text
