"""20,000 mutated files: settings that keep every bound, or findings of one line each."""

import random

from standfest.config import share
from standfest.model.errors import ConfigError, Finding, Severity
from standfest.model.sharefile import ShareFile

WORDS = (
    'address = "10.8.0.100/24"',
    'address = ["10.8.0.1/8", "fd00::1/64"]',
    'interface = "eth0"',
    'mode = "sourceip"',
    'mac = "01:00:5e:00:00:01"',
    "seed = 7",
    "buckets = 128",
    "buckets = 1_0",
    'established = "move"',
    'no_quorum = "ignore"',
    "keepalive = 0.1",
    'deadtime = "2"',
    "port = 99",
    'authkeys = "k"',
    'name = "x"',
    "weight = 2",
    'address = "10.0.0.2"',
    "[[members]]",
    "[members]",
    "members = []",
    "weight = 1e400",
    "deadtime = 1e400",
    "deadtime = 1e-400",
    f"keepalive = {'9' * 4000}",
    "seed = nan",
    "port = 0x_1",
    "a.b.c = 1",
    '"" = 1',
    "x = 1979-05-27",
    'y = """',
    "z = '''\nport = 1\n'''",
    "[[[",
    "\x00",
)
GOOD = """address = "10.8.0.100/24"
interface = "eth0"
[[members]]
name = "a"
[[members]]
name = "b"
[[members]]
name = "c"
"""
ALPHABET = "[]{}=\"'#.,\n\\u0e-_ 1aé"


def mutated(rng: random.Random) -> str:
    """Return a file of lines that might be right, with some characters changed."""
    lines = GOOD.splitlines()
    for _ in range(rng.randrange(4)):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(WORDS))
    if rng.random() < 0.3:
        del lines[rng.randrange(len(lines))]
    text = list("\n".join(lines))
    for _ in range(rng.randrange(3)):
        text[rng.randrange(len(text))] = rng.choice(ALPHABET)
    return "".join(text)


def keeps_bounds(file: ShareFile) -> bool:
    settings, shared = file.settings, file.shared
    return (
        1 <= len(settings.members) <= 64
        and len(set(file.names)) == len(file.names)
        and len(settings.members) <= shared.layout.buckets <= 4096
        and settings.layout == shared.layout
        and 3 * settings.keepalive <= settings.deadtime
        and len(shared.mac) == 6
        and 1 <= len(shared.addresses) <= 16
        and len(file.heartbeats) in (0, len(settings.members))
        and 0 <= shared.layout.seed < 2**32
    )


def outcome(text: str) -> ShareFile | tuple[Finding, ...]:
    try:
        file, warnings = share.parse(text, "f")
    except ConfigError as error:
        return error.findings
    assert all(warning.severity is Severity.WARNING for warning in warnings)
    return file


def test_every_file_is_used_or_refused_in_whole_lines() -> None:
    rng = random.Random(20_083)
    usable = 0
    for _ in range(20_000):
        text = mutated(rng)
        result = outcome(text)
        if isinstance(result, ShareFile):
            usable += 1
            assert keeps_bounds(result), text
        else:
            assert all("\n" not in str(finding) for finding in result), text
            assert all(0 <= found.line <= text.count("\n") + 2 for found in result), text
    assert 1_000 < usable < 19_000
