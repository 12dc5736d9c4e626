"""The fifteen objects, modelled by hand: one function each.

Convention:
    Millimetres, z up, near the size and the orientation of LINEMOD's objects. What has a front
    faces +x, but for the cat, whose body points along +y and whose face looks to +x.
"""

from __future__ import annotations

from cad_models.builtin._signed_distance import (
    Outline,
    Solid,
    box,
    capsule,
    cylinder,
    ellipsoid,
    extrusion,
    half_space,
    revolution,
    smooth_curve,
    smooth_outline,
    sphere,
    torus,
    tube,
    union,
)

STEEL = (172, 174, 178)
BLACK = (34, 32, 36)


def _curved(knots: Outline) -> list[tuple[float, float]]:
    return [(point[0], point[1]) for point in smooth_curve(knots, 4)]


def ape() -> Solid:
    """A sitting ape, one hand at its chin."""
    fur, skin, dark = (160, 64, 50), (192, 106, 88), (45, 18, 18)
    trunk = union(
        ellipsoid((-9, 0, -22), (28, 30, 27)),
        ellipsoid((-10, 0, 5), (21, 26, 23)),
        blend=14,
    )
    legs = union(
        capsule((-8, 20, -33), (17, 29, -14), 12, 9.5),
        capsule((17, 29, -14), (20, 20, -38), 9, 6.5),
        capsule((17, 19, -41), (32, 15, -42), 6, 5.5),
        blend=5,
    ).mirrored("y")
    thinking_arm = union(
        capsule((-8, 21, 9), (9, 32, -5), 9.5, 7),
        capsule((9, 32, -5), (18, 11, 10), 7, 5),
        sphere((19, 9, 11), 6),
        blend=4,
    )
    resting_arm = union(
        capsule((-8, -21, 9), (2, -33, -10), 9.5, 7),
        capsule((2, -33, -10), (23, -27, -6), 7, 5.5),
        blend=4,
    )
    body = union(trunk, legs, thinking_arm, resting_arm, blend=5).colored(fur)
    face = union(ellipsoid((22, 0, 19), (13, 13, 9)), ellipsoid((20, 0, 28), (9, 11, 6)))
    eyes = ellipsoid((17, 5.5, 28.5), (4, 2.6, 2.6)).mirrored("y")
    nostrils = ellipsoid((26, 2.6, 23), (4, 1.6, 1.4)).mirrored("y")
    mouth = ellipsoid((26, 0, 16.5), (5, 6.5, 1.2))
    head = union(
        ellipsoid((1, 0, 27), (17, 16, 19)),
        capsule((13, -7, 33), (13, 7, 33), 4.5),
        ellipsoid((17, 0, 20), (10, 11, 9)),
        blend=4,
    )
    head = head.colored(fur).painted(skin, face).painted(dark, union(eyes, nostrils, mouth))
    ears = ellipsoid((-1, 17, 28), (3.5, 4.5, 6)).mirrored("y").colored(skin)
    figure = union(body, head, ears, blend=4)
    return figure.cut(half_space("z", below=-46), blend=2)


def benchvise() -> Solid:
    """A clamp-on bench vise, lying on its jaws with the table clamp up."""
    blue = (66, 98, 140)
    body = union(
        box((50, 0, -59), (122, 46, 50), 10),
        cylinder((112, 0, -58), 17, 18, "x", 4),
        cylinder((40, 0, -30), 30, 20, "z", 3),
        blend=6,
    )
    jaws = union(
        box((-22, 0, -70), (24, 54, 70), 6),
        box((-66, 0, -69), (22, 54, 66), 6),
        box((-40, 0, -45), (70, 24, 20), 4),
        blend=4,
    )
    plates = union(
        box((-35.5, 0, -88), (7, 50, 26), 1.5),
        box((-53.5, 0, -87), (7, 50, 24), 1.5),
    ).colored(STEEL)
    screw = union(
        cylinder((-82, 0, -45), 9, 34, "x", 3),
        capsule((-92, -32, -45), (-92, 32, -45), 4),
        sphere((-92, 32, -45), 6.5).mirrored("y"),
    ).colored(STEEL)
    openings = cylinder((23, 23, 0), 13, 40).mirrored("x", "y").moved(x=40)
    wheel = union(
        cylinder((40, 0, -6), 54, 8).cut(openings, blend=2),
        torus((40, 0, -4), 53, 7),
        cylinder((40, 0, -12), 17, 30, "z", 3),
        blend=3,
    )
    clamp = union(
        extrusion([(-22, 0), (2, 0), (-4, 108), (-24, 108)], "y", -14, 14, 4),
        box((10, 0, 100), (62, 26, 18), 5),
        blend=6,
    )
    spindle = union(
        cylinder((35, 0, 62), 5.5, 108, "z", 2),
        cylinder((35, 0, 11), 12, 9, "z", 3),
        capsule((35, -20, 116), (35, 20, 116), 3.5),
        blend=2,
    ).colored(STEEL)
    painted = union(body, jaws, wheel, clamp, blend=5).colored(blue)
    return union(painted, plates, screw, spindle).turned("y", 14)


