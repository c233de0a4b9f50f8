"""A CIB shown as Pacemaker's tools show it: text, XML of `api-result` 2.25, HTML.

`situation.read` makes a view of a document; the functions below say parts of it. Sources:
facts/formats/TOOLS.md section 5, and what Debian's crm_mon 2.1.5 prints for the same documents.
"""

from standfest.monitor.crm.nodes import nodes_text, nodes_xml
from standfest.monitor.crm.page import html, simple, text, xml
from standfest.monitor.crm.resources import resources_text
from standfest.monitor.crm.resources_xml import resources_xml
from standfest.monitor.crm.show import Show
from standfest.monitor.crm.situation import Situation, read, situation_of

__all__ = [
    "Show",
    "Situation",
    "html",
    "nodes_text",
    "nodes_xml",
    "read",
    "resources_text",
    "resources_xml",
    "simple",
    "situation_of",
    "text",
    "xml",
]
