"""The archive of scheduler inputs: numbered, compressed, bounded."""

import bz2
import select
from functools import partial
from pathlib import Path

from standfest.adapters.linux.archive import InputArchive, numbers


def wait(archive: InputArchive) -> None:
    poller = select.poll()
    poller.register(archive.fileno(), select.POLLIN)
    assert poller.poll(10_000), "a child ends within 10 s"
    archive.poll()


def keep(archive: InputArchive, text: str) -> None:
    archive.keep(partial(str, text))
    wait(archive)


def test_the_last_inputs_are_kept_and_the_oldest_go(tmp_path: Path) -> None:
    archive = InputArchive(tmp_path / "inputs", most=2)
    for text in ("one", "two", "three"):
        keep(archive, text)
    assert numbers(tmp_path / "inputs") == [2, 3]  # 3 - 2 = 1 and older are gone
    content = (tmp_path / "inputs" / "pe-input-3.bz2").read_bytes()
    assert bz2.decompress(content) == b"three"
    assert (tmp_path / "inputs" / "pe-input-3.bz2").stat().st_mode & 0o777 == 0o600


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    keep(InputArchive(tmp_path, most=5), "before")
    keep(InputArchive(tmp_path, most=5), "after")
    assert numbers(tmp_path) == [1, 2]


def test_inputs_wait_for_the_one_that_is_being_written(tmp_path: Path) -> None:
    archive = InputArchive(tmp_path, most=10)
    archive.keep(partial(str, "one"))
    archive.keep(partial(str, "two"))
    wait(archive)
    wait(archive)
    assert numbers(tmp_path) == [1, 2]


def test_a_failed_write_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    archive = InputArchive(tmp_path / "file", most=10)
    keep(archive, "lost")
    assert archive.failed == 1


def test_none_are_kept_when_none_are_wanted(tmp_path: Path) -> None:
    InputArchive(tmp_path, most=0).keep(partial(str, "text"))
    assert numbers(tmp_path) == []