BOWL_PROFILE = [
    (0.0, -34.0),
    (27.0, -34.0),
    (29.0, -37.2),
    (34.0, -37.2),
    (36.5, -33.0),
    *_curved([(36.5, -33.0), (52, -24), (65, -8), (75, 12), (81.5, 33.5)])[1:],
    (82.6, 35.4),
    (82.6, 36.6),
    (81.5, 37.2),
    (79.5, 37.2),
    (78.2, 36.4),
    *_curved([(77.6, 34.6), (71, 13.5), (61.5, -5.5), (49, -19), (30, -28), (12, -30.6)]),
    (0.0, -31.0),
]
"""(radius, height) from the middle of the foot, up the outside, down the inside."""


def bowl() -> Solid:
    """A round bowl, cream with a brown rim and a brown band."""
    cream, brown = (206, 196, 172), (120, 84, 62)
    rim = half_space("z", beyond=33.0)
    band = box((0, 0, 20.5), (400, 400, 8))
    return revolution(BOWL_PROFILE).colored(cream).painted(brown, union(rim, band))


def cam() -> Solid:
    """A reflex camera: grey body, black grip and lens."""
    grey, dark, glass = (148, 148, 152), (42, 41, 45), (104, 118, 112)
    body = union(
        box((-33, 0, -12), (60, 142, 76), 9),
        extrusion([(-20, 16), (44, 16), (36, 42), (28, 51), (-4, 51), (-12, 42)], "x", -58, 8, 6),
        blend=5,
    ).colored(grey)
    body = body.painted(dark, box((-64, 22, -17), (12, 54, 60)))
    body = body.painted(glass, box((-64, 22, -17), (14, 42, 46)))
    body = body.painted(dark, box((-20, 12, 52), (12, 14, 10)))
    grip = (
        union(
            capsule((-2, -56, -34), (0, -56, 14), 16),
            box((-30, -66, -12), (50, 14, 72), 5),
            blend=6,
        )
        .within(half_space("z", below=27), blend=4)
        .within(half_space("z", beyond=-50), blend=4)
    )
    lens = revolution(
        [(0, -10), (37, -10), (37, 10), (33, 12), (33, 20), (36, 22), (36, 50), (34, 54), (34, 68),
         (30, 68), (28, 64), (0, 64)], "x"
    ).moved(y=16, z=-11)  # fmt: skip
    front = cylinder((66, 16, -11), 22, 12, "x")
    ring = box((16, 16, -11), (5, 100, 100))
    badge = box((64, 0, 0), (10, 8, 30), 1).turned("x", -45).moved(y=16, z=-11)
    lens = lens.colored(dark).painted((70, 74, 92), front).painted((176, 176, 176), ring)
    lens = lens.painted((172, 166, 140), badge)
    eyepiece = box((-60, 18, 31), (18, 34, 24), 4)
    dials = union(cylinder((-40, -34, 28), 12, 14, "z", 2), cylinder((-8, -56, 28), 7, 10, "z", 2))
    pad = union(
        torus((-63, -24, -16), 12, 2.5, "x"), cylinder((-62, -52, 14), 5, 6, "x", 1)
    ).colored((104, 104, 110))
    return union(body, grip.colored(dark), lens, eyepiece.colored(dark), dials.colored(dark), pad)


