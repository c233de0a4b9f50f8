"""The schemas of the current dialect, from the oldest to the newest.

Source: facts/formats/CIB-MODERN.md.
"""

from standfest.config.cib.schema.patterns import Version

VERSIONS: tuple[Version, ...] = (
    (1, 0),
    (1, 2),
    (1, 3),
    *((2, minor) for minor in range(11)),
    *((3, minor) for minor in range(11)),
    (4, 0),
)
NAMES: dict[str, Version] = {
    f"pacemaker-{major}.{minor}": (major, minor) for major, minor in VERSIONS
}
"""What `validate-with` says -> version."""
NONE = "none"
"""What it says where nothing is to be checked."""
