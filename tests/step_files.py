"""STEP files written by hand, as CAD programs have them: a box in two colours, and a ball."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Color = tuple[float, float, float]
New = Callable[[str], str]
"""Adds an entity and gives its number."""
_HEADER = (
    "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION((''),'2;1');\n"
    "FILE_NAME('','2024-01-01T00:00:00',(''),(''),'','','');\n"
    "FILE_SCHEMA(('AUTOMOTIVE_DESIGN { 1 0 10303 214 1 1 1 1 }'));\nENDSEC;\nDATA;\n"
)


def step_box(
    size: Sequence[float], color: Color, top: Color, unit: str = ".MILLI.", assembled: bool = False
) -> str:
    """A box from the origin, its side with the largest z in a colour of its own.

    `assembled` puts it into an assembly twice, the second time 200 units further along x.
    """
    lines: list[str] = []
    new = _numbered(lines)
    faces = _box_faces(new, np.asarray(size, float))
    solid = new(f"MANIFOLD_SOLID_BREP('box',{new(f'CLOSED_SHELL({_T},({_join(faces)}))')})")
    context = _context(new, unit)
    product, shape = _product(new, "box", f"ADVANCED_BREP_SHAPE_REPRESENTATION('',({{}},{solid}),"
                              f"{context})")  # fmt: skip
    if assembled:
        _assemble(new, product, shape, context)
    styled = [_styled(new, item, rgb) for item, rgb in ((solid, color), (faces[-1], top))]
    new(f"MECHANICAL_DESIGN_GEOMETRIC_PRESENTATION_REPRESENTATION('',({_join(styled)}),{context})")
    return _HEADER + "\n".join(lines) + "\nENDSEC;\nEND-ISO-10303-21;\n"


def step_ball(radius: float) -> str:
    """A ball around the origin, one curved face."""
    lines: list[str] = []
    new = _numbered(lines)
    surface = new(f"SPHERICAL_SURFACE('',{_axes(new, (0, 0, 0), (0, 0, 1), (1, 0, 0))},{radius!r})")
    pole = new(f"VERTEX_POINT('',{_triple(new, 'CARTESIAN_POINT', (0, 0, -radius))})")
    loop = new(f"VERTEX_LOOP('',{pole})")
    face = new(f"ADVANCED_FACE('',({new(f'FACE_BOUND({_T},{loop},.T.)')}),{surface},.T.)")
    solid = new(f"MANIFOLD_SOLID_BREP('ball',{new(f'CLOSED_SHELL({_T},({face}))')})")
    context = _context(new, ".MILLI.")
    _product(new, "ball", f"ADVANCED_BREP_SHAPE_REPRESENTATION('',({{}},{solid}),{context})")
    return _HEADER + "\n".join(lines) + "\nENDSEC;\nEND-ISO-10303-21;\n"


_T = "''"


def _numbered(lines: list[str]) -> New:
    def new(text: str) -> str:
        lines.append(f"#{len(lines) + 1}={text};")
        return f"#{len(lines)}"

    return new


def _join(entities: Sequence[str]) -> str:
    return ",".join(entities)


def _triple(new: New, kind: str, values: Sequence[float] | NDArray[np.float64]) -> str:
    return new(f"{kind}('',({','.join(repr(float(value)) for value in values)}))")


def _axes(
    new: New,
    origin: Sequence[float] | NDArray[np.float64],
    z: Sequence[float] | NDArray[np.float64],
    x: Sequence[float] | NDArray[np.float64],
) -> str:
    return new(
        f"AXIS2_PLACEMENT_3D('',{_triple(new, 'CARTESIAN_POINT', origin)},"
        f"{_triple(new, 'DIRECTION', z)},{_triple(new, 'DIRECTION', x)})"
    )


def _box_faces(new: New, size: NDArray[np.float64]) -> list[str]:
    corners = {corner: np.array(corner) * size for corner in itertools.product((0, 1), repeat=3)}
    vertices = {
        corner: new(f"VERTEX_POINT('',{_triple(new, 'CARTESIAN_POINT', point)})")
        for corner, point in corners.items()
    }
    edges: dict[tuple[tuple[int, ...], ...], str] = {}

    def oriented(start: tuple[int, ...], end: tuple[int, ...]) -> str:
        low, high = sorted((start, end))
        if (low, high) not in edges:
            along = corners[high] - corners[low]
            length = float(np.linalg.norm(along))
            vector = new(f"VECTOR('',{_triple(new, 'DIRECTION', along / length)},{length!r})")
            line = new(f"LINE('',{_triple(new, 'CARTESIAN_POINT', corners[low])},{vector})")
            edges[low, high] = new(f"EDGE_CURVE('',{vertices[low]},{vertices[high]},{line},.T.)")
        forward = ".T." if start == low else ".F."
        return new(f"ORIENTED_EDGE('',*,*,{edges[low, high]},{forward})")

    faces = []
    for axis, side in itertools.product(range(3), (0, 1)):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        loop = []
        for i, j in [(0, 0), (1, 0), (1, 1), (0, 1)][:: 1 if side else -1]:
            corner = [0, 0, 0]
            corner[axis], corner[u], corner[v] = side, i, j
            loop.append(tuple(corner))
        around = [oriented(a, b) for a, b in zip(loop, loop[1:] + loop[:1], strict=True)]
        bound = new(f"FACE_OUTER_BOUND('',{new(f'EDGE_LOOP({_T},({_join(around)}))')},.T.)")
        z, x = np.zeros(3), np.zeros(3)
        z[axis], x[u] = (1 if side else -1), 1
        plane = new(f"PLANE('',{_axes(new, corners[loop[0]], z, x)})")
        faces.append(new(f"ADVANCED_FACE('',({bound}),{plane},.T.)"))
    return faces


def _context(new: New, unit: str) -> str:
    length = new(f"(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT({unit},.METRE.))")
    angle = new("(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.))")
    solid_angle = new("(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT())")
    accuracy = new(f"UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-5),{length},'','')")
    return new(
        "(GEOMETRIC_REPRESENTATION_CONTEXT(3)"
        f"GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT(({accuracy}))"
        f"GLOBAL_UNIT_ASSIGNED_CONTEXT(({length},{angle},{solid_angle}))"
        "REPRESENTATION_CONTEXT('',''))"
    )


def _product(new: New, name: str, representation: str) -> tuple[str, str]:
    """A product's definition and its shape; `representation` with a place for its axes."""
    shape = new(representation.format(_axes(new, (0, 0, 0), (0, 0, 1), (1, 0, 0))))
    application = new("APPLICATION_CONTEXT('automotive design')")
    context = new(f"PRODUCT_CONTEXT('',{application},'mechanical')")
    product = new(f"PRODUCT('{name}','{name}','',({context}))")
    formation = new(f"PRODUCT_DEFINITION_FORMATION('','',{product})")
    stage = new(f"PRODUCT_DEFINITION_CONTEXT('part definition',{application},'design')")
    definition = new(f"PRODUCT_DEFINITION('design','',{formation},{stage})")
    new(
        f"SHAPE_DEFINITION_REPRESENTATION({new(f'PRODUCT_DEFINITION_SHAPE({_T},{_T},{definition})')}"
        f",{shape})"
    )
    return definition, shape