def can() -> Solid:
    """A white watering can: open in front, a bow across its top, a handle behind."""
    white = (208, 202, 192)
    vessel = union(
        cylinder((0, 8, -38), 47, 117, "z", 4),
        cylinder((0, 8, 13), 49, 14, "z", 3),
        cylinder((0, 8, -72), 49.5, 8, "z", 3),
        cylinder((0, 8, -91), 49.5, 12, "z", 3),
        blend=5,
    )
    inside = cylinder((0, 8, -30), 41, 110, "z", 8)
    lid = box((0, 36, 10), (90, 60, 6), 2).within(cylinder((0, 8, 10), 44, 20))
    bow = tube(
        [(-43, 8, 4), (-43, 8, 50), (-36, 8, 74), (-19, 8, 87), (0, 8, 90), (19, 8, 87),
         (36, 8, 74), (43, 8, 50), (43, 8, 4)], 7.5, 4
    )  # fmt: skip
    spout = union(
        capsule((0, -28, -55), (0, -68, -2), 15, 9),
        capsule((0, -64, -8), (0, -78, 12), 9, 16),
        blend=4,
    )
    nozzle = half_space("y", below=0).turned("x", -40).moved(y=-82, z=16)
    handle = tube(
        [(0, 50, -2), (0, 68, 3), (0, 82, -8), (0, 84, -28), (0, 72, -48), (0, 60, -62),
         (0, 64, -72)], 6.5, 4
    )  # fmt: skip
    outside = union(vessel, spout.cut(nozzle, blend=1), bow, handle, blend=5)
    whole = union(outside.cut(inside, blend=2), lid).colored(white)
    return whole.painted((150, 146, 140), nozzle.grown(1.5))


def cat() -> Solid:
    """A pink kitten, its head turned to the side."""
    pink, dark, nose = (208, 122, 136), (78, 66, 96), (196, 62, 78)
    trunk = union(
        capsule((0, 20, -14), (0, -34, -14), 16, 17),
        capsule((2, 22, -6), (6, 26, 4), 15, 16),
        blend=8,
    )
    legs = union(
        capsule((10, 18, -22), (13, 20, -48), 9, 8),
        ellipsoid((17, 22, -51), (12, 10, 8.5)),
        capsule((-10, 18, -22), (-13, 20, -48), 9, 8),
        ellipsoid((-13, 25, -51), (10, 11, 8.5)),
        capsule((11, -34, -20), (14, -42, -48), 11, 8),
        ellipsoid((15, -41, -51), (10, 13, 8.5)),
        capsule((-11, -34, -20), (-14, -42, -48), 11, 8),
        ellipsoid((-15, -41, -51), (10, 13, 8.5)),
        blend=6,
    )
    tail = tube([(0, -42, -8), (0, -51, 4), (0, -54, 16), (0, -51, 26)], [8, 6.5, 5.5, 5], 5)
    head = union(
        ellipsoid((0, 0, 0), (27, 29, 26)),
        ellipsoid((20, 0, -9), (12, 13, 8)),
        blend=8,
    ).colored(pink)
    eyes = ellipsoid((25, 11, 3), (10, 4.2, 5.2)).mirrored("y")
    inner_ears = ellipsoid((10, 25, 27), (9, 6, 9)).mirrored("y")
    mouth = ellipsoid((30, 0, -14), (8, 7, 1.4))
    head = head.painted(dark, eyes).painted(nose, mouth)
    snout = ellipsoid((31, 0, -5), (3, 3.6, 2.6)).colored(nose)
    ears = capsule((1, 17, 15), (-3, 26, 26), 12, 3).mirrored("y")
    ears = ears.cut(capsule((12, 18, 18), (8, 25, 24), 5, 2).mirrored("y"), blend=4)
    ears = ears.colored(pink).painted((176, 78, 100), inner_ears)
    head = union(head, snout, ears, blend=4).turned("x", -28).turned("z", 8).moved(3, 25, 18)
    body = union(trunk, legs, tail, blend=7).colored(pink)
    return union(body, head, blend=4).cut(half_space("z", below=-58.5), blend=2)


def cup() -> Solid:
    """A dark blue cup, narrower at its foot."""
    blue, light = (36, 40, 92), (72, 78, 140)
    outside = [(0.0, -47.0), (27, -47), (30, -44), (34, -25), (40, 5), (45, 40), (46, 45), (45, 47)]
    inside = [(42.0, 47.0), (40.5, 44), (36, 5), (30, -25), (25, -38), (18, -40), (0, -40)]
    hollow = revolution([*inside, (0, 60), (42, 60)])
    handle = tube(
        [(30, 0, 31), (50, 0, 34), (64, 0, 28), (65, 0, 14), (54, 0, 3), (34, 0, 2)], 6, 5
    )
    whole = union(revolution([*outside, *inside]), handle.cut(hollow), blend=6).colored(blue)
    return whole.painted(light, half_space("z", beyond=43)).moved(x=-13)


