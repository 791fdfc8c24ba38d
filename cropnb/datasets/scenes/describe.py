"""What a scene is: whole numbers, drawn from a seed. No pixel is made here.

All lengths are pixels of a photo whose short side has 256.
"""

from dataclasses import dataclass

from cropnb.datasets.scenes.dice import Dice

SHORT_SIDE = 256
SPLITS = {"train": 0, "val": 1, "test": 2}
# (width, height): the three landscape shapes that GAICD's photos have, and the same upright.
# Repeated by frequency.
SHAPES = (
    (341, 256),
    (384, 256),
    (384, 256),
    (341, 256),
    (455, 256),
    (384, 256),
    (341, 256),
    (256, 341),
    (256, 384),
)

# Width of a thing in thousandths of its height. Facing things look to one side; the others look
# nowhere.
WIDTHS = {
    "person": 440,
    "dog": 1300,
    "deer": 950,
    "heron": 760,
    "boat": 900,
    "van": 1700,
    "gull": 1900,
    "balloon": 780,
    "tree": 760,
    "house": 1150,
    "lighthouse": 400,
    "bin": 700,
    "pole": 150,
    "passer": 560,
    "sign": 480,
    "cone": 760,
    "thumb": 580,
    "lamp": 600,
}
FACING = ("person", "dog", "deer", "heron", "boat", "van", "gull")
ON_LAND = ("person", "person", "dog", "deer", "heron", "van", "tree", "house", "lighthouse")
ON_WATER = ("boat", "boat", "boat", "heron", "lighthouse")
IN_AIR = ("balloon", "gull")
DISTRACTORS = ("bin", "pole", "passer", "sign", "cone", "thumb", "lamp")
GROUNDS = ("meadow", "field", "sand", "water", "snow")
LIGHTS = ("day", "day", "dawn", "dusk", "overcast", "night")


