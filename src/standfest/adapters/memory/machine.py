"""A machine that is set up in memory: what steps make of it, and one step that it may refuse."""

from collections.abc import Sequence

from standfest.model.errors import OperationError
from standfest.model.setup import (
    AddAddress,
    CloseTunnel,
    DropTable,
    LoadTable,
    MakeLink,
    OpenTunnel,
    RemoveAddress,
    RemoveDefault,
    RemoveLink,
    SetDefault,
    SetLink,
    SetMtu,
    SetSysctl,
    Situation,
    Step,
)


class MemoryMachine:
    """Remembers for each thing what it is; refuse: the key of a step that fails."""

    def __init__(self, situation: Situation, *, refuse: str = "") -> None:
        self.situation = situation
        self.things: dict[str, object] = dict(situation.sysctls)
        self.refuse = refuse
        self.log: list[str] = []

    def look(self, kinds: Sequence[str] = ()) -> Situation:
        """Return what was given."""
        return self.situation

    def holds(self, step: Step) -> bool:
        """Return whether the thing is so."""
        thing, value = _meant(step)
        return self.things.get(thing) == value

    def undo_of(self, step: Step) -> Step:
        """Return the step back."""
        match step:
            case SetSysctl(name):
                return SetSysctl(name, str(self.things.get(name, "")))
            case MakeLink(name):
                return RemoveLink(name)
            case SetLink(name, up):
                return SetLink(name, not up)
            case SetMtu(name):
                found = self.things.get(step.key, 0)
                return SetMtu(name, found if isinstance(found, int) else 0)
            case AddAddress(device, ip, prefix):
                return RemoveAddress(device, ip, prefix)
            case SetDefault(family, gateway, device, metric):
                before = self.things.get(step.key)
                if isinstance(before, tuple):
                    return SetDefault(family, before[0], before[1], metric)
                return RemoveDefault(family, gateway, device, metric)
            case LoadTable(family, name):
                return DropTable(family, name)
            case OpenTunnel(ip):
                return CloseTunnel(ip)
            case _:
                raise OperationError(f"no way back from {step}")

    def do(self, step: Step) -> None:
        """Make the thing so, unless it is the one that is refused."""
        if step.key == self.refuse:
            raise OperationError(f"{step}: refused")
        thing, value = _meant(step)
        self.things[thing] = value
        self.log.append(str(step))


def _meant(step: Step) -> tuple[str, object]:
    match step:
        case SetSysctl(name, value):
            return name, value
        case SetLink(_, up):
            return step.key, up
        case SetMtu(_, mtu):
            return step.key, mtu
        case SetDefault(_, gateway, device):
            return step.key, (gateway, device)
        case RemoveDefault():
            return step.key, None
        case LoadTable(_, _, text):
            return step.key, text
        case MakeLink() | AddAddress():
            return step.key, True
        case OpenTunnel(_, devices):
            return step.key, devices
        case RemoveLink() | RemoveAddress() | DropTable() | CloseTunnel():
            return step.key, None
