"""The inner loops of the rasteriser, compiled by numba. Only `_raster` imports this module.

Convention:
    Points of the image are counted in samples, and whole numbers are the samples' centres. The
    pixels' centres are one grid of samples; smooth edges take a second, finer one.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from renderer._engines.raster.compiled import compiled, compiled_part

_SNAP = np.float32(768.0)
"""Adding this and taking it away again rounds a float32 of up to 256 to a multiple of 2^-14."""

_SNAPS = 2.0**14


_LAST_FACE = np.uint64(0xFFFFFFFF)

_NORMAL_STEPS = 4095
"""A normal's x, y and z are whole numbers of this part of 1."""

_TINY = 2.0**-33
"""Less than any edge function that is not 0."""


class Meshes(NamedTuple):
    """All meshes, one after the other; M of them. The loops read it without looking."""

    vertices: Any
    """(3, V) float32, millimetres from the mesh's centre."""
    coordinates: Any
    """(V, 2) float32, texture coordinates."""
    looks: Any
    """(S,) uint64, normals and colours (see `pack_looks`)."""
    faces: Any
    """(F, 3) uint32, counted from the mesh's first vertex."""
    sides: Any
    """(F,) float32, +1 where a face's winding agrees with its smooth normal, else -1."""
    details: Any
    """(F,) int32, how fine a face's own lattice of looks is (see `Level`); 0 where its corners'
    looks are those of its vertices."""
    first_looks: Any
    """(F,) int32, where a face's lattice begins, from the mesh's first look."""
    vertex_range: Any
    """(M, 2) int64, each mesh's first vertex and the one after its last."""
    face_range: Any
    """(M, 2) int64."""
    first_look: Any
    """(M,) int64."""
    culls: Any
    """(M,) bool, whether no face can be seen from behind."""
    centres: Any
    """(M, 3) float64, of the model's bounding box, millimetres."""
    half_sizes: Any
    """(M, 3) float64, of the model's bounding box, millimetres."""
    texels: Any
    """(T, 3) uint8, all textures' rows."""
    textures: Any
    """(M, 3) int64, first texel, height and width of the mesh's own texture, -1 where none."""
    swapped: Any
    """(P, 3) int64, the same of the pictures that may take the place of a model's colours."""
    aspects: Any
    """(P,) float64, the height of such a picture over its width."""


class Scenes(NamedTuple):
    """What N crops contain: `Plans` as plain arrays, the target in place 0 before the others."""

    mesh: Any
    """(N, 1 + K) int32, -1 where there is none."""
    rotation: Any
    translation: Any
    camera_matrix: Any
    light_direction: Any
    light_color: Any
    ambient_color: Any
    gain: Any
    specular: Any
    shininess: Any
    texture: Any
    texture_period: Any


class CropArrays(NamedTuple):
    """What is drawn: the fields of `CropBatch`, zero on entry."""

    rgb: Any
    depth: Any
    object_depth: Any
    mask: Any
    mask_visib: Any
    others_mask: Any
    others_mask_visib: Any
    normals: Any
    """(0, 0, 0, 3) where it is not wanted."""
    object_coordinates: Any
    nearest: Any
    """(N, 1 + K) float64, least z of each instance, or of a box around it that is far enough."""


class Samples(NamedTuple):
    """One crop on one grid of samples: what is worked on, and kept from crop to crop."""

    u: Any
    """(V,) float32, the vertices of all instances, in samples."""
    v: Any
    inverse_z: Any
    entries: Any
    """(H, W) uint64, what is nearest (see `_entry`), 0 where there is nothing."""
    place: Any
    """(H, W) int32, which instance that is."""
    own_entries: Any
    """(H, W) uint64, the same of one instance alone."""


class Scratch(NamedTuple):
    """Memory of one thread."""

    pixels: Samples
    fine: Samples
    cells: Any
    """(V,) uint32, of one instance's vertices."""
    kept: Any
    """(F,) int32, faces that may hold a sample."""
    starts: Any
    """(1 + K,) int64, the first vertex of each instance in `Samples`."""
    camera: Any
    """(12,) float32: rows of u x z, v x z and z, from the mesh's centre; then the centre's."""
    centres: Any
    """(1 + K, 3), the instances' centres: u and v in pixels, and z."""
    window: Any
    """(4,) int64, first and last row and column that an instance may touch,"""
    whole_window: Any
    """(4,) int64, and all of them."""
    lights: Any
    """(1 + K, L, 3), directions to the lights in each instance's own frame."""


