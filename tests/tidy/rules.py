"""The rules of DESIGN.md section 2 and STYLE.md as functions: a module in, findings out."""

import ast
import sys
from collections.abc import Callable, Iterator

from tests.tidy.modules import PACKAGE, Module

BOTTOM = frozenset({"model"})
SIBLINGS = frozenset({"core", "wire", "config", "ports"}) | BOTTOM
MIDDLE = frozenset({"runtime", "adapters", "agents"}) | SIBLINGS
DAEMONS = frozenset({"daemons"}) | MIDDLE

ARROWS: dict[str, frozenset[str]] = {
    "model": frozenset(),
    "ports": BOTTOM,
    "wire": BOTTOM,
    "config": BOTTOM,
    "core": BOTTOM,
    "runtime": frozenset({"core", "wire", "config", "ports"}) | BOTTOM,  # STYLE.md section 5
    "adapters": frozenset({"ports", "wire"}) | BOTTOM,
    "agents": frozenset({"ports"}) | BOTTOM,
    "daemons": MIDDLE,
    "sim": DAEMONS,
    "analysis": DAEMONS,
    "monitor": DAEMONS,
    "lab": DAEMONS | {"sim"},
    "cli": DAEMONS | {"sim", "analysis", "monitor", "lab"},
}
"""Room -> rooms that it may import besides itself. A room that is missing here is a finding."""

COMPOSITION_ROOTS: dict[str, str] = {
    "standfest.agents.front": "standfest.adapters.linux",
}
"""Module -> the one package beyond its arrows that it may import.

`standfest agent IPaddr start` is a program of its own, started at every monitor without a daemon, so
`agents.front` is where the agents meet the real host.
"""

ONLY_ADAPTERS_OF: dict[str, str] = {"sim": "standfest.adapters.memory"}
"""Room -> the only adapters it may import: a simulation never touches the real machine."""

PURE_ROOMS = frozenset({"core", "wire", "model"})

BANNED_IN_PURE = frozenset(
    {
        "_thread", "asyncio", "concurrent", "ctypes", "datetime", "fcntl", "glob", "importlib", "io",
        "logging", "mmap", "multiprocessing", "os", "pathlib", "random", "resource", "sched",
        "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sys",
        "syslog", "tempfile", "threading", "time", "urllib", "uuid", "warnings",
    }
)  # fmt: skip
"""Clocks, chance, the machine, and ways round this list."""

BANNED_CALLS_IN_PURE = frozenset(
    {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}
)

ONLY_USED_IN: dict[str, frozenset[str]] = {
    "pyroute2": frozenset({"lab"}),  # docs/adr/0002: 25 MB and 140 ms that no daemon pays
    "click": frozenset({"cli", "agents"}),
    "lxml": frozenset({"config"}),  # docs/adr/0039: where an XPath is asked for
    "rich": frozenset({"cli", "lab", "monitor"}),
}
"""Library -> rooms that may import it: each is imported only where it is used."""

MODULE_LINES = 500
UNFINISHED = ("TODO", "FIXME", "XXX")

Rule = Callable[[Module], Iterator[str]]


def target_of(name: str) -> str:
    """Return the room that an imported name belongs to, or "" when it is in none of ours."""
    parts = name.split(".")
    if parts[0] != PACKAGE or len(parts) < 2:
        return ""
    return parts[1] if parts[1] in ARROWS else ""


def is_within(name: str, package: str) -> bool:
    """Return whether `name` is `package` or something in it."""
    return name == package or name.startswith(package + ".")


def arrows_point_down(module: Module) -> Iterator[str]:
    """A room imports only rooms below it."""
    if module.room and module.room not in ARROWS:
        yield f"{module.path}: room {module.room} has no place in the layers"
        return
    for imported in module.imports:
        target = target_of(imported.name)
        allowed = ARROWS[module.room] | {module.room} if module.room else frozenset()
        root = COMPOSITION_ROOTS.get(module.name)
        if not target or target in allowed or (root and is_within(imported.name, root)):
            continue
        yield f"{module.path}:{imported.line}: {module.room or 'top'} imports {imported.name}"


