"""Whether a whole CIB that somebody is about to keep is one that a cluster can use.

The schema that it names comes first; where nothing is wrong by that, what `load` and `compile`
refuse: values that mean nothing, names that nobody has.
"""

from standfest.config.cib.compile import compile_configuration
from standfest.config.cib.load import load
from standfest.config.cib.schema.validate import validate
from standfest.config.cib.schema.versions import NONE
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Finding


def problems(cib: Element, path: str) -> tuple[Finding, ...]:
    """Return what is wrong with a <cib>, lines counted as it will be written; nothing by "none"."""
    if cib.get("validate-with") == NONE:
        return ()
    text = xml.serialise(cib)
    try:
        found = validate(xml.parse(text, path), path)
        if not found:
            loaded = load([(path, text)])
            compile_configuration(loaded.configuration, path)
    except ConfigError as error:
        found = list(error.findings)
    return tuple(finding for finding in found if finding.refuses)