def pack_looks(normals: Any, colors: Any) -> Any:
    """Put normals (S, 3) and colours (S, 3) of 255 into (S,) uint64, as shading reads them.

    Colours take eight bits each from the lowest on, red first, then normals thirteen each: x, y and
    z in steps of 1 / 4095, counted from -1.
    """
    steps = np.rint((np.clip(normals, -1, 1) + 1) * _NORMAL_STEPS).astype(np.uint64)
    levels = np.rint(np.clip(colors, 0, 255)).astype(np.uint64)
    packed = levels[:, 0] | levels[:, 1] << np.uint64(8) | levels[:, 2] << np.uint64(16)
    for axis in range(3):
        packed |= steps[:, axis] << np.uint64(24 + 13 * axis)
    return packed


def new_scratch(
    vertices: int, faces: int, height: int, width: int, fineness: int, places: int, lights: int
) -> Scratch:
    """Memory for crops of up to so many vertices, all instances together, and faces of each."""

    def samples(count: int, height: int, width: int) -> Samples:
        shape = (height, width)
        return Samples(
            np.empty(count, np.float32), np.empty(count, np.float32), np.empty(count, np.float32),
            np.empty(shape, np.uint64), np.empty(shape, np.int32), np.empty(shape, np.uint64),
        )  # fmt: skip

    fine = (vertices, fineness * height, fineness * width) if fineness > 1 else (0, 0, 0)
    return Scratch(
        pixels=samples(vertices, height, width),
        fine=samples(*fine),
        cells=np.empty(vertices, np.uint32),
        kept=np.empty(faces + 1, np.int32),
        starts=np.empty(places, np.int64),
        camera=np.empty(12, np.float32),
        centres=np.empty((places, 3)),
        window=np.empty(4, np.int64),
        whole_window=np.empty(4, np.int64),
        lights=np.empty((places, lights, 3), np.float32),
    )


@compiled_part
def _aim(camera_matrix, rotation, centre, fineness, camera):
    """Fill `camera`: how a point off the mesh's centre moves in the grid of samples.

    Counted from the centre's own image, so that single precision is enough however far off the
    crop lies in its camera.
    """
    k, r = camera_matrix, rotation
    centre_u, centre_v, centre_z = centre[0], centre[1], centre[2]
    for axis in range(3):
        camera[axis] = fineness * (
            k[0, 0] * r[0, axis] + k[0, 1] * r[1, axis] + (k[0, 2] - centre_u) * r[2, axis]
        )
        camera[3 + axis] = fineness * (k[1, 1] * r[1, axis] + (k[1, 2] - centre_v) * r[2, axis])
        camera[6 + axis] = r[2, axis]
    # Rounded as the vertices are, so that a window that is moved by whole pixels shows the same.
    camera[9] = np.rint((fineness * centre_u - 0.5) * _SNAPS) / _SNAPS
    camera[10] = np.rint((fineness * centre_v - 0.5) * _SNAPS) / _SNAPS
    camera[11] = centre_z


@compiled_part
def _project(xs, ys, zs, camera, width, height, u, v, inverse_z, cells):
    """Fill u, v, 1/z and the cell of one mesh's vertices.

    A cell is the column (low half) and the row (high half) of the next sample to the right and
    below. Plain enough for the compiler to take many vertices at a time.
    """
    ux, uy, uz, vx, vy, vz = camera[0], camera[1], camera[2], camera[3], camera[4], camera[5]
    zx, zy, zz, u0, v0, z0 = camera[6], camera[7], camera[8], camera[9], camera[10], camera[11]
    zero, one = np.float32(0.0), np.float32(1.0)
    last_column, last_row = np.float32(width), np.float32(height)
    for i in range(xs.shape[0]):
        x, y, z = xs[i], ys[i], zs[i]
        inverse = one / (zx * x + zy * y + zz * z + z0)
        across = (((ux * x + uy * y + uz * z) * inverse + _SNAP) - _SNAP) + u0
        down = (((vx * x + vy * y + vz * z) * inverse + _SNAP) - _SNAP) + v0
        u[i], v[i], inverse_z[i] = across, down, inverse
        column = np.uint32(np.int32(min(max(np.ceil(across), zero), last_column)))
        row = np.uint32(np.int32(min(max(np.ceil(down), zero), last_row)))
        cells[i] = column | (row << np.uint32(16))


@compiled_part
def _least_z(xs, ys, zs, rotation, centre_z):
    least = np.inf
    for i in range(xs.shape[0]):
        off = rotation[2, 0] * xs[i] + rotation[2, 1] * ys[i] + rotation[2, 2] * zs[i]
        least = min(least, centre_z + off)
    return least


