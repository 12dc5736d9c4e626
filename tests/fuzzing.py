"""What the fuzz targets share: damage to good files, and what a good refusal is."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

_SYMBOLS = b'0123456789-.e \n{}[]",:'
_numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, 10**30, 10**400]),
    st.floats(),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def damaged_json(draw: st.DrawFn, document: Any) -> bytes:
    """A JSON document with one to four of its entries replaced, removed, renamed or repeated."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        holder, key = draw(st.sampled_from(_places(document) or [([document], 0)]))
        action = draw(st.sampled_from(["replace", "replace", "remove", "rename", "repeat"]))
        if action == "replace":
            holder[key] = draw(json_values)
        elif action == "remove":
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            new = draw(st.one_of(st.text(max_size=6), st.sampled_from(["0", "-1", "1e9", "../x"])))
            holder[new] = holder[key] if action == "repeat" else holder.pop(key)
    text = json.dumps(document).encode()
    return draw(damaged_bytes(text)) if draw(st.integers(0, 9)) == 0 else text


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    items: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        items = list(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document[:20]))
    found = []
    for key, value in items:
        found += [(document, key), *_places(value)]
    return found


_XML_VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "2", "-1", "1.5", "nan", "inf", "1e39", "9" * 20, "x", "1 0 0", "0 1", "#a"]
    ),
    st.text(st.characters(exclude_characters='<&"', exclude_categories=["C"]), max_size=6),
)


@st.composite
def damaged_xml(draw: st.DrawFn, document: str) -> bytes:
    """An XML document with one to four values, numbers, names or elements of it exchanged,
    repeated or removed."""
    kinds = [r'(?<=")[^"<>]*(?=")', r"(?<=[ >])[-0-9.e]+(?=[ <])", r"(?<=<)/?[\w:]+", r"<[^<>]*>"]
    for _ in range(draw(st.integers(1, 4))):
        pattern = draw(st.sampled_from(kinds))
        places = [match.span() for match in re.finditer(pattern, document)] or [(0, 0)]
        (start, end), (other, to) = draw(st.sampled_from(places)), draw(st.sampled_from(places))
        new = draw(_XML_VALUES) if pattern in kinds[:2] and draw(st.booleans()) else ""
        action = draw(st.sampled_from(["exchange", "repeat", "remove"]))
        if action == "exchange":
            new = new or document[other:to]
        elif action == "repeat":
            new = document[start:end] * draw(st.integers(2, 30))
        document = document[:start] + new + document[end:]
    content = document.encode()
    return draw(damaged_bytes(content)) if draw(st.integers(0, 9)) == 0 else content


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes, header: int = 500) -> bytes:
    """A file's content cut, overwritten, shortened or lengthened in places, or replaced."""
    changed = bytearray(content)
    action = draw(st.sampled_from(["cut", "overwrite", "header", "remove", "insert", "replace"]))
    if action == "cut":
        return bytes(changed[: draw(st.integers(0, max(len(changed) - 1, 0)))])
    if action == "replace":
        return draw(st.binary(max_size=400))
    for _ in range(draw(st.integers(1, 4))):
        end = min(len(changed), header) if action == "header" else len(changed)
        at = draw(st.integers(0, max(end - 1, 0)))
        if action == "remove":
            del changed[at : at + draw(st.integers(1, 30))]
        elif action == "insert":
            changed[at:at] = draw(st.binary(min_size=1, max_size=20))
        elif changed:
            values = st.sampled_from(_SYMBOLS) if action == "header" else st.integers(0, 255)
            changed[at] = draw(values)
    return bytes(changed)


def check_refusal(error: Exception, path: Path | str) -> None:
    """An error is one short sentence that names what is wrong."""
    assert str(path) in str(error), ascii(error)
    assert len(str(error).replace(str(path), "")) < 600, ascii(error)
