"""From a scene to its photograph: sky, hills, ground, then the things from far to near, then light
and grain.
"""

import numpy as np

from cropnb.datasets.scenes.canvas import UNIT, Canvas
from cropnb.datasets.scenes.describe import SPLITS, Scene, Thing
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.pen import shade
from cropnb.datasets.scenes.things import draw_thing

# upper sky, lower sky, sun, glow, tint in percent
SKIES = {
    "day": ((78, 148, 214), (206, 230, 240), (255, 246, 210), (255, 250, 224), (100, 100, 100)),
    "dawn": ((112, 132, 190), (250, 208, 186), (255, 226, 176), (255, 216, 180), (103, 97, 97)),
    "dusk": ((74, 66, 124), (248, 148, 98), (255, 190, 96), (255, 172, 110), (100, 88, 88)),
    "overcast": ((150, 160, 170), (212, 216, 216), (232, 232, 228), (226, 228, 226), (92, 94, 97)),
    "night": ((22, 28, 62), (66, 80, 124), (244, 242, 224), (150, 160, 190), (80, 86, 102)),
}
GROUND = {  # far, near
    "meadow": ((150, 176, 96), (84, 128, 62)),
    "field": ((214, 188, 108), (172, 128, 62)),
    "sand": ((236, 216, 172), (206, 172, 122)),
    "water": ((128, 178, 200), (44, 98, 140)),
    "snow": ((238, 242, 248), (206, 218, 232)),
}

CLUTTER = {
    "meadow": ((70, 112, 50), (236, 214, 90), (226, 120, 140), (240, 240, 232)),
    "field": ((150, 108, 50), (226, 196, 110)),
    "sand": ((168, 138, 100), (238, 226, 200), (120, 104, 88)),
    "snow": ((170, 184, 200), (120, 130, 140)),
}


def draw(scene: Scene) -> np.ndarray:
    """The photograph of a scene: `(height, width, 3)` uint8, the same bytes on every machine."""
    dice = Dice(scene.seed, SPLITS[scene.split], scene.index, 1)
    canvas = Canvas(scene.width, scene.height)
    _sky(canvas, scene, dice)
    _hills(canvas, scene, dice)
    _ground(canvas, scene, dice)
    _backdrop(canvas, scene, dice)
    for thing in sorted(scene.subjects, key=lambda thing: thing.box[3]):
        _shadow(canvas, scene, thing)
        draw_thing(canvas, thing)
    _foreground(canvas, scene, dice)
    for thing in scene.distractors:
        draw_thing(canvas, thing)
    return _expose(canvas, scene, dice)


