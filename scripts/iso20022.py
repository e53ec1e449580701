"""Whether ISO 20022 messages are valid: read by pyiso20022, each value held against the schema's own limits.

The library's parser refuses what a schema does not know and what is of another type; the limits (lengths, patterns,
digits, what is required) stand in its classes and are checked here.
"""

import dataclasses
import enum
import importlib
import re
import sys
import xml.etree.ElementTree as ElementTree
from decimal import Decimal

from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig

PREFIX = "{urn:iso:std:iso:20022:tech:xsd:"
ENVELOPE = PREFIX + "nvlp.001.001.01}"


def violations(value, element, path):
    names = [field.metadata.get("name") for field in dataclasses.fields(value)]
    children = [child.tag.split("}")[1] for child in element]
    places = [names.index(child) for child in children if child in names]
    if places != sorted(places):
        yield f"{path}: its elements are in another order: {', '.join(children)}"
    for field in dataclasses.fields(value):
        here, limits = f"{path}/{field.metadata.get('name', field.name)}", field.metadata
        found = getattr(value, field.name)
        items = found if isinstance(found, list) else [] if found is None else [found]
        at_least = limits.get("min_occurs", 1 if limits.get("required") else 0)
        if len(items) < at_least:
            yield f"{here} is missing"
        if len(items) > limits.get("max_occurs", sys.maxsize):
            yield f"{here} is there too often"
        below = [child for child in element if child.tag.split("}")[1] == limits.get("name")]
        for n, item in enumerate(items):
            if dataclasses.is_dataclass(item):
                yield from choice(item, here)
                yield from violations(item, below[n], here)
            else:
                yield from breaches(item, limits, here)


def choice(item, path):
    """The standard's choices are classes whose name ends so, and one of their members is there."""
    if type(item).__name__.endswith("Choice"):
        given = [field for field in dataclasses.fields(item) if getattr(item, field.name) not in (None, [])]
        if len(given) != 1:
            yield f"{path} makes {len(given)} choices"


def breaches(item, limits, path):
    if isinstance(item, enum.Enum):
        return
    if isinstance(item, str):
        if "pattern" in limits and not re.fullmatch(limits["pattern"], item):
            yield f"{path}: {item!r} is not of the form {limits['pattern']}"
        if not limits.get("min_length", 0) <= len(item) <= limits.get("max_length", sys.maxsize):
            yield f"{path}: {item!r} has {len(item)} characters"
    if isinstance(item, Decimal):
        _, digits, exponent = item.as_tuple()
        if len(digits) > limits.get("total_digits", sys.maxsize):
            yield f"{path}: {item} has too many digits"
        if -exponent > limits.get("fraction_digits", sys.maxsize):
            yield f"{path}: {item} has too many decimals"
        if item < limits.get("min_inclusive", item):
            yield f"{path}: {item} is too small"


def check(element):
    namespace, name = element.tag[1:].split("}")
    definition = namespace.rsplit(":", 1)[1].replace(".", "_")
    module = importlib.import_module(f"pyiso20022.{definition[:4]}.{definition}.{definition}")
    parser = XmlParser(config=ParserConfig(fail_on_unknown_properties=True, fail_on_converter_warnings=True))
    value = parser.from_bytes(ElementTree.tostring(element), getattr(module, name))
    return list(violations(value, element, name))


def main(files):
    failed = False
    for file in files:
        envelope = ElementTree.parse(file).getroot()
        try:
            parts = [envelope.find(f"{ENVELOPE}{part}")[0] for part in ("Hdr", "Doc")]
            found = [violation for part in parts for violation in check(part)]
        except Exception as error:  # Whatever it is, the message could not be read.
            found = [repr(error)]
        for violation in found:
            print(f"{file}: {violation}", file=sys.stderr)
        failed = failed or bool(found)
    if not files:
        sys.exit("usage: scripts/iso20022.sh FILE…")
    print(f"{len(files)} messages read")
    sys.exit(1 if failed else 0)


main(sys.argv[1:])
