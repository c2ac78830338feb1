"""Objects 3 and 5 against OMA's own files."""

from __future__ import annotations

import pathlib

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.spec.objects import DEVICE, FIRMWARE_UPDATE, State, UpdateResult, object_definition
from lwm2m_lab.spec.registry import parse_objects


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
@pytest.mark.parametrize(("number", "table"), [(3, DEVICE), (5, FIRMWARE_UPDATE)])
def test_every_field_is_the_registrys(shared: pathlib.Path, version: str, number: int, table: dict) -> None:
    """Each resource of each version has the registered name, operations, need, instances, type, range and units."""
    name = f"{number}-{version.replace('.', '_')}.xml"
    (registered,) = parse_objects((shared / "omna" / name).read_bytes(), name=name)
    ours = table[version]
    assert (ours.id, ours.name, ours.mandatory) == (registered.id, registered.name, registered.mandatory)
    assert list(ours.resources) == list(registered.resources)
    for resource in registered.resources.values():
        mine = ours.resources[resource.id]
        # The oldest file spells a range 0-7, the later ones 0..7.
        wanted = resource.range.replace("-", "..")
        assert (mine.name, mine.operations, mine.type, mine.range, mine.units) == (
            resource.name,
            resource.operations,
            resource.type,
            wanted,
            resource.units,
        )
        assert (mine.mandatory, mine.multiple) == (resource.mandatory, resource.multiple)


def test_results_of_each_version() -> None:
    """1.0 knows 0 to 9, later versions 0 to 11; there are no others in Object 5."""
    assert [result for result in UpdateResult if not result.valid("1.0")] == [
        UpdateResult.CANCELLED,
        UpdateResult.DEFERRED,
    ]
    assert all(result.valid("1.2") for result in UpdateResult)
    assert list(map(int, State)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no well-formed XML"),
        (b"<LWM2M/>", "holds no LwM2M object"),
        (b"<LWM2M><Object><Name>x</Name></Object></LWM2M>", "without a name or number"),
        (b'<!DOCTYPE a [<!ENTITY e "x">]><LWM2M/>', "declares a document type"),
        ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><LWM2M/>'.encode("utf-16"), "declares a document type"),
        (b"%PDF-1.7", "no well-formed XML"),
    ],
)
def test_what_is_no_object_file(data: bytes, sentence: str) -> None:
    """Each is refused in one sentence."""
    with pytest.raises(BadInput, match=sentence):
        parse_objects(data, name="x.xml")


def test_unknown_objects_and_versions() -> None:
    """The message says what there is."""
    with pytest.raises(BadInput, match="object 9 is not built in"):
        object_definition(9, "1.0")
    with pytest.raises(BadInput, match="no version '1.3'; one of 1.0, 1.1, 1.2"):
        object_definition(5, "1.3")


def test_an_object_prints_as_a_table() -> None:
    """One line a resource, in text and in HTML."""
    assert "  3 State                              R   mandatory  Integer 0..3" in str(FIRMWARE_UPDATE["1.0"])
    assert FIRMWARE_UPDATE["1.2"]._repr_html_().count("<tr>") == 15