@dataclass(frozen=True)
class Thing:
    """Something that stands in the scene: its kind, its box (x1, y1, x2, y2) in pixels, and how it
    is drawn.
    """

    kind: str
    box: tuple[int, int, int, int]
    facing: int  # -1 looks to the left, 1 to the right, 0 nowhere
    colour: int  # which of the kind's colours

    @property
    def area(self) -> int:
        """Square pixels of the box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


@dataclass(frozen=True)
class Scene:
    """One photograph before it is drawn. `subjects[0]` is the main subject, the largest one."""

    seed: int
    split: str
    index: int
    width: int
    height: int
    horizon: int  # row of the horizon
    ground: str
    light: str
    sun: tuple[int, int, int]  # x, y, radius
    hills: int  # layers of hills on the horizon
    clouds: int
    subjects: tuple[Thing, ...]
    distractors: tuple[Thing, ...]

    @property
    def main(self) -> Thing:
        """The main subject."""
        return self.subjects[0]


def describe(seed: int, index: int, split: str = "train") -> Scene:
    """Scene number `index` of a split: always the same for the same three values.

    >>> describe(0, 3, "test") == describe(0, 3, "test")
    True
    """
    dice = Dice(seed, SPLITS[split], index)
    width, height = dice.pick(SHAPES)
    horizon = height * dice.roll(20, 80) // 100
    ground = dice.pick(GROUNDS)
    light = dice.pick(LIGHTS)
    sun = (width * dice.roll(5, 95) // 100, horizon * dice.roll(10, 100) // 100, dice.roll(9, 20))
    hills, clouds = dice.roll(0, 3), dice.roll(0, 6)
    count = dice.pick((1, 1, 2, 2, 3))
    # Ranges chosen so that a subject can stand nearly anywhere: whoever guesses without looking
    # should guess badly.
    tall = SHORT_SIDE * dice.roll(24, 44) // 100
    subjects = [
        _main_subject(dice, width=width, height=height, horizon=horizon, ground=ground, tall=tall)
    ]
    for _ in range(count - 1):
        other = _companion(
            dice, width=width, height=height, horizon=horizon, ground=ground, others=subjects
        )
        if other is not None:
            subjects.append(other)
    distractors = []
    for _ in range(dice.pick((0, 1, 1, 2, 2, 3))):
        other = _distractor(dice, width, height, subjects + distractors)
        if other is not None:
            distractors.append(other)
    return Scene(
        seed=seed,
        split=split,
        index=index,
        width=width,
        height=height,
        horizon=horizon,
        ground=ground,
        light=light,
        sun=sun,
        hills=hills,
        clouds=clouds,
        subjects=tuple(subjects),
        distractors=tuple(distractors),
    )


def _main_subject(
    dice: Dice, width: int, height: int, horizon: int, ground: str, tall: int
) -> Thing:
    airy = horizon > height // 2 and dice.chance(45)
    kind = dice.pick(IN_AIR if airy else ON_WATER if ground == "water" else ON_LAND)
    tall = _fit(kind, tall, width)
    if airy:
        bottom = dice.roll(tall + 6, max(tall + 6, horizon - 4))
    else:
        bottom = dice.roll(max(horizon + 6, tall + 6), max(height - 5, tall + 6, horizon + 6))
    return _place(dice, kind, tall, bottom, width)


def _companion(
    dice: Dice, width: int, height: int, horizon: int, ground: str, others: list[Thing]
) -> Thing | None:
    """A smaller subject beside the main one, or None when no free place was found."""
    main = others[0]
    kinds = (
        (main.kind, *IN_AIR) if main.kind in IN_AIR else ON_WATER if ground == "water" else ON_LAND
    )
    kind = main.kind if dice.chance(45) else dice.pick(kinds)
    main_tall = main.box[3] - main.box[1]
    for _ in range(12):
        tall = _fit(kind, max(24, main_tall * dice.roll(45, 75) // 100), width)
        # stays clearly smaller than the main subject
        while tall > 24 and tall * tall * WIDTHS[kind] > main.area * 650:
            tall -= 4
        bottom = main.box[3] + dice.roll(-14, 10)
        if kind in IN_AIR:
            bottom = dice.roll(tall + 4, max(tall + 4, horizon - 4))
        bottom = min(max(bottom, tall + 4), height - 4)
        if kind not in IN_AIR:
            bottom = max(bottom, horizon + 5)
        thing = _place(dice, kind, tall, bottom, width)
        if not any(_overlap(thing, other, 4) for other in others):
            return thing
    return None


def _distractor(dice: Dice, width: int, height: int, others: list[Thing]) -> Thing | None:
    """Something ugly at the border, mostly cut by it already, or None without a free place."""
    for _ in range(12):
        kind = dice.pick(DISTRACTORS)
        left = dice.chance(50)
        tall = (
            SHORT_SIDE
            * {
                "pole": dice.roll(60, 95),
                "passer": dice.roll(40, 70),
                "sign": dice.roll(35, 60),
                "bin": dice.roll(17, 27),
                "cone": dice.roll(14, 22),
                "thumb": dice.roll(20, 32),
                "lamp": dice.roll(26, 40),
            }[kind]
            // 100
        )
        wide = tall * WIDTHS[kind] // 1000
        bottom = height + (
            dice.roll(-4, tall // 4)
            if kind in ("bin", "cone", "thumb", "passer")
            else dice.roll(-40, 0)
        )
        inset = dice.roll(-wide // 2, max(4, width // 14 - wide // 6))
        # anywhere along the lower or upper edge
        if kind in ("bin", "cone", "thumb", "lamp") and dice.chance(50):
            inset = dice.roll(0, width // 2 - wide)
        if kind == "lamp":  # hangs in from above
            bottom = tall * dice.roll(50, 85) // 100
        x1 = inset if left else width - inset - wide
        thing = Thing(
            kind, (x1, bottom - tall, x1 + wide, bottom), 1 if left else -1, dice.roll(0, 5)
        )
        if not any(_overlap(thing, other, 3) for other in others):
            return thing
    return None


def _fit(kind: str, tall: int, width: int) -> int:
    """Wide things are lower, so that they take about as much of the photo as upright ones."""
    wide = WIDTHS[kind]
    if wide > 1000:
        tall = tall * 1000 * 10 // (wide * 8)
    return max(24, min(tall, width * 550 // wide))


def _place(dice: Dice, kind: str, tall: int, bottom: int, width: int) -> Thing:
    wide = tall * WIDTHS[kind] // 1000
    x1 = dice.roll(3, max(3, width - wide - 3))
    facing = dice.pick((-1, 1)) if kind in FACING else 0
    return Thing(kind, (x1, bottom - tall, x1 + wide, bottom), facing, dice.roll(0, 5))


def _overlap(a: Thing, b: Thing, margin: int) -> bool:
    return (
        a.box[0] < b.box[2] + margin
        and b.box[0] < a.box[2] + margin
        and a.box[1] < b.box[3] + margin
        and b.box[1] < a.box[3] + margin
    )