@compiled_part
def _window(half_size, least_z, camera, height, width, window):
    """Find the samples that a mesh may touch: fill (4,) first and last row, then column."""
    reach_u = reach_v = 1.0
    for axis in range(3):
        reach_u += abs(camera[axis]) * half_size[axis] / least_z
        reach_v += abs(camera[3 + axis]) * half_size[axis] / least_z
    window[0] = int(min(float(height), max(0.0, math.ceil(camera[10] - reach_v))))
    window[1] = int(max(-1.0, min(height - 1.0, math.floor(camera[10] + reach_v))))
    window[2] = int(min(float(width), max(0.0, math.ceil(camera[9] - reach_u))))
    window[3] = int(max(-1.0, min(width - 1.0, math.floor(camera[9] + reach_u))))


@compiled_part
def _between_samples(faces, first, last, cells, kept_faces):
    """List the faces that may hold a sample; return their number.

    A face whose corners share a column or a row of cells holds none, nor does one outside the grid.
    Without branches, as the next: there is no order that a processor could guess.
    """
    columns, rows = np.uint32(0xFFFF), np.uint32(0xFFFF0000)
    count = np.int64(0)
    for face in range(first, last):
        cell = cells[faces[face, 0]]
        differ = (cell ^ cells[faces[face, 1]]) | (cell ^ cells[faces[face, 2]])
        kept_faces[count] = face
        count += np.int64(((differ & columns) != 0) & ((differ & rows) != 0))
    return count


@compiled_part
def _facing(faces, u, v, kept_faces, count):
    """Of the faces in the list, leave those that are seen from in front; return their number."""
    facing = np.int64(0)
    for number in range(count):
        face = kept_faces[number]
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        # The image's y points down, so that what winds counter-clockwise has a negative area.
        kept_faces[facing] = face
        facing += np.int64(_twice_area(u[a], v[a], u[b], v[b], u[c], v[c]) < 0.0)
    return facing


@compiled_part
def _twice_area(ax, ay, bx, by, cx, cy):
    return np.float64(bx - ax) * np.float64(cy - ay) - np.float64(by - ay) * np.float64(cx - ax)


@compiled_part
def _not_owned(slope_x, slope_y):
    """The top-left rule: 1 if a sample exactly on this edge belongs to the face beyond it."""
    return np.float64(not ((slope_x > 0.0) | ((slope_x == 0.0) & (slope_y > 0.0))))


@compiled_part
def _entry(value, face):
    """What a sample holds: 1/z above, so that the greater entry is the nearer; then the face,
    counted downwards, so that of two at one depth the first is the greater."""
    bits = np.uint64(np.float32(value).view(np.uint32))
    return (bits << np.uint64(32)) | (_LAST_FACE - np.uint64(face))


@compiled_part
def _inverse_depth(entry):
    return np.uint32(entry >> np.uint64(32)).view(np.float32)


@compiled_part
def _face_of(entry):
    return _LAST_FACE - (entry & _LAST_FACE)


@compiled_part
def _scan(faces, kept_faces, count, u, v, inverse_z, window, entries):
    """Find the nearest face at every sample of a window.

    Coordinates are multiples of 2^-14, so that edge functions are exact in double precision (of
    faces that reach less than 2,000 samples, and antisymmetric beyond): the two faces of a shared
    edge agree on which side of it a sample lies. Nothing branches on whether a sample is inside,
    which no processor could guess.
    """
    top, bottom = float(window[0]), float(window[1])
    left, right = float(window[2]), float(window[3])
    for number in range(count):
        face = kept_faces[number]
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, bx, cx = np.float64(u[a]), np.float64(u[b]), np.float64(u[c])
        ay, by, cy = np.float64(v[a]), np.float64(v[b]), np.float64(v[c])
        first_x = max(left, np.ceil(min(ax, min(bx, cx))))
        last_x = min(right, np.floor(max(ax, max(bx, cx))))
        first_y = max(top, np.ceil(min(ay, min(by, cy))))
        last_y = min(bottom, np.floor(max(ay, max(by, cy))))
        ax, bx, cx = ax - first_x, bx - first_x, cx - first_x
        ay, by, cy = ay - first_y, by - first_y, cy - first_y
        # Edge functions grow towards the inside, however the face winds.
        whole = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        sign = math.copysign(1.0, whole)
        a_x, a_y = sign * (by - cy), sign * (cx - bx)
        b_x, b_y = sign * (cy - ay), sign * (ax - cx)
        c_x, c_y = sign * (ay - by), sign * (bx - ax)
        a_0 = sign * (bx * cy - by * cx) - _TINY * _not_owned(a_x, a_y)
        b_0 = sign * (cx * ay - cy * ax) - _TINY * _not_owned(b_x, b_y)
        c_0 = sign * (ax * by - ay * bx) - _TINY * _not_owned(c_x, c_y)
        per_whole = sign / whole
        a_inverse, b_inverse = inverse_z[a] * per_whole, inverse_z[b] * per_whole
        c_inverse = inverse_z[c] * per_whole
        first_row, first_column = np.uint64(first_y), np.uint64(first_x)
        rows, columns = last_y - first_y, last_x - first_x
        if max(rows, columns) <= 1.0:
            # Most faces: up to four samples, some of them twice.
            rows, columns = max(rows, 0.0), max(columns, 0.0)
            for down in (0.0, rows):
                row = first_row + np.uint64(down)
                for across in (0.0, columns):
                    column = first_column + np.uint64(across)
                    wa = a_x * across + (a_y * down + a_0)
                    wb = b_x * across + (b_y * down + b_0)
                    wc = c_x * across + (c_y * down + c_0)
                    inside = np.uint64(min(wa, min(wb, wc)) >= 0.0)
                    entry = inside * _entry(wa * a_inverse + wb * b_inverse + wc * c_inverse, face)
                    entries[row, column] = max(entries[row, column], entry)
            continue
        for i in range(int(rows) + 1):
            row, down = first_row + np.uint64(i), float(i)
            a_row, b_row, c_row = a_y * down + a_0, b_y * down + b_0, c_y * down + c_0
            for j in range(int(columns) + 1):
                column, across = first_column + np.uint64(j), float(j)
                wa, wb, wc = a_x * across + a_row, b_x * across + b_row, c_x * across + c_row
                inside = np.uint64(min(wa, min(wb, wc)) >= 0.0)
                entry = inside * _entry(wa * a_inverse + wb * b_inverse + wc * c_inverse, face)
                entries[row, column] = max(entries[row, column], entry)


