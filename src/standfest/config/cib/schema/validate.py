"""A document against the schema that it names: what an administrator must mend.

The current dialect names its schema (`validate-with`); Heartbeat 2's does not, so the release whose
rules a document breaks least is taken.
"""

from functools import lru_cache

from standfest.config.cib import legacy
from standfest.config.cib.names import meant
from standfest.config.cib.schema.check import MAX_SHOWN, check, shown
from standfest.config.cib.schema.content import Content, contents
from standfest.config.cib.schema.grammar_constraints import CONSTRAINTS
from standfest.config.cib.schema.grammar_legacy import LEGACY, RELEASES
from standfest.config.cib.schema.grammar_resources import RESOURCES
from standfest.config.cib.schema.grammar_sections import SECTIONS
from standfest.config.cib.schema.grammar_sets import SETS
from standfest.config.cib.schema.versions import NAMES, NONE
from standfest.model.element import Element
from standfest.model.errors import Finding

TYPES = {**SECTIONS, **RESOURCES, **CONSTRAINTS, **SETS}


def known_schemas() -> tuple[str, ...]:
    """Return the names that `validate-with` may have, from the oldest to the newest; not "none"."""
    return tuple(NAMES)


def legacy_schemas() -> tuple[str, ...]:
    """Return our names for the legacy dialect's document type declarations, the newest last."""
    return tuple(RELEASES)


def newest() -> str:
    """Return the newest schema."""
    return tuple(NAMES)[-1]


def validate(root: Element, path: str, schema: str | None = None) -> list[Finding]:
    """Return what is wrong with a whole <cib> by a schema: its own, unless one is given.

    schema: one of known_schemas() or legacy_schemas(), or "none", by which nothing is wrong.
    """
    name = root.get("validate-with") if schema is None else schema
    if name == NONE:
        return []
    if root.tag != "cib":
        return [Finding(path, root.line, f"root element <{root.tag[:MAX_SHOWN]}>", "<cib>")]
    if not name and legacy.is_legacy(root):
        return min((validate(root, path, old) for old in reversed(RELEASES)), key=len)
    if name not in NAMES and name not in RELEASES:
        problem = f"validate-with is {shown(name)}" if name else "<cib> without validate-with"
        return [Finding(path, root.line, problem, meant(name or "", (*NAMES, NONE)))]
    return check(root, "cib", _types(name), path)


@lru_cache(maxsize=len(NAMES) + len(RELEASES))
def _types(name: str) -> dict[str, Content]:
    if name in RELEASES:
        return contents(LEGACY, RELEASES[name])
    return contents(TYPES, NAMES[name])