def driller() -> Solid:
    """A cordless drill, dark green with a red trigger."""
    green, dark, red = (30, 56, 47), (28, 26, 30), (156, 34, 40)
    motor = revolution(
        [(0, -112), (24, -112), (33, -102), (37, -80), (35, -40), (37, -5), (36, 20), (31, 28),
         (0, 28)], "x"
    )  # fmt: skip
    motor = motor.colored(green)
    stripe = box((-40, 0, 4), (86, 200, 13), 2)
    motor = motor.painted(red, stripe)
    collar = cylinder((24, 0, 0), 37, 16, "x", 3).colored(dark)
    chuck = revolution(
        [(0, 20), (30, 20), (32, 30), (30, 46), (27, 48), (27, 84), (17, 104), (10, 116), (0, 116)],
        "x",
    ).colored((62, 60, 66))
    rings = union(*(box((x, 0, 0), (4, 90, 90)) for x in (56, 64, 72, 80)))
    chuck = chuck.painted((104, 102, 108), rings)
    bit = cylinder((114, 0, 0), 4, 14, "x", 1).colored(STEEL)
    drill = union(motor, collar, chuck, bit).turned("y", -12.5).moved(z=68)
    handle = extrusion(
        smooth_outline([(-62, 60), (-10, 60), (-8, 20), (-14, -20), (-6, -62), (2, -92), (-58, -92),
                        (-60, -60), (-64, -20), (-70, 30)], 4), "y", -19, 19, 12
    ).colored(green)  # fmt: skip
    grip = extrusion(
        smooth_outline([(-72, 30), (-50, 20), (-44, -20), (-44, -60), (-70, -70), (-75, -20)], 3),
        "y", -40, 40,
    )  # fmt: skip
    handle = handle.painted(dark, grip)
    trigger = box((2, 0, 26), (22, 15, 32), 6).turned("y", -8).colored(red)
    battery = extrusion(
        [(-66, -104), (48, -104), (48, -88), (30, -72), (-60, -72)], "y", -30, 30, 6
    )
    battery = battery.colored(green).painted((168, 162, 150), half_space("z", below=-93))
    return union(drill, handle, trigger, battery, blend=5)


def duck() -> Solid:
    """A yellow rubber duck with an orange beak."""
    yellow, orange, dark = (238, 196, 44), (226, 118, 24), (60, 48, 72)
    body = union(
        ellipsoid((2, 0, -22), (48, 37, 26)),
        ellipsoid((16, 0, -18), (34, 32, 24)),
        capsule((-28, 0, -14), (-46, 0, 0), 17, 5),
        blend=10,
    )
    wings = ellipsoid((-6, 28, -15), (25, 10, 13)).turned("y", 10).mirrored("y")
    head = union(
        ellipsoid((6, 0, 20), (23, 21.5, 22.5)),
        ellipsoid((-10, 0, 36), (6, 4, 5)),
        blend=5,
    )
    eyes = ellipsoid((23, 15, 25), (7, 6, 6.5)).mirrored("y")
    neck = capsule((6, 0, -8), (6, 0, 8), 22, 17)
    figure = union(union(body, wings, blend=4), neck, head, blend=6)
    figure = figure.colored(yellow).painted((238, 232, 214), eyes.grown(1.8)).painted(dark, eyes)
    beak = union(
        ellipsoid((32, 0, 17), (15, 12, 4.5)).turned("y", -6),
        ellipsoid((30, 0, 12), (11, 9, 3.5)),
        blend=3,
    ).colored(orange)
    return union(figure, beak, blend=3).cut(half_space("z", below=-43), blend=3)


def eggbox() -> Solid:
    """A closed carton for six eggs; the same after half a turn about z."""
    pulp, shade = (204, 198, 186), (172, 162, 148)
    cups = union(
        ellipsoid((0, 25, -8), (26, 27, 34)),
        ellipsoid((48, 25, -8), (27, 27, 34)),
        blend=4,
    ).mirrored("x", "y")
    tray = union(cups, box((0, 0, -6), (110, 70, 24), 8), blend=6)
    tray = tray.within(half_space("z", below=4)).cut(half_space("z", below=-34.5), blend=4)
    flange = box((0, 0, 3), (152, 109, 5), 2.5)
    flange = flange.within(cylinder((0, 0, 0), 83, 60), blend=6)
    lobes = ellipsoid((49, 24, 5), (25, 25, 27)).mirrored("x", "y")
    plateau = extrusion(
        [(-52, 0), (52, 0), (48, 12), (40, 34.5), (-40, 34.5), (-48, 12)], "x", -56, 56, 5
    )
    lid = union(lobes, plateau, blend=6).within(half_space("z", beyond=0))
    whole = union(tray, flange, lid, blend=3).colored(pulp)
    ridge = box((0, 0, 2.5), (400, 400, 4))
    return whole.painted(shade, ridge)


