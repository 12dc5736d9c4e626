"""The materials of a glTF file: where a surface's colour comes from, and what of it is hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cad_models._files.gltf.document import Document, Fields, unreadable
from cad_models._files.pictures import MAX_PIXELS, decode_with_alpha, picture_pixels
from cad_models._mesh import srgb
from cad_models._model import ModelError

REPEAT, CLAMP, MIRROR = 10497, 33071, 33648
_NEAREST = 9728
_SHARP_SIDE, _MOST_ENLARGED = 512, 4
"""Pixels to which a texture that is not to be smoothed is enlarged by whole factors, since the
renderers smooth; and the greatest factor where its edges are cut out."""


_MOST_EXTENDED = MAX_PIXELS // 4
"""Pixels of a texture that is continued beyond its borders."""


@dataclass(frozen=True)
class Texture:
    """A texture: an image and how it goes on beyond its borders."""

    image: int
    wraps: tuple[int, int]
    """Across and down: REPEAT, CLAMP or MIRROR."""
    sharp: bool
    """Texels are to have edges."""


@dataclass(frozen=True)
class Material:
    """Of a surface, as far as it is shown."""

    texture: Texture | None = None
    coordinates: int = 0
    """The set of texture coordinates, n of TEXCOORD_n."""
    transform: tuple[tuple[float, float, float], tuple[float, float, float]] = (
        (1.0, 0.0, 0.0), (0.0, 1.0, 0.0),
    )  # fmt: skip
    """(2, 3), from texture coordinates, down from the top left corner, to the picture's."""
    factor: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Linear red, green, blue, and alpha."""
    mode: str = "OPAQUE"
    """Or MASK, BLEND."""
    cutoff: float = 0.5
    """Alpha below it is hidden in MASK."""


def material_of(document: Document, index: int) -> Material:
    """An entry of the file's materials."""
    fields = document.item("materials", index)
    glossy = document.extension(fields, "KHR_materials_pbrSpecularGlossiness")
    if glossy is not None:
        base, factor_name, texture_name = glossy, "diffuseFactor", "diffuseTexture"
    else:
        base = document.fields(fields, "pbrMetallicRoughness")
        factor_name, texture_name = "baseColorFactor", "baseColorTexture"
    factor = document.numbers(base, factor_name, [1.0, 1.0, 1.0, 1.0])
    mode = fields.get("alphaMode", "OPAQUE")
    if mode not in ("OPAQUE", "MASK", "BLEND"):
        document.bad(f"alphaMode is {str(mode)[:20]}")
    texture, coordinates, transform = None, 0, Material.transform
    if texture_name in base:
        info = document.fields(base, texture_name)
        texture = _texture(document, info)
        coordinates, transform = _placing(document, info)
    red, green, blue, alpha = np.clip(factor, 0, 1).tolist()
    return Material(
        texture, coordinates, transform, (red, green, blue, alpha), mode,
        document.number(fields, "alphaCutoff", 0.5),
    )  # fmt: skip


def left_out(document: Document, index: int) -> set[str]:
    """What of a material is not shown, in words."""
    fields = document.item("materials", index)
    looks = set()
    if document.numbers(fields, "emissiveFactor", [0.0, 0.0, 0.0]).max() > 0:
        looks.add("emission")
    if "normalTexture" in fields:
        looks.add("normal maps")
    for name in document.fields(fields, "extensions"):
        if name in _OTHER_LOOKS:
            looks.add(_OTHER_LOOKS[name])
    return looks


_OTHER_LOOKS = {
    "KHR_materials_transmission": "transparency",
    "KHR_materials_diffuse_transmission": "transparency",
    "KHR_materials_volume": "transparency",
    "KHR_materials_clearcoat": "clear coats",
    "KHR_materials_sheen": "sheen",
    "KHR_materials_iridescence": "iridescence",
}


def _texture(document: Document, info: Fields) -> Texture | None:
    texture = document.item("textures", info.get("index"))
    source, needed = texture.get("source"), ""
    for name in document.fields(texture, "extensions"):
        extension = document.extension(texture, name) or {}
        if name == "EXT_texture_webp":
            source = extension.get("source", source)
        elif "source" in extension:
            needed = name
    if source is None:
        if needed:
            raise unreadable(document.path, needed)
        return None
    document.item("images", source)
    sampler = document.item("samplers", texture["sampler"]) if "sampler" in texture else {}
    wraps = tuple(sampler.get(name, REPEAT) for name in ("wrapS", "wrapT"))
    if any(wrap not in (REPEAT, CLAMP, MIRROR) for wrap in wraps):
        document.bad("a texture is neither repeated nor clamped nor mirrored")
    return Texture(int(source), (wraps[0], wraps[1]), sampler.get("magFilter") == _NEAREST)


