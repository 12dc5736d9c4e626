# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene remembers of how its datasets and adapters are made."""

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

_BESIDE_FILE = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()
"""A path may begin with //; before 4.5 every one may."""

CHANNELS = (
    ("FOUND", "As Found", "Colour, and depth where the folder has it"),
    ("3", "Colour Alone", "Depth is left aside"),
    ("4", "Colour and Depth", "A folder that lacks depth is refused"),
)
LEARNING_PRESETS = (
    ("fast", "Fast", "For a processor without a GPU: hours"),
    ("best", "Best", "For crops that render-adapt align has aligned"),
    ("linemod-masked", "Paper", "As in the PixelDA paper: for a GPU"),
)


_PROPERTIES = {
    "depth_scale": "depth_step",
    "distance": "near",
    "n": "count",
    "objects": "source",
    "preset": "learning",
    "source_crops": "renders",
}
"""The scene's settings by a job's names for them, where these differ."""
_OF_OBJECTS = {"symmetry": "Symmetry"}
"""What the interface calls settings that each object has of its own, by a job's names."""


class RenderAdaptSettings(bpy.types.PropertyGroup):
    """Of one scene."""

    source: EnumProperty(
        name="Objects",
        description="What to render; each object gets crops and a label of its own",
        items=(
            ("SELECTED", "Selected", "The selected objects"),
            ("COLLECTION", "Collection", "All visible objects of a collection"),
        ),
        default="SELECTED",
    )
    collection: PointerProperty(
        name="Collection", description="Its visible objects are rendered", type=bpy.types.Collection
    )
    distractors: PointerProperty(
        name="Distractors",
        description="Visible objects of this collection hide the others and stand beside them; no "
        "crop is of them, and they are labelled too",
        type=bpy.types.Collection,
    )

    count: IntProperty(
        name="Crops",
        description="How many crops to make, of all objects together",
        default=1000,
        min=1,
        soft_max=100_000,
    )
    size: EnumProperty(
        name="Resolution",
        description="Side of a crop in pixels",
        items=(
            ("64", "64 px", "The size that the shipped adapter was trained with"),
            ("128", "128 px", "Four times as many pixels"),
            ("256", "256 px", "Sixteen times as many pixels"),
        ),
        default="64",
    )
    seed: IntProperty(
        name="Seed", description="The same seed makes the same crops", default=0, min=0
    )
    out: StringProperty(
        name="Output",
        description="Folder of the dataset; a run that was stopped continues there",
        subtype="DIR_PATH",
        options=_BESIDE_FILE,
        default="//dataset/",
    )

    adapter: EnumProperty(
        name="Adapter",
        description="What makes the renders look like a camera's pictures",
        items=(
            ("SHIPPED", "Shipped", "The adapter that comes with it, trained on LINEMOD's camera"),
            ("FOLDER", "My Own", "An adapter that was learned from your camera's crops"),
            ("NONE", "None", "Plain renders"),
        ),
        default="SHIPPED",
    )
    adapter_folder: StringProperty(
        name="Folder",
        description="Folder of an adapter that Learn from Folder wrote",
        subtype="DIR_PATH",
        options=_BESIDE_FILE,
    )
    samples: EnumProperty(
        name="Quality",
        description="How many rays Cycles follows for each pixel and light",
        items=(
            ("1", "Draft", "1 ray: fast, and grainy in corners"),
            ("4", "Good", "4 rays"),
            ("16", "Fine", "16 rays: some three times slower than Good"),
            ("64", "Best", "64 rays: some ten times slower than Good"),
        ),
        default="4",
    )
    randomize: EnumProperty(
        name="Vary",
        description="What differs from crop to crop beside the view",
        items=(
            ("none", "Nothing", "The same light for all crops, on black"),
            ("linemod", "Light", "Light alone, on black, for the adapter to go on from"),
            (
                "strong",
                "Everything",
                "Light, surfaces, background, occluders, blur, noise: for "
                "training without an adapter",
            ),
        ),
        default="linemod",
    )
    lit_by: EnumProperty(
        name="Light",
        description="What lights the objects",
        items=(
            ("plan", "Varied", "Lights and surroundings that Vary says"),
            (
                "scene",
                "The Scene's",
                "The lights and the world of this scene: the camera goes around each object as it "
                "stands here",
            ),
        ),
        default="plan",
    )
    min_fidelity: FloatProperty(
        name="Least Fidelity",
        description="Crops on which the adapter moved the object away from its label by this "
        "measure are made anew, and left out if that does not help; 0 keeps all",
        default=0.0,
        min=0.0,
        max=1.0,
        precision=3,
        step=1,
    )
    preview_crops: IntProperty(
        name="Preview Crops",
        description="How many crops the preview shows",
        default=4,
        min=1,
        max=16,
    )

    auto_framing: BoolProperty(
        name="Automatic",
        description="Take window and distance from the size of the largest object; up to 220 mm "
        "they are those of LINEMOD, 200 mm and 650 to 1100 mm",
        default=True,
    )
    window: FloatProperty(
        name="Window (mm)",
        description="Side of the square that a crop shows at the object's distance, millimetres",
        default=200.0,
        min=1.0,
        soft_max=10_000.0,
        precision=0,
        step=1000,
    )
    near: FloatProperty(
        name="Nearest (mm)",
        description="Least distance from camera to object, millimetres",
        default=650.0,
        min=1.0,
        soft_max=50_000.0,
        precision=0,
        step=1000,
    )
    far: FloatProperty(
        name="Farthest (mm)",
        description="Greatest distance from camera to object, millimetres",
        default=1100.0,
        min=1.0,
        soft_max=50_000.0,
        precision=0,
        step=1000,
    )
    centre: EnumProperty(
        name="Centre",
        description="What of the object is in the middle of a crop",
        items=(
            (
                "ADAPTER",
                "As Adapter",
                "As in the crops that the adapter learned from, and for learning as the camera "
                "crops' folder says; where neither says so, as Box",
            ),
            ("BOX", "Box", "The centre of its bounding box"),
            ("MEAN", "Mean", "The mean of its mesh's vertices, as in LINEMOD's crops"),
            ("ORIGIN", "Origin", "Its origin, as crops are cut around known poses"),
            ("VISIBLE", "Visible", "The middle of what is seen of it, as detectors cut"),
        ),
        default="ADAPTER",
    )
    auto_off_axis: BoolProperty(
        name="As Adapter",
        description="As far off the camera's optical axis as the crops that the adapter learned "
        "from, and for learning as the camera crops' folder says; where neither says so, on it",
        default=True,
    )
    off_axis: FloatProperty(
        name="Off Axis (°)",
        description="How far off the camera's optical axis crops lie at most, degrees; their poses "
        "are what that camera sees",
        default=10.0,
        min=0.0,
        max=60.0,
        precision=1,
        step=100,
    )

    target: StringProperty(
        name="Camera Crops",
        description="Folder of unlabelled, square crops of these objects from your camera: images, "
        "or rgb/ and depth/ side by side, or a BOP dataset",
        subtype="DIR_PATH",
        options=_BESIDE_FILE,
    )
    channels: EnumProperty(
        name="Channels",
        description="What of the camera's crops to learn from",
        items=CHANNELS,
        default="FOUND",
    )
    depth_step: FloatProperty(
        name="Depth Step",
        description="Millimetres in a step of the camera's depth; 0 leaves it to the crops' folder",
        default=0.0,
        min=0.0,
        soft_max=1000.0,
        precision=3,
    )
    learned: StringProperty(
        name="New Adapter",
        description="Folder of the adapter that is learned; learning that was stopped continues "
        "there",
        subtype="DIR_PATH",
        options=_BESIDE_FILE,
        default="//adapter/",
    )
    learning: EnumProperty(
        name="Recipe",
        description="How the adapter is trained",
        items=LEARNING_PRESETS,
        default="fast",
    )
    renders: IntProperty(
        name="Renders",
        description="How many renders of the objects to learn from, made before learning begins",
        default=10_000,
        min=2,
        soft_max=100_000,
    )
    steps: IntProperty(
        name="Steps", description="How long to train; more of them continue a finished adapter",
        default=20_000, min=1, soft_max=200_000,
    )  # fmt: skip