def _assemble(new: New, part: str, part_shape: str, context: str) -> None:
    places = [_axes(new, (x, 0, 0), (0, 0, 1), (1, 0, 0)) for x in (0, 200)]
    whole, shape = _product(
        new, "assembly", f"SHAPE_REPRESENTATION('',({{}},{_join(places)}),{context})"
    )
    for number, place in enumerate(places):
        origin = _axes(new, (0, 0, 0), (0, 0, 1), (1, 0, 0))
        moved = new(f"ITEM_DEFINED_TRANSFORMATION('','',{origin},{place})")
        relation = new(
            f"(REPRESENTATION_RELATIONSHIP('','',{part_shape},{shape})"
            f"REPRESENTATION_RELATIONSHIP_WITH_TRANSFORMATION({moved})"
            "SHAPE_REPRESENTATION_RELATIONSHIP())"
        )
        usage = new(f"NEXT_ASSEMBLY_USAGE_OCCURRENCE('{number}','','',{whole},{part},$)")
        placed = new(f"PRODUCT_DEFINITION_SHAPE('','',{usage})")
        new(f"CONTEXT_DEPENDENT_SHAPE_REPRESENTATION({relation},{placed})")


def _styled(new: New, item: str, rgb: Color) -> str:
    color = new(f"COLOUR_RGB('',{','.join(repr(float(value)) for value in rgb)})")
    fill = new(f"FILL_AREA_STYLE('',({new(f'FILL_AREA_STYLE_COLOUR({_T},{color})')}))")
    side = new(f"SURFACE_SIDE_STYLE('',({new(f'SURFACE_STYLE_FILL_AREA({fill})')}))")
    usage = new(f"SURFACE_STYLE_USAGE(.BOTH.,{side})")
    return new(f"STYLED_ITEM('',({new(f'PRESENTATION_STYLE_ASSIGNMENT(({usage}))')}),{item})")
