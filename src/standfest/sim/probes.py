"""Coverage probes: every event that a daemon can note is a named point in its code.

They cost production nothing: what a run noted is compared with what the source could note.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import standfest

ROOMS = ("core", "runtime/cluster")
"""Where the machines are that the simulator runs."""
NEVER = {
    "change-not-taken-back": "no operator here puts changes on trial: test_cib_edits.py does",
    "change-taken-back": "no operator here puts changes on trial: test_cib_edits.py does",
    "fencing-forgotten": "no operator here forgets what was fenced: test_fencing.py does",
    "no-progress": "a guard against our own mistakes; the invariant makes-progress knows it",
    "votes": "corosync counts them, whose stack is not simulated (docs/adr/0033)",
}
"""What no run can reach, and why."""


def unreached(name: str) -> str:
    """Return what to print of an event that nobody noted."""
    return f"not reached: {NEVER[name]}" if name in NEVER else "not reached"


def names() -> frozenset[str]:
    """Return the names of all events in the source."""
    package = Path(standfest.__file__).parent
    files = (path for room in ROOMS for path in sorted((package / room).rglob("*.py")))
    return frozenset(name for path in files for name in _events(ast.parse(path.read_text())))


def _events(tree: ast.Module) -> Iterator[str]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        chosen: set[str] = set()  # variables that hold an event's name
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "note" and node.args:
                match node.args[0]:
                    case ast.Constant(value=str(name)):
                        yield name
                    case ast.Name(id=variable):
                        chosen.add(variable)
                    case _:
                        pass
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and chosen & {
                target.id for target in node.targets if isinstance(target, ast.Name)
            }:
                yield from _values(node.value)


def _values(expression: ast.expr) -> Iterator[str]:
    """Yield the strings that an expression may be: not those that it chooses by."""
    match expression:
        case ast.Constant(value=str(name)):
            yield name
        case ast.IfExp(body=one, orelse=other):
            yield from _values(one)
            yield from _values(other)
        case ast.Subscript(value=ast.Dict(values=values)):
            for value in values:
                yield from _values(value)
        case _:
            return
