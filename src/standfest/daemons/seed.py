"""The CIB a node begins with: what is on its disk, else what the operator's files say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from standfest import __version__
from standfest.config import cib as cib_config
from standfest.core.cib import roster
from standfest.core.cib.document import Cib, with_section
from standfest.daemons.places import COROSYNC
from standfest.daemons.reading import text_of
from standfest.model.configuration import Configuration
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding, Severity
from standfest.model.status import Status
from standfest.ports.store import Store
from standfest.runtime.cluster.stored import from_bytes

OWN_STACK = "standfest"
"""The cluster-infrastructure without corosync: today's schemas have `heartbeat` no more."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What a cluster daemon begins with."""

    cib: Cib
    findings: tuple[Finding, ...]
    promised: tuple[int, str] = (0, "")


def load(store: Store, paths: Sequence[Path], nodes: Sequence[str], *, votes: bool = False) -> Seed:
    """Return the stored CIB, or the one that the files make; raises ConfigError.

    The files are read at the first start only: from then on the cluster's own copy counts, which
    every member keeps and administrators change by commands.
    """
    stored = store.load()
    if stored is None:
        return from_files(paths, nodes, votes=votes)
    found = from_bytes(stored)
    _, warnings = cib_config.compile_configuration(found.cib.configuration)
    return Seed(found.cib, (*found.findings, *warnings), found.promised)


def from_files(paths: Sequence[Path], nodes: Sequence[str], *, votes: bool = False) -> Seed:
    """Return the CIB that the operator's files make, with their warnings; raises ConfigError.

    votes: somebody counts votes (corosync), so that no rule is needed for two nodes.
    """
    texts = [(str(path), text_of(path, "a CIB or a section of one")) for path in paths]
    loaded = cib_config.load(texts or [("no file", "<configuration/>")])
    configuration, findings = loaded.configuration, list(loaded.findings)
    if loaded.legacy and len(nodes) == 2 and not votes and not _states_policy(configuration):
        configuration = with_heartbeat_2_policy(configuration)
        findings.append(_lone_node_warning(str(paths[0])))
    compiled = cib_config.compile_configuration(configuration, loaded.path_of, len(nodes))
    findings += compiled[1]
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise ConfigError(*errors)
    configuration = introduced(configuration, nodes, COROSYNC if votes else OWN_STACK)
    return Seed(Cib(loaded.version, configuration, Status()), tuple(findings))


def introduced(configuration: Element, nodes: Sequence[str], stack: str) -> Element:
    """Return the configuration with what a cluster states of itself there: its nodes, its stack.

    Tools that administrators know look for it; Pacemaker's daemons write the same as nodes join.
    """
    configuration = roster.with_entries(configuration, nodes)
    options = configuration.child("crm_config") or Element("crm_config")
    stated = {e.get("name") for e in options.walk() if e.tag == "nvpair"}
    facts = (("dc-version", f"{__version__}-standfest"), ("cluster-infrastructure", stack))
    pairs = tuple(
        Element("nvpair", (("id", f"{roster.STATED}-{name}"), ("name", name), ("value", value)))
        for name, value in facts
        if name not in stated
    )
    if not pairs or any(element.id == roster.STATED for element in configuration.walk()):
        return configuration
    stating = Element("cluster_property_set", (("id", roster.STATED),), pairs)
    return with_section(configuration, options.with_children((*options.children, stating)))


def with_heartbeat_2_policy(configuration: Element) -> Element:
    """Return the configuration with Heartbeat 2's rule for two nodes: one goes on.

    Heartbeat 2 gave each half of a two-node cluster quorum; its files do not say so
    (docs/adr/0005).
    """
    policy = Element(
        "nvpair",
        (
            ("id", "heartbeat-2-no-quorum-policy"),
            ("name", "no-quorum-policy"),
            ("value", "ignore"),
        ),
    )
    properties = Element("cluster_property_set", (("id", "heartbeat-2-defaults"),), (policy,))
    options = configuration.child("crm_config") or Element("crm_config")
    extended = options.with_children((*options.children, properties))
    others = tuple(child for child in configuration.children if child.tag != "crm_config")
    return configuration.with_children((extended, *others))


def _states_policy(configuration: Element) -> bool:
    return any(
        element.tag == "nvpair" and element.get("name") in ("no-quorum-policy", "no_quorum_policy")
        for element in configuration.walk()
    )


def _lone_node_warning(path: str) -> Finding:
    return Finding(
        path,
        0,
        "no no_quorum_policy: as with Heartbeat 2, a lone node of two goes on, and two nodes that "
        "lose every link to each other both do",
        "fencing, or no_quorum_policy=ignore to accept this in writing",
        Severity.WARNING,
    )


def configuration_of(seeded: Seed) -> Configuration:
    """Return what it says as values."""
    return cib_config.compile_configuration(seeded.cib.configuration)[0]
