"""CIB files: fragments in both dialects -> one current configuration -> values."""

from standfest.config.cib.compile import compile_configuration
from standfest.config.cib.load import Loaded, checked, load, version_of
from standfest.config.cib.status import read_status

__all__ = ["Loaded", "checked", "compile_configuration", "load", "read_status", "version_of"]
