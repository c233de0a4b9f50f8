"""Mutated configurations: every one is read to the end, judged, printed and read again.

The sources are our own files and, where it is there, the corpus; changes are made to characters,
to words, to lines and to blocks.
"""

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfest.config.keepalived.load import read, settings_of
from standfest.config.keepalived.parse import Parsed
from standfest.config.keepalived.source import Limits, Setting
from standfest.config.keepalived.vocabulary import KINDS
from standfest.config.keepalived.write import write

CORPUS = Path(__file__).parents[3] / "shared" / "suites" / "keepalived" / "visible"
SEED = int(os.environ.get("STANDFEST_HUNT_SEED", "20081124"))
SMALL = Limits(lines=3_000, line=4_096, replacements=300, depth=8, sequence=500, findings=200)
SETTING = Setting("host", {"HOME": "/root"}, SMALL)
LARGEST = 6_000
"""Characters of a source: larger ones repeat what smaller ones have."""

OWN = """\
$IF=eth0
@host $N=1
@^host $N=2
global_defs { router_id lb${N}
  notification_email { a@b.c }
  lvs_sync_daemon $IF gw id 1
}
$RS= \\
  real_server 10.0.0.${X} 80 { \\
    weight 1 \\
    HTTP_GET { url { path /; status_code 200-299 } } \\
  }
virtual_server 10.1.0.1 80 {
  lvs_sched rr
  lvs_method NAT
  protocol TCP
  ~SEQ(X, 1, 3) $RS
}
vrrp_script chk { script "/bin/true 'a b'" weight -2 }
vrrp_instance gw {
  interface $IF
  virtual_router_id 5 # comment
  track_script { chk }
  virtual_ipaddress { 10.1.0.1/24 dev $IF label eth0:1 }
  virtual_routes { 10.2.0.0/16 via 10.1.0.9 dev $IF metric 3 }
}
~LST({A, B}, {x, 1}, {y, 2}) track_file ${A}${B} { file /run/${A} }
"""
WORDS = (
    *(word for kind in KINDS.values() for word in kind.keywords),
    *[
        "{",
        "}",
        "{",
        "}",
        '"',
        "'",
        "#",
        "!",
        "$",
        "${",
        "}",
        "~SEQ(",
        "~LST(",
        ")",
        "@host",
        "@^x",
        "\\",
        "=",
        ",",
        "0",
        "-1",
        "999999999999",
        "0.5",
        "1e9",
    ],
    *[
        "10.0.0.1",
        "fe80::1/64",
        "1.2.3.4.5",
        "eth0",
        "$IF",
        "${IF}",
        "${_RANDOM}",
        "${_ENV",
        "HOME}",
        "include",
        "\\x41",
    ],
    *("\x00", "\xa0", "\u2028", "\ud800", "$A=$A $A", "$B= \\", "~SEQ(Q,1,499) ~SEQ(R,1,499) x"),
)


def sources() -> list[str]:
    """Return the texts that are mutated, the small ones of the corpus among them."""
    files = sorted(CORPUS.glob("*.conf")) if CORPUS.is_dir() else []
    texts = [file.read_bytes().decode("utf-8", "replace") for file in files]
    return [OWN, *(text for text in texts if len(text) <= LARGEST)]


def mutated(rng: random.Random, texts: list[str]) -> str:
    """Return a text with one to six changes."""
    text = rng.choice(texts)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(7):
            case 0:
                text = text[:at] + chr(rng.choice((rng.randrange(128), 0x3B1))) + text[at + 1 :]
            case 1:
                text = text[:at] + text[at + rng.randint(1, 30) :]
            case 2:
                text = text[:at] + " " + rng.choice(WORDS) + " " + text[at:]
            case 3:
                text = text[:at] + "\n" + rng.choice(WORDS) + "\n" + text[at:]
            case 4:
                other = rng.choice(texts)
                begin = rng.randrange(len(other) + 1)
                text = text[:at] + other[begin : begin + rng.randint(1, 300)] + text[at:]
            case 5:
                lines = text.split("\n")
                rng.shuffle(lines) if rng.random() < 0.1 else lines.reverse()
                text = "\n".join(lines[: rng.randint(1, len(lines))])
            case _:
                words = re.split(r"(\s+)", text)
                words[rng.randrange(len(words))] = rng.choice(WORDS)
                text = "".join(words)
    return text


def examined(text: str) -> Parsed:
    """Return a text read, with all that is done to a file done to it."""
    parsed = read(text, "/etc/k.conf", SETTING)
    for finding in parsed.report.findings:
        assert "\n" not in str(finding), finding
    if not parsed.report.errors:
        again = read(write(parsed.statements), "/etc/k.conf", SETTING)
        assert again.statements == parsed.statements
        first, second = settings_of(parsed), settings_of(again)
        assert (first.director, first.balancer) == (second.director, second.balancer)
    return parsed


def seeds(count: int) -> Iterator[str]:
    rng = random.Random(SEED)
    texts = sources()
    for _ in range(count):
        yield mutated(rng, texts)


def test_two_thousand_mutated_files_are_read_to_the_end() -> None:
    refused = sum(bool(examined(text).report.errors) for text in seeds(2_000))
    # Most changes are mistakes: if few are refused, the mutations miss what they aim at.
    assert refused > 1_000


@pytest.mark.hunt
@pytest.mark.slow
@pytest.mark.skipif("STANDFEST_HUNT_SEED" not in os.environ, reason="runs in ./dev hunt only")
def test_hundred_thousand_mutated_files_are_read_to_the_end() -> None:
    refused = sum(bool(examined(text).report.errors) for text in seeds(100_000))
    assert refused > 50_000
