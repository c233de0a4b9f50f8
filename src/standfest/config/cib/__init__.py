"""CIB files: fragments in both dialects -> one current configuration -> values."""

from standfest.config.cib.compile import compile_configuration
from standfest.config.cib.load import Loaded, load
from standfest.config.cib.status import read_status

__all__ = ["Loaded", "compile_configuration", "load", "read_status"]
