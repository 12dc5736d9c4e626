"""The inner loops of the rasteriser, compiled by numba. Only `_raster` imports this module."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import math

import numba
import numpy as np


def compiled(function):
    """Compile on first use; keep the result on disk where there is a writable place for it."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba's answer when it finds no folder for its cache
        return numba.njit(nogil=True, error_model="numpy")(function)


@compiled
def _project(vertices, first, last, rotation, translation, camera_matrix, projected):
    """Fill `projected` (V, 3) with u, v and 1/z of one model's vertices; return the least z."""
    r, t, k = rotation, translation, camera_matrix
    nearest = np.inf
    for vertex in range(first, last):
        x, y, z = vertices[0, vertex], vertices[1, vertex], vertices[2, vertex]
        camera_z = r[2, 0] * x + r[2, 1] * y + r[2, 2] * z + t[2]
        inverse = 1.0 / camera_z
        camera_x = (r[0, 0] * x + r[0, 1] * y + r[0, 2] * z + t[0]) * inverse
        camera_y = (r[1, 0] * x + r[1, 1] * y + r[1, 2] * z + t[1]) * inverse
        projected[vertex - first, 0] = k[0, 0] * camera_x + k[0, 1] * camera_y + k[0, 2]
        projected[vertex - first, 1] = k[1, 1] * camera_y + k[1, 2]
        projected[vertex - first, 2] = inverse
        nearest = min(nearest, camera_z)
    return nearest


@compiled
def _edge(ax, ay, bx, by, x, y):
    """Twice the signed area of (a, b, point).

    Written so that swapping a and b changes nothing but the sign, to the last bit: the two
    triangles of a shared edge then agree on which side of it a pixel centre lies.
    """
    return (ax - x) * (by - y) - (ay - y) * (bx - x)


@compiled
def _owns(dx, dy):
    """The top-left rule: whether a pixel centre exactly on this edge belongs to the triangle."""
    return dy < 0.0 or (dy == 0.0 and dx > 0.0)


@compiled
def _scan(faces, first, last, cull, projected, fineness, inverse_depth, owner):
    """Find the nearest face at every sample; ties go to the face that comes first.

    There are `fineness` x `fineness` samples to a pixel, at the centres of its equal squares.
    """
    step = 1.0 / fineness
    inverse_depth[:] = 0.0
    height, width = inverse_depth.shape
    for face in range(first, last):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay = np.float64(projected[a, 0]), np.float64(projected[a, 1])
        bx, by = np.float64(projected[b, 0]), np.float64(projected[b, 1])
        cx, cy = np.float64(projected[c, 0]), np.float64(projected[c, 1])
        area = _edge(ax, ay, bx, by, cx, cy)
        # The image's y points down, so that what winds counter-clockwise has a negative area.
        if area == 0.0 or (cull and area > 0.0):
            continue
        left = max(0, math.ceil(fineness * min(ax, bx, cx) - 0.5))
        right = min(width - 1, math.floor(fineness * max(ax, bx, cx) - 0.5))
        if left > right:
            continue
        top = max(0, math.ceil(fineness * min(ay, by, cy) - 0.5))
        bottom = min(height - 1, math.floor(fineness * max(ay, by, cy) - 0.5))
        if top > bottom:
            continue
        if area < 0.0:
            b, c = c, b
            bx, cx = cx, bx
            by, cy = cy, by
        a_owns = _owns(cx - bx, cy - by)
        b_owns = _owns(ax - cx, ay - cy)
        c_owns = _owns(bx - ax, by - ay)
        a_inverse, b_inverse, c_inverse = projected[a, 2], projected[b, 2], projected[c, 2]
        for row in range(top, bottom + 1):
            y = step * (row + 0.5)
            for column in range(left, right + 1):
                x = step * (column + 0.5)
                wa = _edge(bx, by, cx, cy, x, y)
                wb = _edge(cx, cy, ax, ay, x, y)
                wc = _edge(ax, ay, bx, by, x, y)
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                if (
                    (wa == 0.0 and not a_owns)
                    or (wb == 0.0 and not b_owns)
                    or (wc == 0.0 and not c_owns)
                ):
                    continue
                total = wa + wb + wc
                if total == 0.0:
                    continue
                value = (wa * a_inverse + wb * b_inverse + wc * c_inverse) / total
                if value > inverse_depth[row, column]:
                    inverse_depth[row, column] = value
                    owner[row, column] = face


@compiled
def _sample(texels, texture, u, v, channel):
    """Bilinear, repeating; (u, v) = (0, 0) is the texture's bottom-left corner."""
    first, height, width = texture[0], texture[1], texture[2]
    x = (u - math.floor(u)) * width - 0.5
    y = (1.0 - (v - math.floor(v))) * height - 0.5
    left, top = math.floor(x), math.floor(y)
    fx, fy = x - left, y - top
    x0, x1 = int(left) % width, (int(left) + 1) % width
    y0, y1 = first + int(top) % height * width, first + (int(top) + 1) % height * width
    upper = (1.0 - fx) * texels[y0 + x0, channel] + fx * texels[y0 + x1, channel]
    lower = (1.0 - fx) * texels[y1 + x0, channel] + fx * texels[y1 + x1, channel]
    return (1.0 - fy) * upper + fy * lower


