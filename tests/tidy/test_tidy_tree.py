"""The source tree keeps every rule."""

from pathlib import Path

import pytest
from tests.tidy.modules import read_modules
from tests.tidy.rules import RULES, Rule

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_tree_keeps_the_rule(rule: Rule) -> None:
    modules = read_modules(SOURCE)
    assert len(modules) > 20, "nothing was looked at"
    assert [finding for module in modules for finding in rule(module)] == []


def test_every_room_of_the_design_has_its_folder_or_none() -> None:
    rooms = {path.name for path in (SOURCE / "standfest").iterdir() if path.is_dir()}
    assert {"model", "wire", "config", "core", "ports", "runtime", "adapters"} <= rooms
