"""How each kind of thing is drawn: flat shapes in a box of 1000 units of height, looking to the
right.
"""

from cropnb.datasets.scenes.canvas import UNIT, Canvas
from cropnb.datasets.scenes.describe import Thing
from cropnb.datasets.scenes.pen import Pen, shade

DARK, WHITE, SKIN = (44, 44, 52), (246, 244, 238), ((238, 196, 164), (196, 142, 104), (124, 84, 62))
COATS = (
    (206, 62, 58),
    (238, 178, 52),
    (42, 108, 176),
    (232, 110, 60),
    (124, 72, 148),
    (30, 132, 116),
)
FURS = ((150, 98, 58), (86, 62, 50), (214, 178, 128), (232, 226, 214), (70, 70, 76), (176, 84, 44))
LEAVES = ((64, 122, 66), (42, 98, 74), (116, 138, 52), (190, 118, 44), (176, 66, 50), (84, 150, 84))
WALLS = (
    (236, 222, 196),
    (190, 84, 66),
    (222, 174, 110),
    (150, 174, 190),
    (244, 240, 230),
    (204, 132, 108),
)


def draw_thing(canvas: Canvas, thing: Thing) -> None:
    """Paint a thing into its box."""
    PAINTERS[thing.kind](Pen(canvas, thing), thing.colour)


def _person(pen: Pen, colour: int) -> None:
    coat, skin = COATS[colour], SKIN[colour % 3]
    trousers = shade(COATS[(colour + 2) % 6], 45)
    pen.shape(trousers, (150, 560), (240, 560), (170, 985), (70, 985))
    pen.shape(shade(trousers, 80), (190, 560), (290, 560), (355, 985), (260, 985))
    pen.bar(DARK, 70, 960, 195, 1000)
    pen.bar(DARK, 260, 960, 390, 1000)
    pen.oval(shade(COATS[(colour + 3) % 6], 80), 100, 350, 95, 130)  # the rucksack, behind
    pen.shape(coat, (130, 230), (275, 230), (310, 600), (120, 600))
    pen.shape(shade(coat, 78), (190, 260), (250, 250), (395, 440), (355, 480))  # an arm, ahead
    pen.oval(skin, 385, 470, 34)
    pen.bar(skin, 185, 185, 245, 240)
    pen.oval(skin, 225, 120, 92, 112)
    pen.shape(skin, (300, 110), (345, 145), (300, 160))  # the nose
    pen.oval(DARK, 195, 88, 105, 88)
    pen.oval(skin, 262, 128, 58, 62)
    pen.shape(
        shade(COATS[(colour + 1) % 6], 90), (120, 60), (230, 5), (320, 65), (300, 85), (120, 85)
    )
    pen.bar(shade(COATS[(colour + 1) % 6], 70), 280, 62, 400, 86)  # the peak of the cap


def _dog(pen: Pen, colour: int) -> None:
    fur = FURS[colour]
    for x in (260, 360, 800, 900):
        pen.shape(
            shade(fur, 80 if x in (360, 900) else 100),
            (x, 560),
            (x + 110, 560),
            (x + 95, 1000),
            (x + 20, 1000),
        )
    pen.shape(fur, (60, 140), (120, 120), (290, 430), (220, 500))  # the tail, behind
    pen.oval(fur, 590, 500, 400, 200)
    pen.shape(fur, (790, 420), (920, 560), (1120, 330), (960, 180))
    pen.oval(fur, 1050, 230, 140, 145)
    pen.shape(fur, (1090, 170), (1285, 240), (1285, 320), (1090, 345))
    pen.oval(DARK, 1270, 245, 30)
    pen.oval(DARK, 1100, 195, 20)
    pen.shape(shade(fur, 60), (930, 90), (1030, 110), (1010, 330), (940, 360))  # the ear
    pen.shape(COATS[(colour + 1) % 6], (905, 300), (940, 260), (1080, 375), (1040, 420))