@compiled
def _shade(
    x, y, face, faces, sides, first_vertex, projected, normals, colors, coordinates,
    texels, texture, light, light_color, ambient_color, total,
):  # fmt: skip
    """Add one sample's colour to `total`: (ambient + key light x max(0, n . l)) x the surface's.

    `light` is the key light's direction in the model's frame.
    """
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    ax, bx, cx = projected[a, 0], projected[b, 0], projected[c, 0]
    ay, by, cy = projected[a, 1], projected[b, 1], projected[c, 1]
    wa = _edge(bx, by, cx, cy, x, y)
    wb = _edge(cx, cy, ax, ay, x, y)
    wc = _edge(ax, ay, bx, by, x, y)
    # A face seen from behind is lit as if it had been built the other way round.
    side = sides[face] if wa + wb + wc < 0.0 else -sides[face]
    wa, wb, wc = wa * projected[a, 2], wb * projected[b, 2], wc * projected[c, 2]
    whole = wa + wb + wc
    wa, wb, wc = wa / whole, wb / whole, wc / whole
    a, b, c = a + first_vertex, b + first_vertex, c + first_vertex
    nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
    ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
    nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    cosine = 0.0
    if length > 0.0:
        cosine = max(0.0, side * (nx * light[0] + ny * light[1] + nz * light[2]) / length)
    textured = texture[0] >= 0
    u = v = 0.0
    if textured:
        u = wa * coordinates[a, 0] + wb * coordinates[b, 0] + wc * coordinates[c, 0]
        v = wa * coordinates[a, 1] + wb * coordinates[b, 1] + wc * coordinates[c, 1]
    for channel in range(3):
        if textured:
            surface = _sample(texels, texture, u, v, channel)
        else:
            surface = wa * colors[a, channel] + wb * colors[b, channel] + wc * colors[c, channel]
        intensity = ambient_color[channel] + light_color[channel] * cosine
        total[channel] += min(255.0, surface * intensity)


@compiled
def _color(
    row, column, fineness, owner, fine_owner, fine_inverse_depth, faces, sides, first_vertex,
    projected, normals, colors, coordinates, texels, texture, light, light_color, ambient_color,
    total, rgb,
):  # fmt: skip
    """One pixel's colour: the mean over those of its samples that hit the object.

    Background is never mixed in, so that the silhouette has no dark fringe. A pixel of which only
    the centre hits the object has its centre's colour.
    """
    total[:] = 0.0
    samples = 0
    step = 1.0 / fineness
    for fine_row in range(fineness * row, fineness * (row + 1)):
        for fine_column in range(fineness * column, fineness * (column + 1)):
            if fine_inverse_depth[fine_row, fine_column] > 0.0:
                _shade(
                    step * (fine_column + 0.5), step * (fine_row + 0.5),
                    fine_owner[fine_row, fine_column], faces, sides, first_vertex, projected,
                    normals, colors, coordinates, texels, texture, light, light_color,
                    ambient_color, total,
                )  # fmt: skip
                samples += 1
    if samples == 0:
        _shade(
            column + 0.5, row + 0.5, owner[row, column], faces, sides, first_vertex, projected,
            normals, colors, coordinates, texels, texture, light, light_color, ambient_color, total,
        )  # fmt: skip
        samples = 1
    for channel in range(3):
        rgb[channel] = int(total[channel] / samples + 0.5)


@compiled
def render_crops(
    first_crop, last_crop, near, fineness,
    vertices, normals, colors, coordinates, faces, sides, texels,
    vertex_range, face_range, culls, textures,
    object_index, rotation, translation, camera_matrix,
    light_direction, light_color, ambient_color,
    rgb, depth, nearest,
):  # fmt: skip
    """Render crops `first_crop` to `last_crop` into rows of rgb, depth and nearest.

    The models lie one after the other in the first arrays; `vertex_range` and `face_range` say
    where. A model that reaches up to `near` leaves its crop empty; `nearest` tells.
    """
    size = depth.shape[1]
    largest = 0
    for model in range(len(vertex_range)):
        largest = max(largest, vertex_range[model, 1] - vertex_range[model, 0])
    projected = np.empty((largest, 3), np.float32)
    inverse_depth = np.empty((size, size))
    owner = np.empty((size, size), np.int32)
    fine_inverse_depth, fine_owner = inverse_depth, owner
    if fineness > 1:
        fine_inverse_depth = np.empty((fineness * size, fineness * size))
        fine_owner = np.empty((fineness * size, fineness * size), np.int32)
    light, total = np.empty(3), np.empty(3)
    for crop in range(first_crop, last_crop):
        model = object_index[crop]
        first_vertex, last_vertex = vertex_range[model, 0], vertex_range[model, 1]
        first_face, last_face = face_range[model, 0], face_range[model, 1]
        nearest[crop] = _project(
            vertices, first_vertex, last_vertex,
            rotation[crop], translation[crop], camera_matrix[crop], projected,
        )  # fmt: skip
        if nearest[crop] <= near:
            continue
        _scan(faces, first_face, last_face, culls[model], projected, 1, inverse_depth, owner)
        if fineness > 1:
            _scan(
                faces, first_face, last_face, culls[model], projected, fineness,
                fine_inverse_depth, fine_owner,
            )  # fmt: skip
        for axis in range(3):
            light[axis] = 0.0
            for row in range(3):
                light[axis] += rotation[crop, row, axis] * light_direction[crop, row]
        for row in range(size):
            for column in range(size):
                if inverse_depth[row, column] > 0.0:
                    depth[crop, row, column] = 1.0 / inverse_depth[row, column]
                    _color(
                        row, column, fineness, owner, fine_owner, fine_inverse_depth,
                        faces, sides, first_vertex, projected, normals, colors, coordinates,
                        texels, textures[model], light, light_color[crop], ambient_color[crop],
                        total, rgb[crop, row, column],
                    )  # fmt: skip