def _placing(
    document: Document, info: Fields
) -> tuple[int, tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """The set of texture coordinates, and the transform of `Material`."""
    coordinates = document.integer(info, "texCoord", 0)
    change = document.extension(info, "KHR_texture_transform")
    if change is None:
        return coordinates, Material.transform
    right, down = document.numbers(change, "offset", [0.0, 0.0]).tolist()
    across, along = document.numbers(change, "scale", [1.0, 1.0]).tolist()
    angle = document.number(change, "rotation", 0.0)
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    # Counter-clockwise as it is seen; the second coordinate points down.
    transform = (
        (cosine * across, sine * along, right),
        (-sine * across, cosine * along, down),
    )
    return document.integer(change, "texCoord", coordinates), transform


def image_content(document: Document, index: int) -> bytes:
    """The file of an image.

    Raises:
        ModelError: it is missing or no picture.
    """
    image = document.item("images", index)
    if "uri" in image:
        content = document.resource(image["uri"])
    else:
        content = bytes(document.view(image.get("bufferView")))
    if not 0 < picture_pixels(content) <= MAX_PIXELS:
        raise _no_texture(document, index)
    return content


def _no_texture(document: Document, index: int) -> ModelError:
    return ModelError(
        f"{document.path} has the texture {document.name_of('images', index)!r}, which is not a "
        "picture that can be read; save it as PNG or JPEG of at most 16384 x 8192 pixels"
    )


def decoded(document: Document, image: int, content: bytes, most: int) -> NDArray[np.uint8]:
    """(H, W, 4), RGBA, no side longer than `most`.

    Raises:
        ModelError: the content is damaged.
    """
    rgba = decode_with_alpha(content)
    if rgba is None:
        raise _no_texture(document, image)
    return reduced(rgba, min(1.0, most / max(rgba.shape)))


def reduced(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """A picture of fewer pixels, each the mean of those that it stands for."""
    if scale >= 1:
        return pixels
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def sharpened(rgba: NDArray[np.uint8], is_cut: bool) -> NDArray[np.uint8]:
    """A picture whose texels have edges, if it is small."""
    times = max(1, _SHARP_SIDE // max(rgba.shape))
    if is_cut:
        times = min(times, _MOST_ENLARGED)
    return rgba.repeat(times, axis=0).repeat(times, axis=1)


def without_hidden_colors(rgba: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture with its hidden texels in the colour of the nearest that is seen.

    What is hidden has any colour, which smoothing would bring to the edges of what is seen.
    """
    if not hidden.any() or hidden.all():
        return rgba
    _, nearest = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros((int(nearest.max()) + 1, 3), dtype=np.uint8)
    by_label[nearest[~hidden]] = rgba[~hidden][:, :3]
    changed = rgba.copy()
    changed[hidden, :3] = by_label[nearest[hidden]]
    return changed


def tinted(rgb: NDArray[np.uint8], factor: tuple[float, ...]) -> NDArray[np.uint8]:
    """The picture times a linear factor for each channel."""
    if all(value == 1 for value in factor[:3]):
        return np.ascontiguousarray(rgb)
    tables = [srgb.encoded(srgb.LINEAR * value) for value in factor[:3]]
    return np.stack([table[rgb[..., k]] for k, table in enumerate(tables)], axis=-1)


def extended(
    rgba: NDArray[np.uint8],
    wraps: tuple[int, int],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64], bool]:
    """A picture that shows between two coordinates what it shows where it need not repeat.

    Args:
        rgba: (H, W, 4).
        wraps: how it goes on across and down.
        low: (2,), the least coordinates (across, down) that are used.
        high: (2,), the greatest.

    Returns:
        The picture; by what its coordinates are to be multiplied, (2,), and what then to be added,
        (2,); and whether it had to stay as it is for its size.
    """
    scale, start, sides = np.ones(2), np.zeros(2), list(rgba.shape[1::-1])
    for axis, wrap in enumerate(wraps):
        size = rgba.shape[1 - axis]
        first, last = low[axis] * size - 0.5, high[axis] * size - 0.5
        if wrap == REPEAT or (first >= 0 and last <= size - 1):
            continue
        if wrap == MIRROR:
            sides[axis] = 2 * size
        else:
            start[axis] = min(math.floor(first), 0)
            sides[axis] = max(math.ceil(last) + 1, size) - int(start[axis])
        scale[axis] = size / sides[axis]
    height, width = rgba.shape[:2]
    if sides == [width, height]:
        return rgba, scale, start, False
    if sides[0] * sides[1] > max(_MOST_EXTENDED, (width + 2) * (height + 2)):
        return rgba, np.ones(2), np.zeros(2), True
    columns, rows = (
        _texels(wrap, rgba.shape[1 - axis], int(start[axis]), sides[axis])
        for axis, wrap in enumerate(wraps)
    )
    return rgba[rows][:, columns], scale, -start / sides, False


def _texels(wrap: int, size: int, start: int, count: int) -> NDArray[np.int64]:
    """Which texel of a line of them lies at each place from one on."""
    places = np.arange(start, start + count)
    if wrap == MIRROR:
        return np.minimum(places, 2 * size - 1 - places)
    return np.clip(places, 0, size - 1)