def _sky(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    upper, lower, sun, glow, _ = SKIES[scene.light]
    drift = dice.many(-14, 14, 3)
    upper = tuple(int(part) for part in np.clip(np.array(upper) + drift, 0, 255))
    canvas.gradient(0, scene.horizon + 1, upper, lower)
    x, y, radius = scene.sun
    if scene.light == "night":
        for _ in range(40):
            canvas.ellipse(
                dice.roll(0, scene.width * UNIT),
                dice.roll(0, scene.horizon * UNIT),
                10,
                10,
                (230, 232, 240),
            )
    canvas.glow(x, y, radius * 7, glow, 200)
    if scene.light != "overcast":
        canvas.ellipse(x * UNIT, y * UNIT, radius * UNIT, radius * UNIT, sun)
    white = shade(lower, 150)
    for _ in range(scene.clouds + 4 * (scene.light == "overcast")):
        x, y = dice.roll(0, scene.width), dice.roll(4, max(5, scene.horizon - 8))
        wide = dice.roll(14, 44)
        for _ in range(dice.roll(3, 5)):
            puff_x, puff_y = (x + dice.roll(-wide, wide)) * UNIT, (y + dice.roll(-4, 3)) * UNIT
            radius_x, radius_y = (
                wide * UNIT * dice.roll(5, 9) // 10,
                wide * UNIT * dice.roll(18, 34) // 100,
            )
            canvas.ellipse(puff_x, puff_y, radius_x, radius_y, white, 120)


def _hills(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    lower = np.array(SKIES[scene.light][1])
    base = np.array(
        ((92, 122, 128), (88, 118, 92), (112, 104, 124), (128, 124, 110))[dice.roll(0, 3)]
    )
    for layer in range(scene.hills):
        haze = 70 - 24 * layer
        colour = (lower * haze + base * (100 - haze)) // 100
        reach = scene.horizon * (34 - 9 * layer) // 100
        profile = _noise(dice, scene.width, (64, 24, 8)) * reach * UNIT // 1000
        canvas.below((scene.horizon - reach // 5) * UNIT - profile, colour, scene.horizon + 1)


def _ground(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    far, near = GROUND[scene.ground]
    drift = dice.many(-16, 16, 3)
    far = np.clip(np.array(far) + drift, 0, 255)
    near = np.clip(np.array(near) + drift, 0, 255)
    canvas.gradient(scene.horizon, scene.height, far, near)
    depth = scene.height - scene.horizon
    middle = scene.width * dice.roll(20, 80) // 100
    if scene.ground == "field":  # furrows run to a point on the horizon
        for furrow in range(-16, 17):
            end = middle + furrow * scene.width // 7
            canvas.polygon(
                [
                    (middle * UNIT, scene.horizon * UNIT),
                    ((end - 9) * UNIT, scene.height * UNIT),
                    ((end + 9) * UNIT, scene.height * UNIT),
                ],
                shade(near.tolist(), 84),
                140,
            )
    elif scene.ground == "water":
        x = scene.sun[0]
        for _ in range(64):
            away = dice.roll(0, 99)
            y = scene.horizon + depth * away * away // 9900
            long = (2 + away // 4) * UNIT
            spot = (
                x * UNIT + dice.roll(-long, long)
                if dice.chance(30)
                else dice.roll(0, scene.width * UNIT)
            )
            light = SKIES[scene.light][3] if dice.chance(65) else shade(near.tolist(), 80)
            canvas.ellipse(spot, y * UNIT, long, 8 + away // 5, light, 110)
    elif scene.ground == "sand":
        for _ in range(7):
            y = scene.horizon + depth * dice.roll(5, 100) // 100
            profile = _noise(dice, scene.width, (96, 40)) * depth * UNIT // 9000
            canvas.below(
                y * UNIT - profile, np.clip(near + dice.many(-8, 20, 1), 0, 255), scene.height
            )
    elif scene.ground == "snow":
        for _ in range(3):
            y = scene.horizon + depth * dice.roll(10, 80) // 100
            profile = _noise(dice, scene.width, (128, 50)) * depth * UNIT // 5000
            canvas.below(
                y * UNIT - profile, np.clip(near + dice.many(-6, 16, 1), 0, 255), scene.height
            )
    else:
        for _ in range(60):
            away = dice.roll(2, 99)
            y, x = scene.horizon + depth * away // 100, dice.roll(0, scene.width)
            colour = shade(near.tolist(), dice.roll(80, 112))
            canvas.ellipse(
                x * UNIT, y * UNIT, (6 + away // 3) * UNIT, (1 + away // 18) * UNIT, colour, 120
            )


def _backdrop(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Small far things on the horizon: enough to confuse, too small to be a subject."""
    if scene.ground == "water" or dice.chance(40):
        return
    haze = np.array(SKIES[scene.light][1])
    colour = tuple(int(part) for part in (haze + 2 * np.array((70, 100, 80))) // 3)
    start, count = dice.roll(0, scene.width), dice.roll(4, 16)
    for _ in range(count):
        x, tall = start + dice.roll(-60, 60), dice.roll(4, 11)
        canvas.ellipse(
            x * UNIT,
            (scene.horizon - tall // 2) * UNIT,
            tall * UNIT // 2,
            tall * UNIT * 2 // 3,
            colour,
        )


def _shadow(canvas: Canvas, scene: Scene, thing: Thing) -> None:
    """A shadow away from the sun; on water a reflection's dark streak; none in the air."""
    x1, _, x2, y2 = thing.box
    if y2 <= scene.horizon or thing.kind in ("gull", "balloon"):
        return
    wide, away = x2 - x1, (x1 + x2) // 2 - scene.sun[0]
    shift = max(-wide // 2, min(wide // 2, away // 4))
    flat = max(2, min(wide // 9, 6))
    strength = {"day": 96, "dawn": 70, "dusk": 80, "overcast": 40, "night": 60}[scene.light]
    canvas.ellipse(
        ((x1 + x2) // 2 + shift) * UNIT,
        (y2 - 1) * UNIT,
        wide * UNIT * 6 // 10,
        flat * UNIT,
        (30, 34, 52),
        strength,
    )


def _foreground(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Tufts, flowers and pebbles on the ground: clutter that means nothing."""
    if scene.ground == "water":
        return
    colours = CLUTTER[scene.ground]
    depth = scene.height - scene.horizon
    for _ in range(dice.roll(10, 60)):
        away = dice.roll(8, 99)
        x, y = dice.roll(0, scene.width * UNIT), (scene.horizon + depth * away // 100) * UNIT
        size = 6 + away // 4
        canvas.ellipse(x, y, size, size * 2 // 3, dice.pick(colours), 220)


def _expose(canvas: Canvas, scene: Scene, dice: Dice) -> np.ndarray:
    """The light of the hour, brightness, a little falling off to the corners, and grain."""
    tint = np.array(SKIES[scene.light][4]) * dice.roll(88, 108) // 100
    y = (np.arange(scene.height) * 2 - scene.height) * 64 // scene.height
    x = (np.arange(scene.width) * 2 - scene.width) * 64 // scene.width
    corner = (1024 - (y * y)[:, None] * 10 // 512 - (x * x)[None, :] * 10 // 512).astype(np.int32)
    gain = (tint * 1024 // 100).astype(np.int32)
    grain = dice.grain(scene.height, scene.width).astype(np.int32) % dice.roll(7, 17)
    pixels = (canvas.pixels * gain >> 10) * corner[..., None] >> 10
    pixels += (grain - grain.max() // 2)[..., None]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _noise(dice: Dice, width: int, steps: tuple[int, ...]) -> np.ndarray:
    """A smooth random outline, `(width,)` integers of 0 … 1000, of values every `step` pixels."""
    total, scale = np.zeros(width, np.int64), 0
    columns = np.arange(width)
    for step in steps:
        knots = dice.many(0, 1000, width // step + 2)
        left, part = columns // step, columns % step
        # 3t² − 2t³ in integers, so that the joints are round.
        smooth = part * part * (3 * step - 2 * part)
        total += (knots[left] * (step**3 - smooth) + knots[left + 1] * smooth) // step**3 * step
        scale += step
    return total // scale