@compiled_part
def _merge(window, place, samples):
    """Put one instance's samples before those of the scene that are farther."""
    top, bottom, left, right = window[0], window[1], window[2], window[3]
    half = np.uint64(32)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            entry = samples.own_entries[row, column]
            if entry >> half > samples.entries[row, column] >> half:
                samples.entries[row, column] = entry
                samples.place[row, column] = place


@compiled_part
def _draw(crop, place, fineness, meshes, scenes, scratch, samples, least_z, window):
    """Draw one instance into a grid of samples; fill the window that it may have touched."""
    mesh = scenes.mesh[crop, place]
    first, last = meshes.vertex_range[mesh, 0], meshes.vertex_range[mesh, 1]
    xs, ys, zs = meshes.vertices[0], meshes.vertices[1], meshes.vertices[2]
    start = scratch.starts[place]
    stop = start + last - first
    height, width = samples.entries.shape
    camera, centre = scratch.camera, scratch.centres[place]
    _aim(scenes.camera_matrix[crop], scenes.rotation[crop, place], centre, fineness, camera)
    u, v, inverse_z = samples.u[start:stop], samples.v[start:stop], samples.inverse_z[start:stop]
    _project(
        xs[first:last], ys[first:last], zs[first:last], camera, width, height,
        u, v, inverse_z, scratch.cells,
    )  # fmt: skip
    _window(meshes.half_sizes[mesh], least_z, camera, height, width, window)
    entries = samples.entries if place == 0 else samples.own_entries
    if place == 0:
        entries[:] = 0
        samples.place[:] = 0
    else:
        entries[window[0] : window[1] + 1, window[2] : window[3] + 1] = 0
    kept_faces = scratch.kept
    count = _between_samples(
        meshes.faces,
        meshes.face_range[mesh, 0],
        meshes.face_range[mesh, 1],
        scratch.cells,
        kept_faces,
    )
    if meshes.culls[mesh]:
        count = _facing(meshes.faces, u, v, kept_faces, count)
    _scan(meshes.faces, kept_faces, count, u, v, inverse_z, window, entries)
    if place > 0:
        _merge(window, place, samples)


