"""A whole CIB document -> its configuration, and its status in compact form, in one pass.

The status of a large cluster is most of the document; its entries become slots objects as expat
reads them, so that it is never in memory as a tree. Source: facts/formats/CIB-STATUS.md.
"""

import re
from sys import intern
from xml.parsers import expat

from standfest.config.cib import references
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding
from standfest.model.history import Entry, NodeRecord, Recorded, ResourceRecord, Ticket

MAX_BYTES = 1 << 30
MAX_DEPTH = 64
_NUMBER = re.compile(r"\s*(-?\d{1,15})", re.ASCII)
_DURATION = {"s": 1000, "": 1, "ms": 1, "min": 60_000}


_Frame = tuple[str, tuple[tuple[str, str], ...], int, list[Element], list[str]]


class _Reader:
    def __init__(self, path: str, parser: expat.XMLParserType) -> None:
        self._path = path
        self._parser = parser
        self._open: list[
            tuple[str, tuple[tuple[str, str], ...], int, list[Element], list[str]]
        ] = []
        self.recorded = Recorded()
        self.configuration: Element | None = None
        self.root: str | None = None
        self._node: NodeRecord | None = None
        self._resource: ResourceRecord | None = None
        self._transient = 0
        self._uses = False
        self._depth = 0
        self._in_status = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            line = self._parser.CurrentLineNumber
            problem, expected = "elements nested too deeply", f"at most {MAX_DEPTH} levels"
            raise ConfigError(Finding(self._path, line, problem, expected))
        if self._in_status:
            self._status(tag, attributes)
            return
        if self.root is None:
            self.root = tag
            if tag == "cib":
                self.recorded.attributes = attributes
                return
        if tag == "status" and self._depth == 2:
            self._in_status = True
            return
        line = self._parser.CurrentLineNumber
        self._open.append((tag, tuple(attributes.items()), line, [], []))

    def _status(self, tag: str, attributes: dict[str, str]) -> None:
        get = attributes.get
        if tag == "lrm_rsc_op":
            if self._resource is not None:
                entry = _entry(attributes)
                if entry is not None:
                    self._resource.entries.append(entry)
        elif tag == "lrm_resource":
            if self._node is not None:
                agent = (
                    intern(get("class", "")),
                    intern(get("provider", "")),
                    intern(get("type", "")),
                )
                self._resource = ResourceRecord(intern(get("id", "")), agent)
                self._resource.container = get("container", "")
                self._resource.lock = _integer(get("shutdown-lock"), 0)
                self._node.history.append(self._resource)
        elif tag == "nvpair":
            if self._node is not None and self._transient:
                kept = self._node.utilization if self._uses else self._node.transient
                kept.setdefault(get("name", ""), get("value", ""))
        elif tag == "utilization":
            self._uses = True
        elif tag == "transient_attributes":
            self._transient += 1
        elif tag == "node_state":
            name = get("uname") or get("id", "")
            self._node = NodeRecord(get("id", ""), name, attributes)
            self.recorded.nodes.append(self._node)
        elif tag in ("ticket_state", "ticket"):
            self.recorded.tickets.append(Ticket.stated(get("id", ""), attributes))

    def end(self, tag: str) -> None:
        self._depth -= 1
        if self._in_status:
            if tag == "lrm_resource":
                self._resource = None
            elif tag == "utilization":
                self._uses = False
            elif tag == "transient_attributes":
                self._transient -= 1
            elif tag == "node_state":
                self._node = None
            elif tag == "status" and self._depth == 1:
                self._in_status = False
            return
        if not self._open:
            return
        name, attributes, line, children, text = self._open.pop()
        content = "".join(text)
        if children or not content.strip():
            content = content.strip()
        element = Element(name, attributes, tuple(children), content, line)
        if self._open:
            self._open[-1][3].append(element)
        elif name == "configuration" or self.configuration is None:
            self.configuration = element

    def data(self, text: str) -> None:
        if self._open and not self._in_status:
            self._open[-1][4].append(text)

    def doctype(self, *_: object) -> None:
        line = self._parser.CurrentLineNumber
        problem, expected = "a document type declaration", "plain XML without DTD or entities"
        raise ConfigError(Finding(self._path, line, problem, expected))


def _integer(text: str | None, fallback: int) -> int:
    if text is None:
        return fallback
    if text.isdecimal() and len(text) < 16:
        return int(text)
    match = _NUMBER.match(text)
    return int(match[1]) if match is not None else fallback


def _entry(attributes: dict[str, str]) -> Entry | None:
    get = attributes.get
    task = get("operation")
    if not task:
        return None
    interval = get("interval", "0")
    milliseconds = int(interval) if interval.isdigit() and len(interval) < 16 else 0
    code = _integer(get("rc-code"), 193)
    entry = Entry(intern(task), milliseconds, code, _integer(get("op-status"), 0))
    entry.id = get("id", "")
    entry.key = get("operation_key") or entry.id
    key = get("transition-key", "")
    entry.transition = key
    parts = key.split(":")
    if len(parts) >= 4:
        entry.expected = _integer(parts[2], -1)
    else:
        magic = get("transition-magic", "").partition(";")[2].split(":")
        if len(magic) >= 4:
            entry.expected = _integer(magic[2], -1)
    entry.call_id = _integer(get("call-id"), -1)
    entry.last_change = _integer(get("last-rc-change"), 0)
    entry.failed = entry.id.endswith("_last_failure_0")
    digest = get("op-digest")
    if digest:
        entry.digest = intern(digest)
        entry.restart_digest = intern(get("op-restart-digest", ""))
        entry.force_restart = get("op-force-restart")
        entry.secure = get("op-secure-params")
        entry.secure_digest = get("op-secure-digest", "")
    entry.migrate_source = get("migrate_source", "")
    entry.migrate_target = get("migrate_target", "")
    entry.exit_reason = get("exit-reason", "")
    return entry


def read(text: bytes | str, path: str) -> tuple[Element, Recorded]:
    """Return (<configuration>, status) of a CIB document, or of a bare <configuration>.

    Raises ConfigError with the line for text that is not well-formed or holds a DTD.
    """
    content = text.encode() if isinstance(text, str) else text
    if len(content) > MAX_BYTES:
        raise ConfigError(Finding(path, 0, f"{len(content)} bytes", f"at most {MAX_BYTES}"))
    parser = expat.ParserCreate("utf-8" if isinstance(text, str) else None)
    reader = _Reader(path, parser)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        problem = f"not XML: {expat.ErrorString(error.code)}"
        raise ConfigError(Finding(path, error.lineno, problem, "well-formed XML")) from error
    except (ValueError, LookupError) as error:
        raise ConfigError(Finding(path, 1, f"not readable: {error}", "UTF-8")) from error
    configuration = reader.configuration
    if configuration is None or reader.root not in ("cib", "configuration"):
        problem = f"root element <{reader.root}>"
        raise ConfigError(Finding(path, 1, problem, "<cib> or <configuration>"))
    if b"id-ref" in content:
        configuration = references.resolve(configuration).configuration
    return configuration, reader.recorded