def glue() -> Solid:
    """A flat white bottle of glue with a black cap; the same after half a turn about z."""
    white, red, dark = (212, 210, 208), (190, 44, 54), (52, 48, 52)
    side = _curved([(38, -80), (38.5, -50), (36, -15), (29, 15), (20, 36), (11, 48), (9.5, 56)])
    right = [(33.0, -86.4), (36.5, -85.0), *side]
    left = [(-y, z) for y, z in reversed(right)]
    bottle = extrusion([*right, *left], "x", -18, 18, 9)
    neck = cylinder((0, 0, 48), 9.5, 20)
    bottle = union(bottle, neck, blend=5).colored(white)
    title = box((0, 0, -6), (80, 44, 11))
    picture = box((0, 0, -27), (80, 50, 20))
    stripe = box((0, 0, -68), (80, 60, 10))
    lines = union(*(box((0, 0, z), (80, 40, 3)) for z in (-46, -53)))
    bottle = bottle.painted(red, union(title, stripe)).painted(dark, union(picture, lines))
    bottle = bottle.painted((196, 190, 172), box((0, 0, -27), (80, 26, 8)))
    cap = revolution([(0, 56), (11.5, 56), (11.5, 62), (9, 65), (6.5, 86.4), (0, 86.4)], "z")
    return union(bottle, cap.colored(BLACK)).mirrored("x", "y")


def holepuncher() -> Solid:
    """A dark blue hole punch with steel pins."""
    blue, light = (42, 46, 96), (96, 100, 140)
    base = box((2, 0, -40), (92, 98, 9), 4)
    guide = box((30, 0, -41), (18, 108, 7), 3)
    block = extrusion(
        [(-46, -40), (-4, -40), (-4, -16), (-22, 8), (-44, 12), (-50, -8)], "y", -42, 42, 5
    )
    slot = box((20, 0, -31), (70, 200, 5))
    lever = box((0, 0, 0), (104, 92, 12), 5)
    opening = box((4, 0, 0), (15, 44, 60), 7)
    lever = lever.cut(opening, blend=3).turned("y", -27).moved(-4, 0, 20)
    cheeks = extrusion(
        [(-48, 0), (-30, -30), (-8, -14), (38, 36), (30, 40), (-44, 8)], "y", 36, 44, 3
    ).mirrored("y")
    body = union(block.cut(slot), lever, cheeks, blend=5)
    shell = union(body, base, guide, blend=3).colored(blue)
    scale = union(*(box((30, y, -37), (12, 3, 4)) for y in range(-44, 45, 11)))
    shell = shell.painted(light, scale)
    pins = cylinder((4, 26, -14), 5.5, 50).mirrored("y").colored(STEEL)
    return union(shell, pins)


