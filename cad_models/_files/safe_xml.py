"""XML from strangers, element by element: no entities, no document types, nothing without end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from xml.parsers import expat

from cad_models._mesh.checked import MAX_FACES

_MOST_TAGS = 8 * MAX_FACES
"""Of a mesh of the most triangles one for each, and for each of three corners a vertex and a
colour."""
_LONGEST_TAG = 2**20
"""Of a file that comes in pieces: the parser begins a tag anew with each of them."""
_MOST_DEPTH = 200


class XmlError(ValueError):
    """A file is not XML, or XML that a mesh file has no need of."""


def read_elements(
    chunks: Iterable[bytes],
    on_start: Callable[[str, dict[str, str]], None],
    on_prefix: Callable[[str | None, str], None] | None = None,
    on_text: Callable[[str], None] | None = None,
) -> None:
    """Call `on_start` with name and attributes of each element, as they come.

    Names are `namespace local`, or `local` where there is no namespace. `on_prefix` gets each
    prefix and its namespace before the element that declares it, `on_text` all text.

    Raises:
        XmlError: it is malformed, too deep or too long, or declares a document type, which is
            what entities, and files from outside, would come in through.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    depth = tags = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MOST_DEPTH:
            raise XmlError(f"XML of more than {_MOST_DEPTH} levels")
        on_start(name, attributes)

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.XmlDeclHandler = _check_encoding
    if on_prefix is not None:
        parser.StartNamespaceDeclHandler = on_prefix
    if on_text is not None:
        parser.buffer_text, parser.CharacterDataHandler = True, on_text
    try:
        for chunk in chunks:
            if len(chunk) >= _LONGEST_TAG and b">" not in chunk:
                raise XmlError(f"a tag or a text of more than {_LONGEST_TAG} bytes")
            tags += chunk.count(b"<")
            if tags > _MOST_TAGS:
                raise XmlError(f"XML of more than {_MOST_TAGS} tags")
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    # LookupError: an encoding that is none, or an attribute that an element lacks.
    except (expat.ExpatError, LookupError) as error:
        raise XmlError(str(error)) from None


def _check_encoding(_: str, encoding: str | None, __: int) -> None:
    """Refuse an encoding in which tags are not counted."""
    if encoding is not None and "<".encode(encoding).strip(b"\0\xff\xfe") != b"<":
        raise XmlError(f"{encoding[:30]!r} is not an encoding of XML")


def _refuse_document_type(*_: object) -> None:
    raise XmlError("it declares an XML document type")
