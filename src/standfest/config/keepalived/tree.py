"""Lines -> a tree of statements: a keyword, its arguments, its block, and where it stands.

The tree follows the braces alone; what keywords mean is the vocabulary's business. After a mistake
it goes on as the author meant it: a top-level block inside another one says that a `}` is missing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from standfest.config.keepalived.source import Limits, Line, Origin, Report, TooMuchError
from standfest.config.keepalived.words import Token, Word, escaped, plain
from standfest.config.lines import shown


@dataclass(slots=True, eq=False)
class Statement:
    """A keyword with arguments; block: the statements between its braces, or None without any.

    closed: where the block ends, which is where keepalived tells what a block lacks.
    """

    keyword: str
    arguments: tuple[Word, ...]
    origin: Origin
    block: list["Statement"] | None = None
    closed: Origin | None = None

    def __eq__(self, other: object) -> bool:
        """Two statements are equal when they say the same, wherever they stand."""
        if not isinstance(other, Statement):
            return NotImplemented
        return self._said() == other._said() and self.block == other.block

    def _said(self) -> tuple[str, tuple[str, ...]]:
        return self.keyword, self.words

    __hash__ = None  # type: ignore[assignment] # mutable while the tree is built

    @property
    def words(self) -> tuple[str, ...]:
        """Return the arguments as text."""
        return tuple(word.text for word in self.arguments)

    @property
    def end(self) -> Origin:
        """Return where the statement ends."""
        return self.closed or self.origin


@dataclass(slots=True)
class _Builder:
    report: Report
    limits: Limits
    commands: frozenset[str]
    outermost: frozenset[str]
    root: list[Statement] = field(default_factory=list)
    path: list[Statement] = field(default_factory=list)

    def line(self, line: Line) -> None:
        """Add what one line says."""
        words: list[Word] = []
        for token in self._tokens(line.text):
            if isinstance(token, Word):
                words.append(token)
                continue
            last = self._statement(words, line.origin)
            words = []
            if token.text == "{":
                self._open(last, line.origin)
            else:
                self._close(line.origin)
        self._statement(words, line.origin)

    def _tokens(self, text: str) -> Iterator[Token]:
        keyword = text.split(maxsplit=1)[0]
        if keyword not in self.commands:
            # A one-line block may have the command inside: vrrp_script x { script "..." }
            if self.commands.isdisjoint(text.replace("{", " ").split()):
                return plain(text)
            return self._mixed(text)
        return escaped(text)

    def _mixed(self, text: str) -> Iterator[Token]:
        """Yield tokens segment by segment between braces, each by its own keyword's rules."""
        for part in _segments(text):
            keyword = part.split(maxsplit=1)[0] if part.strip() else ""
            yield from escaped(part) if keyword in self.commands else plain(part)

    def _here(self) -> list[Statement]:
        block = self.path[-1].block if self.path else self.root
        assert block is not None, "open statements have blocks"
        return block

    def _statement(self, words: list[Word], origin: Origin) -> Statement | None:
        if not words:
            return None
        keyword = words[0].text
        if self.path and keyword in self.outermost and not words[0].quoted:
            self._recover(keyword, len(words), origin)
        statement = Statement(keyword, tuple(words[1:]), origin)
        self._here().append(statement)
        return statement

    def _recover(self, keyword: str, words: int, origin: Origin) -> None:
        """Close what is open when a block begins that only stands outside of all others."""
        opened = self.path[0]
        if opened.keyword not in self.outermost or words < 2:
            return
        problem = (
            f'"{keyword}" inside "{opened.keyword}", which begins in line {opened.origin.line}'
        )
        self.report.error(origin, problem, 'a "}" before it')
        for statement in self.path:
            statement.closed = origin
        self.path.clear()

    def _open(self, last: Statement | None, origin: Origin) -> None:
        if len(self.path) >= self.limits.depth:
            self.report.error(origin, "too many blocks in blocks", f"at most {self.limits.depth}")
            raise TooMuchError
        here = self._here()
        if last is None and here and here[-1].block is None:
            last = here[-1]  # the brace stands on a line of its own
        if last is None:
            self.report.error(origin, '"{" without a keyword before it')
            last = Statement("", (), origin)
            here.append(last)
        last.block = []
        self.path.append(last)

    def _close(self, origin: Origin) -> None:
        if not self.path:
            self.report.error(origin, 'a "}" too many', "no block is open here")
            return
        self.path.pop().closed = origin

    def finish(self, last: Origin) -> None:
        """Note the blocks that never end."""
        for statement in self.path:
            problem = f'the block of "{shown(statement.keyword)}" never ends'
            self.report.error(statement.origin, problem, 'a "}"')
            statement.closed = last


def _segments(text: str) -> Iterator[str]:
    """Yield the text cut before and after each brace outside double quotes."""
    begin, quoted = 0, False
    for place, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char in "{}" and not quoted and text[place - 1 : place] != "$":
            yield text[begin:place]
            yield char
            begin = place + 1
    yield text[begin:]


def build(
    lines: Iterable[Line],
    report: Report,
    limits: Limits,
    *,
    commands: frozenset[str],
    outermost: frozenset[str],
) -> list[Statement]:
    """Return the statements of a configuration.

    commands: keywords whose arguments know escapes; outermost: those of blocks that stand in no
    other. A configuration beyond its limits ends where it exceeds them; the report says so.
    """
    builder = _Builder(report, limits, commands, outermost)
    last = Origin("", 0)
    try:
        for line in lines:
            last = line.origin
            builder.line(line)
    except TooMuchError:
        return builder.root
    builder.finish(last)
    return builder.root
