"""What a cluster still has to do: whether all is as it is to be."""

from standfest.config import recorded as documents
from standfest.core.scheduler.schedule import schedule, steps_of
from standfest.model import xml
from standfest.model.element import Element

PENDING = "-1"


def left_to_do(cib: Element, now: int) -> tuple[str, ...]:
    """Return what is under way, and what the policy engine would begin; empty: all is settled.

    now: seconds since 1970. Raises ConfigError for what is no CIB.
    """
    status = cib.child("status")
    under_way = tuple(
        entry.get("operation_key") or entry.id
        for entry in (status.walk() if status is not None else ())
        if entry.tag == "lrm_rsc_op" and entry.get("op-status") == PENDING
    )
    if under_way:
        return under_way
    configuration, recorded = documents.read(xml.serialise(cib), "the CIB")
    return steps_of(schedule(configuration, recorded, now).graph)
