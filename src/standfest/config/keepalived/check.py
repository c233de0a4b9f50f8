"""A tree of statements -> entries with values; what the vocabulary does not allow is told.

An entry whose values are wrong is left out, so that what is compiled from entries is right.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from standfest.config.keepalived.expand import INCLUDE
from standfest.config.keepalived.grammar import OURS, Keyword
from standfest.config.keepalived.shapes import FLAG
from standfest.config.keepalived.source import Origin, Report
from standfest.config.keepalived.tree import Statement
from standfest.config.keepalived.vocabulary import GONE, KINDS, OUTSIDE, where_known
from standfest.config.lines import BadValueError, shown
from standfest.config.nearest import nearest

_SECRET: Final = frozenset({"auth_pass", "password", "key"})
_INCLUDES: Final = frozenset(INCLUDE + kind for kind in ("", "r", "m", "w", "b", "a"))


@dataclass(slots=True)
class Entry:
    """A statement that is right: its keyword, what its arguments mean, and what is in its block.

    kind: the kind of block that `entries` stand in; an element of a list has no keyword.
    """

    keyword: str
    value: object
    statement: Statement
    kind: str = ""
    entries: list["Entry"] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        """Return where the statement stands."""
        return self.statement.origin

    @property
    def name(self) -> str:
        """Return the first argument as it is written."""
        words = self.statement.words
        return words[0] if words else ""

    def all(self, *keywords: str) -> list["Entry"]:
        """Return the entries in the block with one of these keywords, in order."""
        return [entry for entry in self.entries if entry.keyword in keywords]

    def last(self, *keywords: str) -> "Entry | None":
        """Return the last entry with one of these keywords, which is the one that counts."""
        for entry in reversed(self.entries):
            if entry.keyword in keywords:
                return entry
        return None

    def has(self, *keywords: str) -> bool:
        """Return whether one of these keywords is there."""
        return any(entry.keyword in keywords for entry in self.entries)

    def elements(self, *keywords: str) -> Iterator["Entry"]:
        """Yield the elements of all list blocks with one of these keywords."""
        for block in self.all(*keywords):
            yield from block.entries


def check(statements: Sequence[Statement], report: Report) -> Entry:
    """Return the entries outside of all blocks, as the entries of a nameless one."""
    root = Entry("", None, Statement("", (), Origin("", 0)), OUTSIDE)
    root.entries = list(_entries(statements, OUTSIDE, root.statement, report))
    return root


def _entries(
    statements: Sequence[Statement], kind: str, around: Statement, report: Report
) -> Iterator[Entry]:
    element = KINDS[kind].element
    if element is not None:
        yield from _elements(statements, kind, around, report)
        return
    once: dict[str, Statement] = {}
    for statement in statements:
        keyword = KINDS[kind].keywords.get(statement.keyword)
        if _is_include(statement):
            continue
        if keyword is None:
            if statement.keyword:
                _unknown(statement, kind, around, report)
            continue
        entry = _entry(statement, keyword, report)
        if entry is None:
            continue
        before = once.setdefault(statement.keyword, statement)
        if before is not statement and not keyword.repeated and keyword.shape is not FLAG:
            problem = f'"{statement.keyword}" again, after line {before.origin.line}'
            report.warn(statement.origin, problem, "it once; the last one holds")
        yield entry


def _elements(
    statements: Sequence[Statement], kind: str, around: Statement, report: Report
) -> Iterator[Entry]:
    shape = KINDS[kind].element
    assert shape is not None, "_entries asked"
    for statement in statements:
        words = (statement.keyword, *statement.words)
        if _is_include(statement):
            continue
        if statement.block is not None:
            problem = f'"{{" after "{shown(statement.keyword)}" in {_named(around)}'
            report.error(statement.origin, problem, shape.expected)
            continue
        if not statement.keyword:
            continue
        try:
            yield Entry("", shape.read(words), statement)
        except BadValueError as problem:
            there = f'"{shown(" ".join(words))}" in {_named(around)}'
            report.error(statement.origin, there, problem.expected)


def _entry(statement: Statement, keyword: Keyword, report: Report) -> Entry | None:
    _remark(statement, keyword, report)
    words = statement.words
    shape = keyword.shape
    if _is_inline(statement, keyword):
        shape_of_block = " ".join(shown(word) for word in words[:2])
        expected = f"{statement.keyword} {{ {shape_of_block} }}"
        report.error(
            statement.origin, f'"{statement.keyword}" is not followed by a block', expected
        )
        return None
    if len(words) < shape.least:
        problem = f'"{statement.keyword}" lacks a parameter'
        report.error(statement.origin, problem, shape.expected)
        return None
    if shape.most is not None and len(words) > shape.most:
        _surplus(statement, keyword, report)
        words = words[: shape.most]
    try:
        value = shape.read(words)
    except BadValueError as problem:
        there = f"{statement.keyword} is {_shown_words(statement.keyword, words)}"
        report.error(statement.origin, there, problem.expected)
        if not keyword.block:
            return None
        value = None
    entry = Entry(statement.keyword, value, statement, keyword.block)
    if not _block(entry, keyword, report):
        return None
    return None if value is None and keyword.block else entry


def _is_include(statement: Statement) -> bool:
    """Return whether this stands for a file that was not there, which has been told."""
    return statement.keyword.startswith(INCLUDE) and statement.keyword in _INCLUDES


def _is_inline(statement: Statement, keyword: Keyword) -> bool:
    """Return whether what belongs into a list block stands behind its keyword instead."""
    lists = bool(keyword.block) and KINDS[keyword.block].element is not None
    return lists and keyword.shape is FLAG and bool(statement.words) and statement.block is None


def _shown_words(keyword: str, words: Sequence[str]) -> str:
    if keyword in _SECRET:
        return "not what it may be"
    return f'"{shown(" ".join(words))}"' if words else "empty"


def _remark(statement: Statement, keyword: Keyword, report: Report) -> None:
    if keyword.instead:
        problem = f'"{statement.keyword}" is an old name'
        report.tolerate(statement.origin, problem, f'"{keyword.instead}"')
    if keyword.since == OURS:
        problem = f'"{statement.keyword}" is our own: keepalived does not know it'
        report.warn(statement.origin, problem)
    elif keyword.since:
        problem = f'"{statement.keyword}" is known from keepalived {keyword.since} on'
        report.warn(statement.origin, problem)
    for word in statement.arguments:
        if word.text.startswith("$") and word.text[1:2].isalpha() and not word.quoted:
            report.warn(statement.origin, f'parameter "{shown(word.text)}" is not defined')
        elif "${" in word.text and not word.quoted:
            report.error(
                statement.origin,
                f'parameter "{shown(word.text)}" is not defined',
                "a $NAME=... before",
            )


def _surplus(statement: Statement, keyword: Keyword, report: Report) -> None:
    assert keyword.shape.most is not None, "the caller compared it"
    extra = statement.words[keyword.shape.most :]
    there = f'"{shown(" ".join(extra))}"' if statement.keyword not in _SECRET else "something"
    problem = f'{there} after "{statement.keyword}" is ignored'
    if keyword.block and keyword.shape is not FLAG:
        report.error(statement.origin, problem, "a name of one word, in quotes if it has blanks")
    else:
        report.warn(statement.origin, problem, keyword.shape.expected if extra else "")


def _block(entry: Entry, keyword: Keyword, report: Report) -> bool:
    """Read the block of an entry; return whether the entry is of any use."""
    statement = entry.statement
    if not keyword.block:
        if statement.block is not None:
            problem = f'"{{" after "{statement.keyword}", which has no block'
            report.error(statement.origin, problem)
        return True
    if statement.block is None:
        report.error(statement.origin, f'"{statement.keyword}" has no block', '"{" after it')
        return False
    entry.entries = list(_entries(statement.block, keyword.block, statement, report))
    return all(_need(entry, word, report) for word in KINDS[keyword.block].needs)


def _need(entry: Entry, word: str, report: Report) -> bool:
    if entry.has(word):
        return True
    if any(statement.keyword == word for statement in entry.statement.block or ()):
        return False  # it is there and wrong, which has been told
    problem = f'{_named(entry.statement)} ends here without "{word}"'
    report.error(entry.statement.end, problem, f'"{word}"')
    return False


def _named(statement: Statement) -> str:
    words = " ".join(statement.words[:2])
    return f'{statement.keyword} "{shown(words)}"' if words else statement.keyword


def _unknown(statement: Statement, kind: str, around: Statement, report: Report) -> None:
    where = f"in {_named(around)}" if around.keyword else "outside of all blocks"
    problem = f'"{shown(statement.keyword)}" is not known {where}'
    report.error(statement.origin, problem, _meant(statement.keyword, kind))


def _meant(word: str, kind: str) -> str:
    """Return what an unknown keyword was probably meant to be."""
    if word in GONE:
        return GONE[word]
    known = KINDS[kind].keywords
    close = nearest(word, known)
    elsewhere = where_known(word)
    inside = [name for name in elsewhere if any(name == key.block for key in known.values())]
    around = [name for name in elsewhere if any(key.block == kind for key in _opened_in(name))]
    if inside or around or (elsewhere and close is None):
        places = " or ".join(f"{name}" for name in (inside or around or elsewhere)[:3])
        return f"it in {places}" if places != OUTSIDE else f"it {OUTSIDE}"
    if close is not None:
        return f'"{close}"'
    return f"a keyword of {kind}" if kind != OUTSIDE else "a block or a keyword of keepalived.conf"


def _opened_in(kind: str) -> list[Keyword]:
    return list(KINDS[kind].keywords.values())
