"""The director's figures in Prometheus' text format, for a textfile collector or an exporter.

Source: the exposition format 0.0.4; names as its conventions have them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from standfest.core.vrrp.effects import Told
from standfest.model.bfd import BfdState

if TYPE_CHECKING:
    from standfest.daemons.director.reports import View

STATES = (Told.MASTER, Told.BACKUP, Told.FAULT)
COUNTERS = {
    "advert_rcvd": ("adverts_received_total", "Adverts that were believed."),
    "advert_sent": ("adverts_sent_total", "Adverts sent, goodbyes included."),
    "become_master": ("became_master_total", "Times that the addresses were taken."),
    "release_master": ("released_master_total", "Times that the addresses were given up."),
    "pri_zero_rcvd": ("goodbyes_received_total", "Adverts of priority 0 received."),
    "pri_zero_sent": ("goodbyes_sent_total", "Adverts of priority 0 sent."),
}
PREFIX = "standfest_vrrp_"

Labels = Sequence[tuple[str, str]]
Sample = tuple[Labels, float]


def metrics_text(view: "View") -> str:
    """Return all figures; counters begin at the director's start, whatever `clear-stats` says."""
    return "\n".join([*_routers(view), *_counters(view), *_refusals(view), *_sessions(view)]) + "\n"


def _routers(view: "View") -> list[str]:
    some = view.status
    lines = _family(
        "state",
        "gauge",
        "1 for the state that a virtual router is in.",
        (
            ([("instance", one.name), ("state", state.value)], float(one.told is state))
            for one in some
            for state in STATES
        ),
    )
    gauges: tuple[tuple[str, str, dict[str, float]], ...] = (
        ("priority", "Priority, tracking included.", {one.name: one.priority for one in some}),
        (
            "held_addresses",
            "Virtual addresses that are here.",
            {one.name: len(view.held.get(one.name, ())) for one in some},
        ),
        ("faults", "How much is missing.", {one.name: len(one.faults) for one in some}),
        (
            "last_transition_seconds",
            "When the state began, since 1970.",
            {one.name: view.since(one) for one in some},
        ),
    )
    for name, text, values in gauges:
        lines += _family(name, "gauge", text, _by_instance(values))
    return lines


def _counters(view: "View") -> list[str]:
    from standfest.daemons.director.reports import figures  # noqa: PLC0415  it imports this

    counted = {one.name: figures(one.counters) for one in view.status}
    lines: list[str] = []
    for key, (name, text) in COUNTERS.items():
        values = {instance: float(counts[key]) for instance, counts in counted.items()}
        lines += _family(name, "counter", text, _by_instance(values))
    claims = {one.name: float(one.counters.claims) for one in view.status}
    text = "Answers of somebody else for an address that is here."
    return lines + _family("duplicate_address_claims_total", "counter", text, _by_instance(claims))


def _refusals(view: "View") -> list[str]:
    lines = _family(
        "adverts_refused_total",
        "counter",
        "Adverts that were not believed.",
        (
            ([("instance", one.name), ("reason", str(reason))], float(count))
            for one in view.status
            for reason, count in sorted(one.counters.refused.items())
        ),
    )
    return lines + _family(
        "packets_refused_total",
        "counter",
        "Packets that no virtual router took.",
        (([("reason", reason)], float(count)) for reason, count in sorted(view.refused.items())),
    )


def _sessions(view: "View") -> list[str]:
    return _family(
        "bfd_up",
        "gauge",
        "Whether a BFD session is up.",
        (
            ([("session", one.settings.name)], float(one.state is BfdState.UP))
            for one in view.sessions
        ),
    )


def _by_instance(values: Mapping[str, float]) -> list[Sample]:
    return [([("instance", name)], value) for name, value in values.items()]


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> list[str]:
    """Return one metric with its help; none at all when there is nothing to say."""
    lines = [f"{PREFIX}{name}{_labels(labels)} {value:.15g}" for labels, value in samples]
    head = [f"# HELP {PREFIX}{name} {text}", f"# TYPE {PREFIX}{name} {kind}"]
    return [*head, *lines] if lines else []


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
