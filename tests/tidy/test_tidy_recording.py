"""Everything that a recorded daemon tells a machine is in its recording (docs/adr/0032)."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tidy.modules import Module

from standfest.runtime.recording.recorder import inputs_of

SOURCE = Path(__file__).resolve().parents[2] / "src"
DAEMONS = tuple(f"standfest.daemons.{name}" for name in ("pulse", "ring", "cluster"))
READS = frozenset({"deadline", "devices", "picture"})
"""Methods that change nothing that decides."""


def module(name: str) -> Module:
    path = SOURCE.joinpath(*name.split(".")).with_suffix(".py")
    source = path.read_text(encoding="utf-8")
    return Module(name, path, source, ast.parse(source))


def machines(daemon: Module) -> dict[str, type]:
    """Return the classes that the module imports and that have inputs."""
    found = {}
    for imported in daemon.imports:
        source, _, name = imported.name.rpartition(".")
        if source.startswith("standfest."):
            value = getattr(importlib.import_module(source), name, None)
            kind: type = value if inspect.isclass(value) else type(value)
            if kind is value and inputs_of(kind):
                found[name] = kind
    return found


def attached(daemon: Module, known: dict[str, type]) -> dict[str, type]:
    """Return attribute -> class for `self.attribute = recorder.attach("name", machine)`."""
    annotated = {
        argument.arg: argument.annotation.id
        for function in ast.walk(daemon.tree)
        if isinstance(function, ast.FunctionDef)
        for argument in function.args.args
        if isinstance(argument.annotation, ast.Name)
    }
    found = {}
    for node in ast.walk(daemon.tree):
        match node:
            case ast.Assign(
                targets=[ast.Attribute(attr=attribute)],
                value=ast.Call(func=ast.Attribute(attr="attach"), args=[_, machine]),
            ):
                made = machine.func if isinstance(machine, ast.Call) else machine
                name = made.id if isinstance(made, ast.Name) else ""
                found[attribute] = known[annotated.get(name, name)]
            case _:
                pass
    return found


def findings(daemon: Module) -> Iterator[str]:
    known = machines(daemon)
    recorded = attached(daemon, known)
    for name in known.keys() - {kind.__name__ for kind in recorded.values()}:
        yield f"{daemon.name}: {name} is not attached to the recorder"
    for node in ast.walk(daemon.tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr=attribute), attr=method)) if (
                attribute in recorded
            ):
                if method not in READS and method not in inputs_of(recorded[attribute]):
                    yield f"{daemon.name}:{node.lineno}: {attribute}.{method} is not recorded"
            case ast.Attribute(value=ast.Attribute(attr=attribute), ctx=ast.Store()) if (
                attribute in recorded
            ):
                yield f"{daemon.name}:{node.lineno}: a field of {attribute} is set"
            case _:
                pass


@pytest.mark.parametrize("name", DAEMONS)
def test_every_input_that_a_daemon_gives_a_machine_is_recorded(name: str) -> None:
    daemon = module(name)
    assert attached(daemon, machines(daemon)), "nothing was looked at"
    assert list(findings(daemon)) == []


PLANTED = """
from standfest.core.membership.machine import Membership
from standfest.core.membership.election import Election

class Pulse:
    def __init__(self, recorder):
        self._membership = recorder.attach("membership", Membership())
        self._election = Election("a", 1)

    def run(self):
        self._membership.reload(5)
        self._membership.load = 3
        self._membership.greet(1, 2)
"""


def test_what_is_not_recorded_is_found() -> None:
    planted = Module("planted", Path("planted.py"), PLANTED, ast.parse(PLANTED))
    assert list(findings(planted)) == [
        "planted: Election is not attached to the recorder",
        "planted:11: _membership.reload is not recorded",
        "planted:12: a field of _membership is set",
    ]