def _deer(pen: Pen, colour: int) -> None:
    fur = FURS[(0, 5, 2)[colour % 3]]
    for x in (180, 260, 590, 660):
        pen.shape(
            shade(fur, 75 if x in (260, 660) else 95),
            (x, 650),
            (x + 65, 650),
            (x + 48, 1000),
            (x + 12, 1000),
        )
    pen.oval(fur, 430, 590, 300, 135)
    pen.oval(WHITE, 135, 560, 45, 65)  # the tail, behind
    pen.shape(fur, (580, 560), (710, 620), (830, 330), (720, 290))
    pen.shape(fur, (690, 240), (800, 230), (940, 350), (930, 390), (760, 380))
    pen.oval(DARK, 925, 362, 22)
    pen.oval(DARK, 815, 290, 16)
    pen.shape(shade(fur, 70), (630, 215), (730, 240), (720, 290))
    bone = (222, 206, 178)
    for x, y, to_x, to_y in (
        (740, 245, 690, 20),
        (705, 120, 610, 40),
        (780, 245, 840, 15),
        (815, 120, 910, 50),
    ):
        (ax, ay), (bx, by) = pen.point(x, y), pen.point(to_x, to_y)
        pen.canvas.line(ax, ay, bx, by, max(pen.tall * UNIT // 34, 20), bone)


def _heron(pen: Pen, colour: int) -> None:
    plume = ((128, 146, 168), (244, 242, 236), (92, 108, 132))[colour % 3]
    for x in (330, 420):
        pen.bar((214, 150, 62), x, 640, x + 28, 1000)
        pen.shape((214, 150, 62), (x, 975), (x + 110, 1000), (x, 1000))
    pen.shape(shade(plume, 70), (20, 640), (220, 480), (300, 640))  # the tail, behind
    pen.oval(plume, 350, 570, 215, 130)
    pen.oval(shade(plume, 78), 290, 580, 160, 80)
    pen.shape(plume, (430, 540), (540, 570), (560, 300), (500, 280))
    pen.shape(plume, (500, 310), (560, 310), (520, 90), (450, 110))
    pen.oval(plume, 500, 90, 82, 70)
    pen.shape((232, 168, 48), (545, 62), (755, 125), (545, 128))
    pen.oval(DARK, 530, 78, 18)
    pen.shape(DARK, (330, 75), (470, 40), (500, 70))


def _boat(pen: Pen, colour: int) -> None:
    hull, sail = COATS[colour], (WHITE, (250, 220, 150), (240, 140, 110))[colour % 3]
    pen.bar((110, 78, 54), 368, 0, 396, 840)
    pen.shape(sail, (355, 30), (355, 730), (20, 730))
    pen.shape(shade(sail, 86), (355, 400), (355, 730), (20, 730), (150, 520))
    pen.shape(shade(sail, 94), (410, 120), (840, 730), (410, 730))
    pen.shape(hull, (40, 790), (890, 760), (740, 985), (150, 985))
    pen.shape(shade(hull, 65), (80, 900), (800, 900), (740, 985), (150, 985))
    pen.bar(WHITE, 70, 815, 840, 838)
    pen.shape(COATS[(colour + 2) % 6], (368, 0), (368, 70), (250, 35))


def _van(pen: Pen, colour: int) -> None:
    body = COATS[colour]
    pen.shape(WHITE, (60, 60), (1250, 60), (1480, 480), (60, 480))
    pen.shape(body, (40, 450), (1480, 450), (1660, 560), (1680, 850), (40, 850))
    pen.shape((150, 200, 220), (1000, 150), (1230, 150), (1400, 440), (1000, 440))
    for x in (150, 430, 710):
        pen.bar((120, 168, 190), x, 150, x + 220, 400)
    pen.bar(shade(body, 65), 40, 780, 1680, 850)
    pen.oval((255, 240, 170), 1620, 640, 48)
    for x in (380, 1320):
        pen.oval(DARK, x, 840, 160)
        pen.oval((190, 190, 194), x, 840, 80)
    pen.bar((160, 110, 70), 120, 10, 1000, 62)


def _gull(pen: Pen, colour: int) -> None:
    wing = (shade(WHITE, 88), (120, 132, 150), (70, 74, 86))[colour % 3]
    pen.shape(shade(wing, 86), (760, 690), (1060, 690), (420, 75), (180, 25))
    pen.shape(WHITE, (20, 690), (420, 690), (420, 890), (0, 840))  # the tail, behind
    pen.oval(WHITE, 860, 790, 560, 208)
    pen.oval(WHITE, 1420, 690, 190, 196)
    pen.shape((240, 170, 40), (1560, 640), (1898, 740), (1560, 815))
    pen.oval(DARK, 1480, 640, 40)
    pen.shape(wing, (720, 765), (1150, 765), (960, 150), (700, 0))
    pen.shape(DARK, (700, 0), (960, 150), (880, 260))


def _balloon(pen: Pen, colour: int) -> None:
    first, second = COATS[colour], (WHITE, (250, 208, 90))[colour % 2]
    pen.oval(first, 390, 370, 388, 370)
    pen.oval(second, 390, 370, 262, 370)
    pen.oval(first, 390, 370, 120, 370)
    pen.shape(first, (120, 630), (660, 630), (470, 800), (310, 800))
    pen.shape(second, (240, 640), (540, 640), (440, 800), (340, 800))
    for x in (318, 450):
        pen.bar(DARK, x, 795, x + 14, 890)
    pen.bar((146, 98, 56), 290, 880, 490, 1000)
    pen.bar((96, 64, 40), 290, 880, 490, 910)


def _tree(pen: Pen, colour: int) -> None:
    leaf, trunk = LEAVES[colour], (104, 74, 52)
    pen.shape(trunk, (330, 560), (430, 560), (460, 1000), (300, 1000))
    if colour % 3 == 1:  # a fir
        for y, half in ((860, 375), (660, 300), (460, 225), (280, 150)):
            green = shade(leaf, 70 + (860 - y) // 12)
            pen.shape(green, (380, max(y - 300, 0)), (380 + half, y), (380 - half, y))
        return
    pen.oval(shade(leaf, 72), 380, 480, 340, 230)
    pen.oval(leaf, 230, 420, 225, 200)
    pen.oval(shade(leaf, 90), 550, 400, 205, 195)
    pen.oval(shade(leaf, 112), 370, 220, 245, 218)
    pen.oval(shade(leaf, 125), 300, 170, 120, 95)


def _house(pen: Pen, colour: int) -> None:
    wall, roof = WALLS[colour], ((150, 66, 52), (84, 88, 104), (118, 78, 58))[colour % 3]
    pen.bar(shade(roof, 70), 800, 60, 910, 330)
    pen.bar(wall, 90, 430, 1060, 1000)
    pen.bar(shade(wall, 80), 760, 430, 1060, 1000)
    pen.shape(roof, (0, 450), (250, 60), (900, 60), (1150, 450))
    pen.bar(shade(roof, 60), 470, 640, 650, 1000)
    for x in (190, 840):
        pen.bar(WHITE, x - 20, 590, x + 180, 800)
        pen.bar((250, 214, 120) if colour % 2 else (110, 150, 176), x, 610, x + 160, 780)
        pen.bar(WHITE, x + 72, 610, x + 88, 780)


def _lighthouse(pen: Pen, colour: int) -> None:
    stripe = COATS[(0, 2, 4, 5)[colour % 4]]  # no orange: that is the cone's
    for step in range(5):
        top, bottom = 230 + step * 154, 384 + step * 154
        inset, below = 110 - step * 18, 92 - step * 18
        pen.shape(
            stripe if step % 2 == 0 else WHITE,
            (inset, top),
            (400 - inset, top),
            (400 - below, bottom),
            (below, bottom),
        )
    pen.bar(DARK, 70, 210, 330, 236)
    pen.bar((255, 226, 130), 125, 105, 275, 212)
    pen.bar(DARK, 190, 105, 210, 212)
    pen.shape(shade(stripe, 80), (100, 110), (200, 0), (300, 110))


def _bin(pen: Pen, colour: int) -> None:
    side = ((70, 84, 78), (92, 96, 104), (60, 92, 70))[colour % 3]
    pen.oval((228, 228, 220), 250, 150, 130, 110)
    pen.oval((120, 90, 60), 470, 160, 110, 90)
    pen.shape(side, (40, 230), (660, 230), (580, 1000), (120, 1000))
    for x in (150, 290, 430):
        pen.bar(shade(side, 70), x, 300, x + 60, 960)
    pen.bar(shade(side, 60), 10, 190, 690, 260)


def _pole(pen: Pen, colour: int) -> None:
    metal = ((104, 104, 110), (92, 74, 60))[colour % 2]
    pen.bar(metal, 45, 0, 105, 1000)
    pen.bar(shade(metal, 130), 45, 0, 65, 1000)
    pen.bar(shade(metal, 80), 0, 60, 150, 85)
    pen.bar(shade(metal, 80), 10, 150, 140, 172)
    pen.bar((232, 196, 40), 20, 520, 130, 640)
    pen.bar(DARK, 20, 560, 130, 600)


def _passer(pen: Pen, colour: int) -> None:
    coat = ((58, 60, 72), (82, 70, 74), (52, 66, 62))[colour % 3]
    pen.shape(shade(coat, 70), (150, 600), (420, 600), (400, 1000), (170, 1000))
    pen.oval(coat, 280, 330, 230, 120)
    pen.shape(coat, (50, 330), (510, 330), (460, 680), (110, 680))
    pen.shape(shade(coat, 84), (30, 340), (130, 300), (140, 660), (60, 680))
    pen.oval((66, 48, 42), 280, 124, 120, 122)
    pen.bar((120, 88, 74), 235, 205, 330, 260)


def _sign(pen: Pen, colour: int) -> None:
    pen.bar((130, 132, 138), 222, 300, 262, 1000)
    if colour % 2:
        pen.oval((206, 40, 44), 240, 210, 205)
        pen.bar(WHITE, 95, 170, 385, 250)
    else:
        pen.shape((206, 40, 44), (240, 0), (478, 410), (2, 410))
        pen.shape(WHITE, (240, 100), (390, 360), (90, 360))
        pen.bar(DARK, 222, 180, 258, 330)


def _cone(pen: Pen, colour: int) -> None:
    orange = (244, 106, 30)
    pen.shape(orange, (320, 0), (440, 0), (640, 900), (120, 900))
    pen.shape(WHITE, (262, 260), (498, 260), (548, 480), (212, 480))
    pen.shape(WHITE, (176, 640), (584, 640), (612, 760), (148, 760))
    pen.bar(shade(orange, 75), 20, 890, 740, 1000)


def _thumb(pen: Pen, colour: int) -> None:
    skin = SKIN[colour % 2]
    pen.oval(shade(skin, 82), 290, 330, 290, 330)
    pen.bar(shade(skin, 82), 0, 330, 580, 1000)
    pen.oval(skin, 280, 350, 250, 310)
    pen.bar(skin, 30, 350, 530, 1000)
    pen.oval(shade(skin, 150), 280, 260, 165, 205)


def _lamp(pen: Pen, colour: int) -> None:
    metal = ((60, 62, 70), (86, 60, 48))[colour % 2]
    pen.bar(metal, 285, 0, 315, 600)
    pen.shape(metal, (230, 580), (370, 580), (590, 860), (10, 860))
    pen.oval((255, 236, 160), 300, 870, 150, 120)
    pen.bar(shade(metal, 75), 10, 840, 590, 880)


PAINTERS = {
    "person": _person,
    "dog": _dog,
    "deer": _deer,
    "heron": _heron,
    "boat": _boat,
    "van": _van,
    "gull": _gull,
    "balloon": _balloon,
    "tree": _tree,
    "house": _house,
    "lighthouse": _lighthouse,
    "bin": _bin,
    "pole": _pole,
    "passer": _passer,
    "sign": _sign,
    "cone": _cone,
    "thumb": _thumb,
    "lamp": _lamp,
}
