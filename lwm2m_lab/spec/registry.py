"""OMA object files (XML): any object's definition from its bytes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from types import MappingProxyType
from xml.parsers import expat

from lwm2m_lab.errors import BadInput
from lwm2m_lab.spec.objects import ObjectDefinition, Resource

__all__ = ["parse_objects"]

#: The registry's largest object file has some 200 kB; beyond this it is something else.
LARGEST = 4 * 2**20


def parse_objects(data: bytes, *, name: str) -> list[ObjectDefinition]:
    """Read an OMA object file.

    Parameters
    ----------
    data : bytes
        The XML, in any encoding that it declares.
    name : str
        Of the file, for messages.

    Raises
    ------
    BadInput
        Where it is no well-formed XML, holds no LwM2M object, or declares a document type or entities: no registered
        file has any, and they can make a parser read other files or swell without end.

    Examples
    --------
    >>> parse_objects(b"<!DOCTYPE LWM2M><LWM2M/>", name="x.xml")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: x.xml declares a document type, which no OMA object file has; one without is expected
    """
    if len(data) > LARGEST:
        raise BadInput(f"{name} has {len(data)} bytes; an OMA object file of at most {LARGEST} is expected")
    _refuse_document_type(data, name)
    root = ElementTree.fromstring(data)
    found = [_object(element, name) for element in root.iter("Object")]
    if not found:
        raise BadInput(f"{name} holds no LwM2M object; an OMA object file with an <Object> is expected")
    return found


def _refuse_document_type(data: bytes, name: str) -> None:
    """Let expat look for a DOCTYPE before anything is built: it knows every encoding, a search for bytes would not."""
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise BadInput(f"{name} declares a document type, which no OMA object file has; one without is expected")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except BadInput:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise BadInput(f"{name} is no well-formed XML ({error}); an OMA object file is expected") from None


def _object(element: ElementTree.Element, file: str) -> ObjectDefinition:
    """One object of the file."""
    number, name = _text(element, "ObjectID"), _text(element, "Name")
    if not number.isdigit() or not name:
        raise BadInput(f"{file} holds an object without a name or number; ObjectID and Name are expected")
    resources = [_resource(item, file) for item in element.iterfind("Resources/Item")]
    return ObjectDefinition(
        id=int(number),
        name=name,
        # A file without a version describes version 1.0.
        version=_text(element, "ObjectVersion") or "1.0",
        resources=MappingProxyType({resource.id: resource for resource in resources}),
        multiple=_text(element, "MultipleInstances") == "Multiple",
        mandatory=_text(element, "Mandatory") == "Mandatory",
    )


def _resource(item: ElementTree.Element, file: str) -> Resource:
    number = (item.get("ID") or "").strip()
    if not number.isdigit():
        raise BadInput(f"{file} holds a resource with the id {number!r}; a number is expected")
    return Resource(
        id=int(number),
        name=_text(item, "Name"),
        operations=_text(item, "Operations"),
        mandatory=_text(item, "Mandatory") == "Mandatory",
        multiple=_text(item, "MultipleInstances") == "Multiple",
        type=_text(item, "Type"),
        range=_text(item, "RangeEnumeration"),
        units=_text(item, "Units"),
    )


def _text(element: ElementTree.Element, child: str) -> str:
    return (element.findtext(child) or "").strip()
