"""A document on disk: whatever is cut, and whenever, the old one or the new one is read."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from standfest.adapters.linux import store
from standfest.adapters.linux.store import FileStore
from standfest.model import wholefile

OLD = b"<cib epoch='1'/>\n"
NEW = b"<cib epoch='2' longer='than before'/>\n"
CALLS = ("open", "write", "fsync", "close", "unlink", "link", "rename")
HALF_WAY = 7


class Mortal:
    """The module `os`, until call number `last`: then the process is gone, as by SIGKILL.

    A write that would be the last call is half done first: a kernel may stop there too.
    """

    def __init__(self, last: int) -> None:
        self._left = last

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            if self._left == 0:
                if name == "write":
                    os.write(arguments[0], arguments[1][:HALF_WAY])
                os._exit(9)
            self._left -= 1
            return real(*arguments, **options)

        return call


def save_and_die(path: Path, content: bytes, last: int) -> bool:
    """Save in a child that dies before its call number `last`; return whether it did die."""
    child = os.fork()
    if child == 0:
        try:
            vars(store)["os"] = Mortal(last)  # in this child only
            FileStore(path).save(content)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("saved_before", [0, 1, 3])
def test_a_kill_between_any_two_system_calls_leaves_the_old_document_or_the_new(
    tmp_path: Path, saved_before: int
) -> None:
    deaths, found = 0, []
    for last in range(100):
        path = tmp_path / f"at-{last}" / "cib.xml"
        path.parent.mkdir()
        for _ in range(saved_before):
            FileStore(path).save(OLD)
        if not save_and_die(path, NEW, last):
            assert FileStore(path).load() == NEW
            break
        deaths += 1
        assert path.exists() or not saved_before  # administrators' tools look for this name
        found.append(FileStore(path).load())
        # And a machine that comes back carries on: no leftovers, and the next save works.
        assert {entry.name for entry in path.parent.iterdir()} <= {"cib.xml", "cib.xml.previous"}
        FileStore(path).save(NEW)
        assert FileStore(path).load() == NEW
    before = OLD if saved_before else None
    # open, write, fsync, close; (unlink, link;) rename; open, fsync, close of the folder.
    # The first save has nothing to keep, the second finds nothing to unlink but tries.
    assert deaths == {0: 8, 1: 10, 3: 10}[saved_before]
    renamed = {0: 5, 1: 7, 3: 7}[saved_before]
    assert found == [before] * renamed + [NEW] * 3


@pytest.mark.parametrize("name", ["cib.xml", "cib.xml.previous"])
def test_a_file_cut_at_any_length_leaves_the_old_document_or_the_new(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "cib.xml"
    FileStore(path).save(OLD)
    FileStore(path).save(NEW)
    whole = (tmp_path / name).read_bytes()
    for length in range(len(whole)):
        (tmp_path / name).write_bytes(whole[:length])
        assert FileStore(path).load() == (OLD if name == "cib.xml" else NEW), length


def test_a_file_with_any_one_byte_changed_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "cib.xml"
    FileStore(path).save(OLD)
    FileStore(path).save(NEW)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert FileStore(path).load() == OLD, at


def test_a_damaged_document_is_not_kept_as_the_previous_one(tmp_path: Path) -> None:
    path = tmp_path / "cib.xml"
    FileStore(path).save(OLD)
    FileStore(path).save(NEW)
    path.write_bytes(b"garbage")
    FileStore(path).save(b"third")
    path.write_bytes(b"garbage again")
    assert FileStore(path).load() == OLD  # not the garbage that was there when "third" was saved


def test_garbage_and_nothing_and_a_folder_are_no_document(tmp_path: Path) -> None:
    assert FileStore(tmp_path / "absent").load() is None
    assert FileStore(tmp_path / "no-folder" / "absent").load() is None
    (tmp_path / "garbage").write_bytes(b"\0\xff" * 500)
    assert FileStore(tmp_path / "garbage").load() is None
    (tmp_path / "folder").mkdir()
    assert FileStore(tmp_path / "folder").load() is None


@pytest.mark.parametrize("content", [b"", b"x", b"\0\xff\n<!-- sha256 -->", b"y" * 1_000_000])
def test_the_exact_bytes_come_back(tmp_path: Path, content: bytes) -> None:
    FileStore(tmp_path / "cib.xml").save(content)
    assert FileStore(tmp_path / "cib.xml").load() == content


def test_a_document_is_its_owners_only(tmp_path: Path) -> None:
    FileStore(tmp_path / "cib.xml").save(OLD)
    FileStore(tmp_path / "cib.xml").save(NEW)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in tmp_path.iterdir()}
    assert modes == {"cib.xml": 0o600, "cib.xml.previous": 0o600}


def test_what_could_not_be_loaded_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wholefile, "MAX_BYTES", 200)
    FileStore(tmp_path / "cib.xml").save(OLD)
    # The line with the digest has 12 + 64 + 5 = 81 bytes, so 119 fit.
    with pytest.raises(OSError, match="larger than 200 bytes"):
        FileStore(tmp_path / "cib.xml").save(b"x" * 120)
    assert FileStore(tmp_path / "cib.xml").load() == OLD
    FileStore(tmp_path / "cib.xml").save(b"x" * 119)
    assert FileStore(tmp_path / "cib.xml").load() == b"x" * 119


def test_a_folder_in_which_nothing_can_be_removed_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    FileStore(tmp_path / "cib.xml").save(OLD)
    monkeypatch.setattr(os, "unlink", refuse)
    assert FileStore(tmp_path / "cib.xml").load() == OLD
