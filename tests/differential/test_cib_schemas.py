"""Our schemas and Pacemaker's own say the same of each document: valid, or not.

The peer is libxml2's xmllint with the schemas in ../shared, which are test data and not ours. It
judges all inputs of the scheduler suite, seeded changes of them, small documents for every element
(tests/differential/cib_documents.py) in all versions, and changes of those; the same for the legacy
dialect and its document type declarations.
"""

import random
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from tests.differential.cib_documents import DOCUMENTS, LEGACY_DOCUMENTS
from tests.differential.cib_mutations import mutated, words_of

from standfest.config.cib.schema.validate import known_schemas, legacy_schemas, validate
from standfest.model import xml
from standfest.model.element import Element

SHARED = next(
    (place for parent in Path(__file__).resolve().parents if (place := parent / "shared").is_dir()),
    Path("absent"),
)
FORMATS = SHARED / "facts/formats"
SCHEMAS = FORMATS / "schemas/pacemaker-3.0.2"
SUITE = SHARED / "suites/scheduler/visible"
DECLARATIONS = {
    "heartbeat-2.0.8": "crm-1.0-heartbeat-2.0.8-20070109.dtd",
    "heartbeat-2.1.2": "crm-1.0-heartbeat-2.1.2+-20070824.dtd",
    "heartbeat-2.1.3": "crm-1.0-heartbeat-2.1.3+-20080109.dtd",
}
SEED = 20100
MUTATIONS = 2_000
AT_MOST = 40_000
"""Characters of a document that is changed: larger ones repeat what smaller ones have."""
DOCUMENTS_PER_CALL = 500
CHANGED = 400
"""Documents of ours that are judged with changes, too."""

DISAGREEMENTS: dict[str, str] = {}
"""Document -> why we judge it otherwise. None is known."""

needs_peer = pytest.mark.skipif(shutil.which("xmllint") is None, reason="xmllint is not installed")
needs_schemas = pytest.mark.skipif(
    not SCHEMAS.is_dir(), reason="Pacemaker's schemas are not here (../shared)"
)
needs_suite = pytest.mark.skipif(
    not SUITE.is_dir(), reason="Pacemaker's scheduler cases are not here (../shared)"
)


def peer_says(schemas: Sequence[str], documents: Sequence[str]) -> list[dict[str, bool]]:
    """Return for each document which schemas xmllint finds it valid by."""
    verdicts: list[dict[str, bool]] = [{} for _ in documents]
    with tempfile.TemporaryDirectory() as directory:
        for number, document in enumerate(documents):
            Path(directory, str(number)).write_text(document, encoding="utf-8")
        for schema in schemas:
            for start in range(0, len(documents), DOCUMENTS_PER_CALL):
                part = range(start, min(start + DOCUMENTS_PER_CALL, len(documents)))
                for number, valid in _asked(schema, directory, part).items():
                    verdicts[number][schema] = valid
    return verdicts


