"""One DNS question and what its answer says: a query, and whether it was answered without an error.

Source: RFC 1035 section 4, RFC 6895 (response codes).
"""

import struct
from typing import Final

from standfest.model.errors import WireError

TYPES: Final = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}
CODES: Final = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_INTERNET: Final = 1
_HEADER: Final = struct.Struct("!HHHHHH")
_QUESTION: Final = struct.Struct("!HH")
_RESPONSE, _RECURSION_DESIRED, _CODE = 0x8000, 0x0100, 0x000F
MAX_LABEL: Final = 63
MAX_NAME: Final = 255


def query(number: int, name: str, kind: str) -> bytes:
    """Return a question for records of a kind (of TYPES); number: 0 to 65,535.

    Raises ValueError when the name is none that DNS can ask for.
    """
    header = _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + _name(name) + _QUESTION.pack(TYPES[kind], _INTERNET)


def _name(name: str) -> bytes:
    labels = [label.encode("utf-8", "surrogateescape") for label in name.rstrip(".").split(".")]
    if labels == [b""]:
        return b"\0"
    if not all(0 < len(label) <= MAX_LABEL for label in labels):
        raise ValueError(f"{name}: no name of a domain; expected labels of 1 to 63 bytes")
    found = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(found) > MAX_NAME:
        raise ValueError(f"{name}: no name of a domain; expected at most {MAX_NAME} bytes")
    return found


def code_of(asked: bytes, answer: bytes) -> int:
    """Return the response code of an answer to the question that was asked, 0 for no error.

    Reasons of WireError: short, other (it answers something else, so wait on), response (it is a
    question itself), question (it repeats another one).
    """
    if len(answer) < _HEADER.size:
        raise WireError("short", f"{len(answer)} bytes; a header has {_HEADER.size}")
    number, flags, questions, *_counts = _HEADER.unpack_from(answer)
    if number != int.from_bytes(asked[:2], "big"):
        raise WireError("other", "another query's answer")
    if not flags & _RESPONSE:
        raise WireError("response", "a query in place of an answer")
    code = int(flags & _CODE)
    if code and not questions:
        return code  # a server that does not understand the question may leave it out
    question = asked[_HEADER.size :]
    if answer[_HEADER.size : _HEADER.size + len(question)].lower() != question.lower():
        raise WireError("question", "an answer to another question")
    return code