def iron() -> Solid:
    """A blue steam iron: pale sole, closed handle, cord at the back."""
    blue, pale, grey = (58, 100, 176), (214, 214, 216), (148, 146, 148)
    plan = smooth_outline(
        [(129, 0), (112, 15), (70, 38), (10, 55), (-50, 59), (-84, 52), (-90, 0), (-84, -52),
         (-50, -59), (10, -55), (70, -38), (112, -15)], 4
    )  # fmt: skip
    side = smooth_outline(
        [(132, -60), (112, -42), (88, -10), (70, 30), (52, 50), (20, 60), (-40, 64), (-84, 56),
         (-100, 40), (-102, 10), (-98, -20), (-96, -58), (20, -58)], 4
    )  # fmt: skip
    front = [(-62, -62), (62, -62), (50, -38), (30, -8), (17, 14), (13, 40), (13, 80), (-13, 80),
             (-13, 40), (-17, 14), (-30, -8), (-50, -38)]  # fmt: skip
    hole = smooth_outline([(42, 6), (32, 28), (4, 38), (-40, 40), (-64, 30), (-66, 10), (-40, -2),
                           (10, -2)], 4)  # fmt: skip
    shell = extrusion(plan, "z", -60, 100).within(extrusion(side, "y", -80, 80, 0), blend=8)
    shell = shell.within(extrusion(front, "x", -140, 140), blend=6)
    shell = shell.cut(extrusion(hole, "y", -80, 80), blend=5).colored(blue)
    heels = capsule((-84, 30, -36), (-118, 34, -36), 14, 9).mirrored("y").colored(blue)
    rim = extrusion(plan, "z", -64, -54, 2).grown(0.5).colored(pale)
    sole = extrusion(plan, "z", -70.5, -62, 1).grown(-2).colored(grey)
    dial = cylinder((-10, 0, -2), 20, 14, "z", 3).colored(pale)
    buttons = union(cylinder((62, 0, 42), 7, 26, "z", 3), cylinder((46, 0, 52), 6, 24, "z", 3))
    cord = capsule((-92, 0, 50), (-116, 0, 68), 6, 4).colored(grey)
    tank = ellipsoid((62, 0, -20), (34, 80, 13))
    shell = shell.painted((150, 178, 214), tank)
    return union(union(shell, heels, blend=6), rim, sole, dial, buttons.colored(pale), cord)


def lamp() -> Solid:
    """A grey desk lamp, its shade tilted forward, on a forked foot."""
    grey, inner, warm, red = (172, 174, 180), (120, 118, 116), (236, 220, 170), (200, 60, 50)
    bell = [(27.0, -4.0), (30, 6), (40, 18), (52, 31), (57, 42), (59.5, 60), (61, 79)]
    outside = [(0.0, -82.0), (22, -82), (26, -79), (27.5, -74), *_curved(bell)]
    inside = [(radius - 3, along + 1) for radius, along in reversed(_curved(bell))]
    shade = revolution([*outside, (60, 80.5), *inside, (0, 0)], "x").colored(grey)
    shade = shade.painted(inner, revolution([*inside, (0, 0), (0, 90), (58.5, 90)], "x").grown(1))
    bulb = union(sphere((42, 0, 0), 20), cylinder((16, 0, 0), 13, 38, "x"), blend=6).colored(warm)
    head = union(shade, bulb).turned("y", 15).moved(x=6, z=59)
    post = extrusion([(-6, 20), (10, 20), (22, -100), (-22, -100)], "y", -31, 31, 6)
    neck = cylinder((1, 0, 22), 8, 30, "y", 3)
    foot = union(
        box((4, 0, -96), (44, 90, 21), 5),
        box((-44, 32, -96), (114, 34, 21), 6).mirrored("y"),
        blend=3,
    )
    stand = union(post, foot, blend=5)
    switch = box((-40, 32, -85), (26, 12, 8), 2).colored(red)
    return union(head, union(stand, neck, blend=4).colored(grey), switch)


def phone() -> Solid:
    """A cordless telephone standing in its charger."""
    pale, dark, key, screen = (178, 172, 160), (44, 42, 47), (104, 101, 98), (92, 110, 96)
    base = box((0, 0, 0), (42, 147, 106), 20).colored(pale)
    base = base.painted(dark, half_space("x", below=2))
    button = cylinder((20, 42, -12), 10, 7, "x", 2).colored((212, 210, 204))
    stripe = box((21, 30, 30), (8, 44, 4))
    base = union(base.painted(dark, stripe), button, blend=2).turned("y", -38).moved(6, 0, -43)
    stand = box((-24, 0, -70), (46, 112, 42), 8).colored(dark)
    handset = union(
        box((0, 0, -30), (26, 51, 96), 12), box((-2, 0, 40), (26, 51, 76), 12), blend=8
    ).colored(pale)
    handset = handset.painted(dark, half_space("x", below=1))
    frame = box((13, 0, 38), (20, 40, 38), 2)
    ear = box((12, 0, 66), (10, 18, 4))
    keys = union(*(
        box((14, y, z), (10, 10, 7)) for y in (-15, 0, 15) for z in (-20, -32, -44, -56)
    ))  # fmt: skip
    handset = handset.painted(dark, union(frame, ear)).painted(key, keys)
    handset = handset.painted(screen, box((13, 0, 38), (20, 31, 29)))
    pad = cylinder((12, 0, 2), 11, 5, "x", 1).colored(key)
    handset = union(handset, pad, blend=1).turned("y", -14).moved(4, -37, 18)
    return union(base, stand, handset, blend=2)
