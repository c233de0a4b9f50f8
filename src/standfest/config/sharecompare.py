"""Files of `standfest share` compared: those of one shared address must say the same everywhere."""

from collections.abc import Iterator, Sequence

from standfest.model.errors import Finding
from standfest.model.sharefile import ShareFile

Named = tuple[str, ShareFile]
"""A path and what the file says."""


def compare(files: Sequence[Named]) -> tuple[Finding, ...]:
    """Return where files differ from the first of the same shared address."""
    found: list[Finding] = []
    for number, (path, file) in enumerate(files):
        shared = file.shared
        for other_path, other in files[:number]:
            if other.shared.name == shared.name:
                found += _different(path, file, other_path, other)
                break
            if not {one.ip for one in shared.addresses}.isdisjoint(
                one.ip for one in other.shared.addresses
            ):
                problem = f'name is "{shared.name}"; {other_path} has "{other.shared.name}"'
                expected = "one name for one address: members of other names do not hear each other"
                found.append(Finding(path, 0, problem, expected))
                break
            if shared.mac == other.shared.mac and shared.interface == other.shared.interface:
                problem = f"mac is {shared.mac.hex(':')}, as in {other_path}"
                found.append(Finding(path, 0, problem, "one of its own for each shared address"))
    return tuple(found)


def _different(path: str, file: ShareFile, other_path: str, other: ShareFile) -> Iterator[Finding]:
    before = dict(_words(other))
    for key, value in _words(file):
        if value != before[key]:
            problem = f"{key} is {value}; {other_path} has {before[key]}"
            yield Finding(path, 0, problem, "the same on all members")


def _words(file: ShareFile) -> Iterator[tuple[str, str]]:
    """Yield what has to be the same on all members, by its key; the interface's name need not."""
    shared, settings, layout = file.shared, file.settings, file.shared.layout
    yield "address", ", ".join(sorted(str(one.ip) for one in shared.addresses))
    yield "mode", layout.mode.value
    yield "buckets", str(layout.buckets)
    yield "seed", str(layout.seed)
    yield "mac", shared.mac.hex(":")
    yield "established", shared.established.value
    yield "no_quorum", settings.no_quorum.value
    yield "deadtime", f"{settings.deadtime / 1e9:g} s"
    yield "port", str(file.port)
    yield (
        "members",
        ", ".join(f"{member.name} (weight {member.weight})" for member in settings.members),
    )