def _asked(schema: str, directory: str, numbers: range) -> dict[int, bool]:
    legacy = schema in DECLARATIONS
    if legacy:
        judge = ["--dtdvalid", str(FORMATS / "schemas/legacy" / DECLARATIONS[schema])]
    else:
        judge = ["--relaxng", str(SCHEMAS / f"{schema}.rng")]
    names = [f"{directory}/{number}" for number in numbers]
    command = ["xmllint", "--noout", *judge, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Of documents that are valid by a declaration, it says nothing.
    verdicts = dict.fromkeys(numbers, True) if legacy else {}
    for line in done.stderr.splitlines():
        if match := re.fullmatch(r"\S*/(\d+) (validates|fails to validate)", line):
            verdicts[int(match[1])] = match[2] == "validates"
        elif match := re.match(r"Document \S*/(\d+) does not validate against ", line):
            verdicts[int(match[1])] = False
    return verdicts


def differences(
    documents: Sequence[tuple[str, Element]], schemas: Sequence[str], total: Counter[bool]
) -> list[str]:
    """Return which documents we judge otherwise by which schema; count the peer's verdicts."""
    found = []
    peer = peer_says(schemas, [xml.serialise(document) for _, document in documents])
    for (name, document), verdicts in zip(documents, peer, strict=True):
        for schema in schemas:
            findings = validate(document, name, schema)
            total[verdicts[schema]] += 1
            if (not findings) is not verdicts[schema]:
                ours = str(findings[0]) if findings else "valid"
                found.append(f"{name} by {schema}: peer {verdicts[schema]}, we: {ours}")
    return [line for line in found if line.split(" by ")[0] not in DISAGREEMENTS]


def suite() -> dict[str, Element]:
    """Return the suite's inputs that name a schema."""
    documents = {
        path.stem: xml.parse(path.read_text(encoding="utf-8"), path.name)
        for path in sorted(SUITE.glob("*.xml"))
    }
    schemas = known_schemas()
    return {name: root for name, root in documents.items() if root.get("validate-with") in schemas}


def by_schema(
    documents: Iterable[tuple[str, Element, str]],
) -> dict[str, list[tuple[str, Element]]]:
    """Return the documents by the schema that judges them."""
    sorted_out: dict[str, list[tuple[str, Element]]] = {}
    for name, document, schema in documents:
        sorted_out.setdefault(schema, []).append((name, document))
    return sorted_out


@needs_peer
@needs_schemas
@needs_suite
def test_the_suite_is_judged_as_by_pacemakers_schemas() -> None:
    total: Counter[bool] = Counter()
    judged = [(name, root, root.get("validate-with") or "") for name, root in suite().items()]
    found = [
        line
        for schema, documents in by_schema(judged).items()
        for line in differences(documents, [schema], total)
    ]
    assert found == []
    assert total[True] >= 400


@needs_peer
@needs_schemas
@needs_suite
def test_changed_suite_documents_are_judged_as_by_pacemakers_schemas() -> None:
    """Each by its own schema, a quarter of them by a newer one, too."""
    source = random.Random(SEED)
    documents = {n: root for n, root in suite().items() if len(xml.serialise(root)) <= AT_MOST}
    names = sorted(documents)
    words = words_of(list(documents.values()))
    schemas = known_schemas()
    judged: list[tuple[str, Element, str]] = []
    for number in range(MUTATIONS):
        name = source.choice(names)
        schema = documents[name].get("validate-with") or ""
        changed = mutated(documents[name], words, source)
        judged.append((f"{number} {name}", changed, schema))
        if number % 4 == 0:
            newer = schemas[schemas.index(schema) :]
            judged.append((f"{number} {name}", changed, source.choice(newer)))
    total: Counter[bool] = Counter()
    found = [
        line
        for schema, part in by_schema(judged).items()
        for line in differences(part, [schema], total)
    ]
    assert found == []
    assert total[True] >= 300
    assert total[False] >= 1_000


@needs_peer
@needs_schemas
def test_every_element_is_judged_as_by_pacemakers_schemas() -> None:
    """All of our documents, and changes of some, in every version."""
    source = random.Random(SEED)
    words = words_of(list(DOCUMENTS.values()))
    judged = list(DOCUMENTS.items())
    for name, document in source.sample(judged, CHANGED):
        judged.append((f"{name}, changed", mutated(document, words, source)))
    total: Counter[bool] = Counter()
    assert differences(judged, known_schemas(), total) == []
    assert total[True] >= 2_000
    assert total[False] >= 10_000


@needs_peer
@needs_schemas
def test_legacy_documents_are_judged_as_by_their_declarations() -> None:
    source = random.Random(SEED)
    sample = FORMATS / "samples/legacy/legacy-cib-2.0.8.xml"
    documents = {**LEGACY_DOCUMENTS, "sample": xml.parse(sample.read_bytes(), sample.name)}
    words = words_of(list(documents.values()))
    judged = list(documents.items())
    for name, document in documents.items():
        judged += [(f"{name}, changed {n}", mutated(document, words, source)) for n in range(200)]
    total: Counter[bool] = Counter()
    assert differences(judged, legacy_schemas(), total) == []
    assert total[True] >= 30
    assert total[False] >= 500