@compiled_part
def _sample(texels, texture, u, v):
    """Red, green and blue of 255, bilinear, repeating; (0, 0) is the texture's bottom left."""
    first, height, width = texture[0], texture[1], texture[2]
    x = (u - math.floor(u)) * width - 0.5
    y = (1.0 - (v - math.floor(v))) * height - 0.5
    left, top = math.floor(x), math.floor(y)
    fx, fy = np.float32(x - left), np.float32(y - top)
    x0, x1 = int(left) % width, (int(left) + 1) % width
    y0, y1 = first + int(top) % height * width, first + (int(top) + 1) % height * width
    a, b, c, d = texels[y0 + x0], texels[y0 + x1], texels[y1 + x0], texels[y1 + x1]
    one = np.float32(1.0)
    wa, wb, wc, wd = (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy
    return (
        np.float32(wa * a[0] + wb * b[0] + wc * c[0] + wd * d[0]),
        np.float32(wa * a[1] + wb * b[1] + wc * c[1] + wd * d[1]),
        np.float32(wa * a[2] + wb * b[2] + wc * c[2] + wd * d[2]),
    )


@compiled_part
def _weights(x, y, a, b, c, u, v, inverse_z):
    """What each corner of a face counts for at a point of the image, with perspective.

    The fourth is 1 where the face winds counter-clockwise, as outsides do, else -1.
    """
    ax, bx, cx = u[a] - x, u[b] - x, u[c] - x
    ay, by, cy = v[a] - y, v[b] - y, v[c] - y
    wa, wb, wc = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
    front = np.float32(1.0 if wa + wb + wc < 0.0 else -1.0)
    wa, wb, wc = wa * inverse_z[a], wb * inverse_z[b], wc * inverse_z[c]
    whole = 1.0 / (wa + wb + wc)
    return np.float32(wa * whole), np.float32(wb * whole), np.float32(wc * whole), front


@compiled_part
def _between(wa, wb, wc, a, b, c, values):
    """What two values are at a point of a face, from its corners'."""
    return (
        wa * values[a, 0] + wb * values[b, 0] + wc * values[c, 0],
        wa * values[a, 1] + wb * values[b, 1] + wc * values[c, 1],
    )


@compiled_part
def _mixed(wa, wb, wc, a, b, c, first, mask):
    """A number that three looks hold in the bits from `first` on, between them."""
    return (
        wa * np.float32(np.int32((a >> first) & mask))
        + wb * np.float32(np.int32((b >> first) & mask))
        + wc * np.float32(np.int32((c >> first) & mask))
    )


@compiled_part
def _color(wa, wb, wc, a, b, c):
    """Red, green and blue of 255 between three looks."""
    return (
        _mixed(wa, wb, wc, a, b, c, np.uint64(0), np.uint64(255)),
        _mixed(wa, wb, wc, a, b, c, np.uint64(8), np.uint64(255)),
        _mixed(wa, wb, wc, a, b, c, np.uint64(16), np.uint64(255)),
    )


@compiled_part
def _normal(wa, wb, wc, a, b, c, side):
    """The smooth normal between three looks, unit, towards the camera, in the model's frame; 0
    where there is none."""
    none, mask = np.float32(_NORMAL_STEPS) * (wa + wb + wc), np.uint64(8191)
    nx = _mixed(wa, wb, wc, a, b, c, np.uint64(24), mask) - none
    ny = _mixed(wa, wb, wc, a, b, c, np.uint64(37), mask) - none
    nz = _mixed(wa, wb, wc, a, b, c, np.uint64(50), mask) - none
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    scale = side / length if length > np.float32(1e-3) else np.float32(0.0)
    return scale * nx, scale * ny, scale * nz


@compiled_part
def _looks_around(a, b, c, wa, wb, wc, detail, start, first):
    """Where three looks around a point of a face are, and what each counts for.

    `a`, `b` and `c` are the face's vertices and `wa` to `wc` what they count for; `start` is where
    the mesh's looks begin, and `first` where the face's do, counted from there.
    """
    if detail == 0:
        return start + a, start + b, start + c, wa, wb, wc
    one = np.float32(1.0)
    i, j = wb * np.float32(detail), wc * np.float32(detail)
    column = min(max(int(i), 0), detail - 1)
    row = min(max(int(j), 0), detail - 1 - column)
    i, j = i - np.float32(column), j - np.float32(row)
    start += np.uint64(first + row * (2 * detail + 3 - row) // 2 + column)
    above = start + np.uint64(detail + 1 - row)
    # The square between four lattice points is two triangles; the last of a row has but one.
    upper = (i + j > one) & (column + row < detail - 1)
    rest = i + j - one
    return (
        above + np.uint64(1) if upper else start,
        above if upper else start + np.uint64(1),
        start + np.uint64(1) if upper else above,
        rest if upper else -rest,
        one - i if upper else i,
        one - j if upper else j,
    )


@compiled_part
def _swapped_in(wa, wb, wc, a, b, c, vertices, centre, normal, period, aspect):
    """Where in a swapped-in picture a point lies: looked at along the axis that it faces most."""
    nx, ny, nz = abs(normal[0]), abs(normal[1]), abs(normal[2])
    across, up = 0, 1
    if nx >= ny and nx >= nz:
        across, up = 1, 2
    elif ny >= nz:
        across, up = 0, 2
    u = wa * vertices[across, a] + wb * vertices[across, b] + wc * vertices[across, c]
    v = wa * vertices[up, a] + wb * vertices[up, b] + wc * vertices[up, c]
    return (u + centre[across]) / period, (v + centre[up]) / (period * aspect)


@compiled_part
def _highlight(normal, light, view, shininess):
    """Blinn's: how much of a light is mirrored towards the camera."""
    hx, hy, hz = light[0] + view[0], light[1] + view[1], light[2] + view[2]
    length = math.sqrt(hx * hx + hy * hy + hz * hz)
    if length == 0.0:
        return 0.0
    cosine = (normal[0] * hx + normal[1] * hy + normal[2] * hz) / length
    return max(0.0, cosine) ** shininess


@compiled_part
def _towards_camera(x, y, camera_matrix, rotation):
    """Unit, in the model's frame, from what is seen at a point of the image (in pixels)."""
    k, r = camera_matrix, rotation
    down = (y - k[1, 2]) / k[1, 1]
    across = (x - k[0, 2] - k[0, 1] * down) / k[0, 0]
    scale = -1.0 / math.sqrt(across * across + down * down + 1.0)
    return (
        scale * (across * r[0, 0] + down * r[1, 0] + r[2, 0]),
        scale * (across * r[0, 1] + down * r[1, 1] + r[2, 1]),
        scale * (across * r[0, 2] + down * r[1, 2] + r[2, 2]),
    )


@compiled_part
def _shade(crop, fineness, window, meshes, scenes, scratch, pixels, samples, rgb):
    """Write the colours of the pixels whose centre hits an object, as `Surfaces` has them.

    A pixel has the mean over those of its `samples` that hit an object: background is never mixed
    in, so that silhouettes have no dark fringe. Where there are no finer samples than `pixels`, or
    none that hits, it has the colour at its centre.
    """
    quarters = fineness * fineness if fineness > 1 else 0
    k, ambient = scenes.camera_matrix[crop], scenes.ambient_color[crop]
    light_color, lights = scenes.light_color[crop], scratch.lights
    looks, texels, faces = meshes.looks, meshes.texels, meshes.faces
    u, v, inverse_z = samples.u, samples.v, samples.inverse_z
    top, bottom, left, right = window[0], window[1], window[2], window[3]
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            if pixels.entries[row, column] == 0:
                continue
            count = 0
            total_red = total_green = total_blue = np.float32(0.0)
            for number in range(quarters + 1):
                if number < quarters:
                    i = fineness * row + number // fineness
                    j = fineness * column + number % fineness
                    if samples.entries[i, j] == 0:
                        continue
                    y, x = float(i), float(j)
                    place, face = samples.place[i, j], _face_of(samples.entries[i, j])
                else:
                    if count > 0:
                        break
                    y, x = fineness * (row + 0.5) - 0.5, fineness * (column + 0.5) - 0.5
                    place, face = pixels.place[row, column], _face_of(pixels.entries[row, column])
                count += 1
                mesh = scenes.mesh[crop, place]
                corner = faces[face]
                a, b, c = np.uint64(corner[0]), np.uint64(corner[1]), np.uint64(corner[2])
                start = np.uint64(scratch.starts[place])
                wa, wb, wc, front = _weights(x, y, start + a, start + b, start + c, u, v, inverse_z)
                start, first = np.uint64(meshes.first_look[mesh]), meshes.first_looks[face]
                p, q, r, wp, wq, wr = _looks_around(
                    a, b, c, wa, wb, wc, meshes.details[face], start, first
                )
                p, q, r = looks[p], looks[q], looks[r]
                # A face seen from behind is lit as if it had been built the other way round.
                normal = _normal(wp, wq, wr, p, q, r, front * meshes.sides[face])
                specular = scenes.specular[crop, place]
                view = (0.0, 0.0, 0.0)
                if specular > 0.0:
                    view = _towards_camera(
                        (x + 0.5) / fineness, (y + 0.5) / fineness, k, scenes.rotation[crop, place]
                    )
                red, green, blue = ambient[0], ambient[1], ambient[2]
                red_mirrored = green_mirrored = blue_mirrored = np.float32(0.0)
                for light in range(lights.shape[1]):
                    direction = lights[place, light]
                    cosine = (
                        normal[0] * direction[0]
                        + normal[1] * direction[1]
                        + normal[2] * direction[2]
                    )
                    if cosine > 0.0:
                        red += light_color[light, 0] * cosine
                        green += light_color[light, 1] * cosine
                        blue += light_color[light, 2] * cosine
                        if specular > 0.0:
                            mirrored = np.float32(
                                255.0 * specular * _highlight(
                                    normal, direction, view, scenes.shininess[crop, place]
                                )
                            )  # fmt: skip
                            red_mirrored += light_color[light, 0] * mirrored
                            green_mirrored += light_color[light, 1] * mirrored
                            blue_mirrored += light_color[light, 2] * mirrored
                swapped = scenes.texture[crop, place]
                if swapped < 0 and meshes.textures[mesh, 0] < 0:
                    own_color = _color(wp, wq, wr, p, q, r)
                else:
                    first = np.uint64(meshes.vertex_range[mesh, 0])
                    a, b, c = first + a, first + b, first + c
                    if swapped < 0:
                        picture = meshes.textures[mesh]
                        across, up = _between(wa, wb, wc, a, b, c, meshes.coordinates)
                    else:
                        picture = meshes.swapped[swapped]
                        across, up = _swapped_in(
                            wa, wb, wc, a, b, c, meshes.vertices, meshes.centres[mesh], normal,
                            scenes.texture_period[crop, place], meshes.aspects[swapped],
                        )  # fmt: skip
                    own_color = _sample(texels, picture, across, up)
                gain, white = scenes.gain[crop, place], np.float32(255.0)
                total_red += min(white, red * own_color[0] * gain[0] + red_mirrored)
                total_green += min(white, green * own_color[1] * gain[1] + green_mirrored)
                total_blue += min(white, blue * own_color[2] * gain[2] + blue_mirrored)
            half, whole = np.float32(0.5), np.float32(count)
            rgb[crop, row, column, 0] = np.uint8(total_red / whole + half)
            rgb[crop, row, column, 1] = np.uint8(total_green / whole + half)
            rgb[crop, row, column, 2] = np.uint8(total_blue / whole + half)


@compiled_part
def _write_surface(crop, meshes, scenes, samples, images):
    """Write the target's normals and object coordinates at pixels' centres."""
    mesh = scenes.mesh[crop, 0]
    first = np.uint64(meshes.vertex_range[mesh, 0])
    u, v, inverse_z = samples.u, samples.v, samples.inverse_z
    rotation, half_size = scenes.rotation[crop, 0], meshes.half_sizes[mesh]
    height, width = samples.entries.shape
    for row in range(height):
        for column in range(width):
            if not images.mask_visib[crop, row, column]:
                continue
            face = _face_of(samples.entries[row, column])
            a = np.uint64(meshes.faces[face, 0])
            b = np.uint64(meshes.faces[face, 1])
            c = np.uint64(meshes.faces[face, 2])
            wa, wb, wc, front = _weights(float(column), float(row), a, b, c, u, v, inverse_z)
            start, first_look = np.uint64(meshes.first_look[mesh]), meshes.first_looks[face]
            p, q, r, wp, wq, wr = _looks_around(
                a, b, c, wa, wb, wc, meshes.details[face], start, first_look
            )
            a, b, c = a + first, b + first, c + first
            p, q, r = meshes.looks[p], meshes.looks[q], meshes.looks[r]
            nx, ny, nz = _normal(wp, wq, wr, p, q, r, front * meshes.sides[face])
            for axis in range(3):
                images.normals[crop, row, column, axis] = (
                    rotation[axis, 0] * nx + rotation[axis, 1] * ny + rotation[axis, 2] * nz
                )
                if half_size[axis] > 0.0:
                    corners = meshes.vertices[axis]
                    off = wa * corners[a] + wb * corners[b] + wc * corners[c]
                    images.object_coordinates[crop, row, column, axis] = min(
                        1.0, max(0.0, 0.5 + 0.5 * off / half_size[axis])
                    )


@compiled_part
def _lights_in_model(rotation, directions, lights):
    """Turn the lights' directions (L, 3) from the camera's frame into the model's."""
    for light in range(directions.shape[0]):
        for axis in range(3):
            lights[light, axis] = 0.0
            for row in range(3):
                lights[light, axis] += rotation[row, axis] * directions[light, row]


@compiled_part
def _write_depth(window, entries, depth, same_depth, mask, same_mask):
    """Write one crop's depth and where there is any, from 1/z, both twice."""
    top, bottom, left, right = window[0], window[1], window[2], window[3]
    zero, one = np.float32(0.0), np.float32(1.0)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            value = _inverse_depth(entries[row, column])
            z = one / value if value > zero else zero
            depth[row, column] = same_depth[row, column] = z
            mask[row, column] = same_mask[row, column] = value > zero


@compiled_part
def _write_mask(window, entries, mask):
    top, bottom, left, right = window[0], window[1], window[2], window[3]
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            mask[row, column] = entries[row, column] > 0


@compiled_part
def _write_visible(crop, window, samples, images):
    """Write the depth of what is seen in front of the target, and which instance that is."""
    top, bottom, left, right = window[0], window[1], window[2], window[3]
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            entry, place = samples.entries[row, column], samples.place[row, column]
            if entry > 0 and place > 0:
                images.depth[crop, row, column] = np.float32(1.0) / _inverse_depth(entry)
                images.mask_visib[crop, row, column] = False
                images.others_mask_visib[crop, place - 1, row, column] = True


@compiled_part
def _widen(window, added):
    """Make a window hold another."""
    window[0], window[1] = min(window[0], added[0]), max(window[1], added[1])
    window[2], window[3] = min(window[2], added[2]), max(window[3], added[3])


@compiled_part
def _place_instances(crop, near, meshes, scenes, scratch, nearest):
    """Find each instance's centre in the image, and its least z; tell if all are far enough."""
    k = scenes.camera_matrix[crop]
    start = 0
    far_enough = True
    for place in range(scenes.mesh.shape[1]):
        nearest[crop, place] = np.inf
        mesh = scenes.mesh[crop, place]
        if mesh < 0:
            continue
        r, t, middle = (
            scenes.rotation[crop, place],
            scenes.translation[crop, place],
            (meshes.centres[mesh]),
        )
        x = r[0, 0] * middle[0] + r[0, 1] * middle[1] + r[0, 2] * middle[2] + t[0]
        y = r[1, 0] * middle[0] + r[1, 1] * middle[1] + r[1, 2] * middle[2] + t[1]
        z = r[2, 0] * middle[0] + r[2, 1] * middle[1] + r[2, 2] * middle[2] + t[2]
        centre = scratch.centres[place]
        centre[0] = (k[0, 0] * x + k[0, 1] * y) / z + k[0, 2]
        centre[1] = k[1, 1] * y / z + k[1, 2]
        centre[2] = z
        first, last = meshes.vertex_range[mesh, 0], meshes.vertex_range[mesh, 1]
        least = z
        for axis in range(3):
            least -= abs(r[2, axis]) * meshes.half_sizes[mesh, axis]
        if least <= near:
            # The box around it reaches too near; the object itself may not.
            vertices = meshes.vertices
            least = _least_z(
                vertices[0, first:last], vertices[1, first:last], vertices[2, first:last], r, z
            )
            far_enough = far_enough and least > near
        nearest[crop, place] = least
        scratch.starts[place] = start
        start += last - first
    return far_enough


@compiled
def render_crops(first_crop, last_crop, near, fineness, meshes, scenes, scratch, images):
    """Render crops `first_crop` to `last_crop` into their rows of `images`.

    A crop with an instance that reaches up to `near` stays empty; `images.nearest` tells. Where
    `images` has no room for colours, only `mask` is filled, of plans with one
    instance: a kernel of its own for this would take as long to compile.
    """
    masks_alone = images.rgb.shape[0] == 0
    pixels = scratch.pixels
    samples = scratch.fine if fineness > 1 else pixels
    window, whole = scratch.window, scratch.whole_window
    for crop in range(first_crop, last_crop):
        if not _place_instances(crop, near, meshes, scenes, scratch, images.nearest):
            continue
        whole[0], whole[1] = images.mask.shape[1], -1
        whole[2], whole[3] = images.mask.shape[2], -1
        for place in range(scenes.mesh.shape[1]):
            if scenes.mesh[crop, place] < 0:
                continue
            _lights_in_model(
                scenes.rotation[crop, place], scenes.light_direction[crop], scratch.lights[place]
            )
            least = images.nearest[crop, place]
            # First the pixels' centres, then the finer samples, if there are any.
            for scale in range(1, fineness + 1, max(1, fineness - 1)):
                grid = pixels if scale == 1 else samples
                _draw(crop, place, scale, meshes, scenes, scratch, grid, least, window)
                if scale > 1:
                    continue
                _widen(whole, window)
                if masks_alone:
                    _write_mask(window, pixels.entries, images.mask[crop])
                elif place == 0:
                    _write_depth(
                        window, pixels.entries, images.depth[crop], images.object_depth[crop],
                        images.mask[crop], images.mask_visib[crop],
                    )  # fmt: skip
                else:
                    _write_mask(window, pixels.own_entries, images.others_mask[crop, place - 1])
        if masks_alone:
            continue
        if scenes.mesh.shape[1] > 1:
            _write_visible(crop, whole, pixels, images)
        _shade(crop, fineness, whole, meshes, scenes, scratch, pixels, samples, images.rgb)
        if images.normals.shape[0] > 0:
            _write_surface(crop, meshes, scenes, pixels, images)