def shown_name(name: str, kind: str | None) -> str:
    """What the interface calls a setting of a job; the job's own name if it has none.

    Args:
        name: the setting's, as the job knows it.
        kind: the job's.
    """
    if name in _OF_OBJECTS:
        return _OF_OBJECTS[name]
    property_name = "learned" if (name, kind) == ("out", "learn") else _PROPERTIES.get(name, name)
    field = RenderAdaptSettings.bl_rna.properties.get(property_name)
    # Without the unit.
    return name if field is None else str(field.name).partition(" (")[0]


def register() -> None:
    """Give every scene settings, and every object a symmetry."""
    bpy.utils.register_class(RenderAdaptSettings)
    bpy.types.Scene.render_adapt = PointerProperty(type=RenderAdaptSettings)
    bpy.types.Object.render_adapt_symmetry = StringProperty(
        name=_OF_OBJECTS["symmetry"],
        description="Turns that leave the object as it looks, about its own axes: z for any turn "
        "about z, z2 for half turns, z6 x2 for sixths about z and half turns about x",
    )


def unregister() -> None:
    """Take them away again; what a .blend file holds of them stays in it."""
    del bpy.types.Object.render_adapt_symmetry
    del bpy.types.Scene.render_adapt
    bpy.utils.unregister_class(RenderAdaptSettings)
