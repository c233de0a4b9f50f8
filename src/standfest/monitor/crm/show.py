"""What of the cluster is shown, and how much of it: sections, filters, detail.

Source: facts/formats/TOOLS.md section 5; defaults by experiment with crm_mon 2.1.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SUMMARY = ("counts", "dc", "options", "stack", "times", "maint-mode")
FENCING = ("fencing-failed", "fencing-pending", "fencing-succeeded")
SECTIONS = (
    *("attributes", "bans", *SUMMARY, "failcounts", "failures", *FENCING, "nodes", "operations"),
    *("resources", "tickets"),
)
GROUPED = {"summary": SUMMARY, "fencing": FENCING}
DEFAULT = (
    *("counts", "dc", "stack", "times", "maint-mode", "nodes", "resources", "failures"),
    *("fencing-failed", "fencing-pending"),
)
CHOICES = (
    *("all", "attributes", "bans[:PREFIX]", "counts", "dc", "default", "failcounts", "failures"),
    *("fencing", *FENCING, "maint-mode", "nodes", "none", "operations", "options", "resources"),
    *("stack", "summary", "tickets", "times"),
)


@dataclass(frozen=True, slots=True)
class Show:
    """The choices of one run.

    sections: of SECTIONS; by_node: resources under their nodes; nodes, resources: the only ones
    that are shown, None: all; bans: prefix of the ids that are shown; place: whether a resource's
    line says where it is; level: of the fencing history, 0 to 3.
    """

    sections: frozenset[str] = frozenset(DEFAULT)
    by_node: bool = False
    brief: bool = False
    inactive: bool = False
    detail: bool = False
    timing: bool = False
    headers: bool = True
    place: bool = True
    nodes: frozenset[str] | None = None
    resources: frozenset[str] | None = None
    bans: str = ""
    level: int = 1

    def has(self, *sections: str) -> bool:
        """Return whether any of these sections is wanted."""
        return any(section in self.sections for section in sections)

    def of_node(self, name: str) -> bool:
        """Return whether this node is shown."""
        return self.nodes is None or name in self.nodes

    @property
    def filtered(self) -> bool:
        """Return whether only some nodes or resources are shown."""
        return self.nodes is not None or self.resources is not None


def sections_of(
    start: frozenset[str], changes: Sequence[tuple[bool, str]], default: frozenset[str]
) -> tuple[frozenset[str], str]:
    """Return the sections, and the prefix of bans, after --include (True) and --exclude (False).

    Raises ValueError with the word that is no section.
    """
    found, prefix = set(start), ""
    for include, words in changes:
        for word in words.split(","):
            name, _, argument = word.partition(":")
            add = set(GROUPED.get(name, (name,)))
            if name == "all":
                found = set(SECTIONS) if include else set()
            elif name == "none":
                found = set() if include else set(SECTIONS)
            elif name == "default" and include:
                found |= default
            elif not add <= set(SECTIONS) or (argument and name != "bans"):
                raise ValueError(word)
            elif include:
                found |= add
                prefix = argument or prefix
            else:
                found -= add
    return frozenset(found), prefix