def a_simulation_uses_memory_adapters_only(module: Module) -> Iterator[str]:
    """Whoever simulates takes no adapter of the real machine."""
    only = ONLY_ADAPTERS_OF.get(module.room)
    for imported in module.imports:
        if only and target_of(imported.name) == "adapters" and not is_within(imported.name, only):
            yield f"{module.path}:{imported.line}: {module.room} imports {imported.name}"


def machines_do_not_know_each_other(module: Module) -> Iterator[str]:
    """A package inside core imports no other package inside core."""
    parts = module.name.split(".")
    if module.room != "core" or len(parts) < 3:
        return
    own = ".".join(parts[:3])
    for imported in module.imports:
        if target_of(imported.name) == "core" and not is_within(imported.name, own):
            yield f"{module.path}:{imported.line}: {own} imports {imported.name}"


def machines_are_pure(module: Module) -> Iterator[str]:
    """Core, wire and model import the standard library's pure part only, and do no I/O."""
    if module.room not in PURE_ROOMS:
        return
    for imported in module.imports:
        top = imported.name.split(".")[0]
        if top in BANNED_IN_PURE:
            yield f"{module.path}:{imported.line}: {module.room} imports {imported.name}"
        elif top not in {PACKAGE, "__future__"} and top not in sys.stdlib_module_names:
            yield f"{module.path}:{imported.line}: {module.room} imports the library {top}"
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in BANNED_CALLS_IN_PURE
        ):
            yield f"{module.path}:{node.lineno}: {module.room} calls {node.func.id}()"


def libraries_stay_where_they_are_used(module: Module) -> Iterator[str]:
    """A heavy library is imported only by the rooms that exist for it."""
    for imported in module.imports:
        top = imported.name.split(".")[0]
        if top in ONLY_USED_IN and module.room not in ONLY_USED_IN[top]:
            yield f"{module.path}:{imported.line}: {module.room or 'top'} imports {top}"


def imports_are_absolute(module: Module) -> Iterator[str]:
    """No import counts dots."""
    for imported in module.imports:
        if imported.level:
            yield f"{module.path}:{imported.line}: relative import of {imported.name}"


def no_module_is_a_drawer(module: Module) -> Iterator[str]:
    """No module or package is called utils."""
    if module.name.split(".")[-1] in {"utils", "util"}:
        yield f"{module.path}: name what it is for"


def modules_fit_in_a_reading(module: Module) -> Iterator[str]:
    """No module has more than MODULE_LINES lines."""
    lines = len(module.source.splitlines())
    if lines > MODULE_LINES:
        yield f"{module.path}: {lines} lines; expected at most {MODULE_LINES}"


def packages_do_nothing_when_imported(module: Module) -> Iterator[str]:
    """An `__init__.py` holds a docstring, imports, `__all__` and `__version__` at most."""
    if module.path.name != "__init__.py":
        return
    for node in module.tree.body:
        names = [ast.unparse(target) for target in getattr(node, "targets", [])]
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_list = isinstance(node, ast.Assign) and set(names) <= {"__all__", "__version__"}
        if not (is_docstring or is_list or isinstance(node, ast.Import | ast.ImportFrom)):
            yield f"{module.path}:{node.lineno}: code in a package's __init__.py"


def nothing_runs_through_a_shell(module: Module) -> Iterator[str]:
    """No `shell=True`, no os.system, no os.popen."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) in {"os.system", "os.popen", "subprocess.getoutput"}:
            yield f"{module.path}:{node.lineno}: {ast.unparse(node.func)} runs a shell"
        for keyword in node.keywords:
            if keyword.arg == "shell" and ast.unparse(keyword.value) != "False":
                yield f"{module.path}:{node.lineno}: shell={ast.unparse(keyword.value)}"


def nothing_is_left_for_later(module: Module) -> Iterator[str]:
    """No note to finish something later."""
    for number, line in enumerate(module.source.splitlines(), start=1):
        for word in UNFINISHED:
            if word in line:
                yield f"{module.path}:{number}: {word}"


RULES: tuple[Rule, ...] = (
    arrows_point_down,
    a_simulation_uses_memory_adapters_only,
    machines_do_not_know_each_other,
    machines_are_pure,
    libraries_stay_where_they_are_used,
    imports_are_absolute,
    no_module_is_a_drawer,
    modules_fit_in_a_reading,
    packages_do_nothing_when_imported,
    nothing_runs_through_a_shell,
    nothing_is_left_for_later,
)
