"""The scenes: the same bytes from a seed, things where they are said to be, and a score whose every
term matters.
"""

import hashlib
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from cropnb.datasets import scenes
from cropnb.datasets.scenes import describe, draw, score_terms
from cropnb.datasets.scenes.canvas import Canvas
from cropnb.datasets.scenes.describe import DISTRACTORS, FACING, SHAPES, WIDTHS, Scene, Thing
from cropnb.datasets.scenes.dice import Dice
from cropnb.datasets.scenes.things import PAINTERS, draw_thing
from cropnb.errors import BoxError


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("seed", "index", "split", "expected"),
    [
        (0, 0, "train", "7ba9f8c5492c0522"),
        (0, 6, "test", "5043ace6e4e1c81c"),
        (0, 17, "val", "366e75893f72e436"),
        (3, 101, "train", "6ece93bda3c2a361"),
    ],
)
def test_a_seed_gives_the_recorded_bytes(seed, index, split, expected):
    assert digest(draw(describe(seed, index, split))) == expected


def test_dice_give_the_recorded_numbers():
    dice = Dice(7, 1)
    assert [dice.roll(0, 999) for _ in range(4)] == [757, 548, 490, 179]
    assert dice.many(-5, 5, 2, 3).tolist() == [[5, -5, -4], [3, 5, 4]]
    assert digest(dice.grain(5)) == "8dcdccc8059b1bef"


def test_dice_are_uniform_and_bells_have_their_deviation():
    rolls = Dice(1).many(1, 6, 60_000)
    assert np.abs(np.bincount(rolls, minlength=7)[1:] - 10_000).max() < 500
    bell = Dice(2).bell(300, 50_000)
    assert abs(bell.mean()) < 5
    assert abs(bell.std() - 300) < 5


def test_drawing_does_not_depend_on_what_was_drawn_before():
    alone = draw(describe(0, 9, "test"))
    for index in (3, 9, 1):
        later = draw(describe(0, index, "test"))
        assert (digest(later) == digest(alone)) is (index == 9)


def test_seeds_splits_and_indices_give_other_scenes():
    keys = [(0, 0, "train"), (1, 0, "train"), (0, 1, "train"), (0, 0, "val"), (0, 0, "test")]
    pictures = {digest(draw(describe(*key))) for key in keys}
    assert len(pictures) == len(keys)


def test_no_scene_is_in_two_splits():
    def content(scene: Scene) -> tuple:
        return (scene.width, scene.horizon, scene.sun, scene.subjects, scene.distractors)

    seen = [
        {content(describe(0, index, split)) for index in range(400)}
        for split in ("train", "val", "test")
    ]
    assert [len(part) for part in seen] == [400, 400, 400]
    assert len(set.union(*seen)) == 1200


def test_scenes_are_integers_with_subjects_inside_and_distractors_at_the_border():
    for index in range(300):
        scene = describe(0, index)
        assert (scene.width, scene.height) in SHAPES
        assert min(scene.width, scene.height) == 256
        assert 1 <= len(scene.subjects) <= 3
        assert scene.main.area == max(thing.area for thing in scene.subjects)
        for thing in scene.subjects:
            x1, y1, x2, y2 = thing.box
            assert all(type(edge) is int for edge in thing.box)
            assert 0 <= x1 < x2 <= scene.width
            assert 0 <= y1 < y2 <= scene.height
            assert y2 - y1 >= 24
            assert (thing.facing != 0) is (thing.kind in FACING)
        for thing in scene.distractors:
            x1, y1, x2, y2 = thing.box
            assert thing.kind in DISTRACTORS
            assert x2 > 0
            assert x1 < scene.width
            reach = min(
                x1 / scene.width, 1 - x2 / scene.width, y1 / scene.height, 1 - y2 / scene.height
            )
            assert reach < 0.17  # its nearest side, as a share of the photo


def test_subjects_stand_anywhere():
    """Whoever guesses without looking should guess badly: no third of the photo holds most of the
    main subjects.
    """
    scenes_ = [describe(0, index) for index in range(600)]
    x = np.array([(s.main.box[0] + s.main.box[2]) / 2 / s.width for s in scenes_])
    horizon = np.array([s.horizon / s.height for s in scenes_])
    facing = np.array([s.main.facing for s in scenes_])
    assert np.histogram(x, (0, 1 / 3, 2 / 3, 1))[0].max() < 0.5 * 600
    assert np.histogram(horizon, (0.2, 0.4, 0.6, 0.81))[0].max() < 0.5 * 600
    assert abs((facing == 1).sum() - (facing == -1).sum()) < 80


def test_pictures_show_what_the_scene_says():
    """Taking a thing out of the scene changes the photo inside its box, and nowhere else."""
    scene = describe(0, 6, "test")
    full = draw(scene).astype(int)
    for number, thing in enumerate(scene.distractors):
        left = scene.distractors[:number] + scene.distractors[number + 1 :]
        changed = np.abs(full - draw(replace(scene, distractors=left))).max(2) > 0
        x1, y1, x2, y2 = (max(edge, 0) for edge in thing.box)
        assert changed[y1:y2, x1:x2].mean() > 0.25
        changed[y1 : y2 + 1, x1 : x2 + 1] = False
        assert not changed.any()


@pytest.mark.parametrize("kind", PAINTERS)
@pytest.mark.parametrize("facing", [1, -1])
def test_a_thing_fills_its_box_and_stays_inside(kind, facing):
    """The score goes by the box: it has to be where the picture is."""
    wide = 100 * WIDTHS[kind] // 1000
    for colour in range(6):
        canvas = Canvas(400, 300)
        canvas.pixels[:] = -1000  # a value that no blend of colours can leave behind
        draw_thing(canvas, Thing(kind, (100, 150, 100 + wide, 250), facing, colour))
        y, x = np.nonzero(canvas.pixels[..., 0] != -1000)
        assert 100 <= x.min() <= 110
        assert 90 + wide <= x.max() + 1 <= 100 + wide
        assert 150 <= y.min() <= 160
        assert 248 <= y.max() + 1 <= 250


def test_a_facing_thing_is_drawn_mirrored():
    scene = replace(describe(0, 0), ground="snow", subjects=(), distractors=(), light="day")
    for kind in FACING:
        right, left = (
            draw(replace(scene, subjects=(Thing(kind, (100, 140, 190, 230), facing, 1),)))
            for facing in (1, -1)
        )
        assert np.abs(right.astype(int) - left).max() > 60


def test_thousand_scenes_are_drawn_in_time():
    start = time.process_time()
    for index in range(25):
        draw(describe(5, index))
    # 20 s for 1 000 on two cores are 40 ms each.
    assert (time.process_time() - start) / 25 < 0.04


# ---- the score
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def scene() -> Scene:
    """A person of 40 × 100 pixels around (160, 150), looking right, the horizon at 150, in a photo
    of 600 × 600.
    """
    main = Thing("person", (140, 100, 180, 200), 1, 0)
    return replace(
        describe(0, 0), width=600, height=600, horizon=150, subjects=(main,), distractors=()
    )


def term(scene: Scene, name: str, *boxes) -> list[float]:
    return [
        round(value, 3)
        for value in score_terms(scene, torch.tensor(boxes, dtype=torch.float32))[name].tolist()
    ]


def test_power_point_is_any_of_the_four_and_not_the_centre(scene):
    # 300 × 300 crops that put (160, 150) on each of the four points, then at the centre.
    corners = [(60, 50), (-40, 50), (60, -50), (-40, -50)]
    assert term(scene, "power_point", *((x, y, x + 300, y + 300) for x, y in corners)) == [
        1,
        1,
        1,
        1,
    ]
    assert term(scene, "power_point", (10, 0, 310, 300)) == [
        pytest.approx(1 - 4 * np.hypot(1 / 6, 1 / 6), abs=1e-3)
    ]
    # a tenth too low
    assert term(scene, "power_point", (60, 20, 360, 320)) == [pytest.approx(0.6, abs=1e-3)]


def test_power_point_needs_both_directions(scene):
    """On a vertical third alone isn't on a point."""
    on_line = term(scene, "power_point", (60, -100, 360, 200))[0]  # x on a third, y at 5/6
    assert on_line == pytest.approx(1 - 4 / 6, abs=1e-3)


def test_look_room_is_ahead_of_the_face(scene):
    ahead, behind = (80, 50, 380, 350), (-60, 50, 240, 350)
    assert term(scene, "look_room", ahead, behind) == [1, 0]
    turned = replace(scene, subjects=(replace(scene.main, facing=-1),))
    assert term(turned, "look_room", ahead, behind) == [0, 1]
    nowhere = replace(scene, subjects=(replace(scene.main, facing=0),))
    assert term(nowhere, "look_room", ahead, behind) == [1, 1]


def test_look_room_of_a_centred_subject_is_half_earned_and_all_ahead_is_too_much(scene):
    # (0.5 − 0.35) / 0.25
    assert term(scene, "look_room", (60, 0, 260, 300)) == [pytest.approx(0.6)]
    assert term(scene, "look_room", (140, 0, 400, 300)) == [pytest.approx(0.5)]


def test_headroom_is_above_and_not_below(scene):
    enough, none, lost = (60, 40, 360, 340), (60, 100, 360, 400), (60, -120, 360, 200)
    assert term(scene, "headroom", enough, none, lost) == [
        1,
        0,
        pytest.approx((0.7 - 0.6875) / 0.3, abs=1e-3),
    ]
    cut = (60, 130, 360, 430)  # the head is off: no room, not a lot of it
    assert term(scene, "headroom", cut) == [0]


def test_headroom_is_a_share_of_the_crop_and_not_of_the_photo(scene):
    small, large = (100, 88, 250, 238), (100, 88, 500, 488)
    assert term(scene, "headroom", small, large) == [
        pytest.approx(0.08 / 0.12, abs=1e-3),
        pytest.approx(0.03 / 0.12),
    ]


def test_horizon_may_lie_on_either_third(scene):
    upper, lower, middle, outside = (
        (0, 50, 300, 350),
        (0, -50, 300, 250),
        (0, 0, 300, 300),
        (0, 160, 300, 460),
    )
    assert term(scene, "horizon", upper, lower, middle, outside) == [1, 1, 0, 0]
    assert term(scene, "horizon", (0, 75, 300, 375)) == [pytest.approx(0.5)]


def test_whole_costs_when_cut_and_not_when_left_out(scene):
    second = Thing("dog", (300, 180, 340, 200), 1, 0)  # a fifth of the main subject's area
    pair = replace(scene, subjects=(scene.main, second))
    both, without, through = (60, 50, 360, 350), (60, 50, 290, 350), (60, 50, 320, 350)
    assert term(pair, "whole", both, without, through) == [1, 1, pytest.approx(0.8)]
    assert term(pair, "whole", (160, 50, 460, 350)) == [0]  # half of the main subject
    assert term(pair, "whole", (142, 50, 460, 350)) == [pytest.approx(0.6)]  # a twentieth of it


def test_clean_counts_the_part_in_the_photo(scene):
    bin_ = Thing("bin", (-50, 500, 50, 600), 1, 0)  # half of it is out of the photo already
    pole = Thing("pole", (580, 100, 600, 500), -1, 0)
    littered = replace(scene, distractors=(bin_, pole))
    boxes = [
        (0, 0, 600, 600),
        (60, 0, 570, 600),
        (60, 0, 600, 600),
        (40, 0, 570, 600),
        (0, 0, 570, 510),
    ]
    assert term(littered, "clean", *boxes) == [0, 1, 0.5, pytest.approx(0.8), pytest.approx(0.9)]
    assert term(scene, "clean", *boxes) == [1] * 5


def test_content_keeps_subjects_and_enough_of_the_photo(scene):
    second = Thing("dog", (300, 160, 340, 200), 1, 0)  # 1 600 of 5 600 square pixels
    pair = replace(scene, subjects=(scene.main, second))
    everything, without_second, small = (0, 0, 600, 600), (0, 0, 290, 600), (100, 80, 400, 280)
    share = term(pair, "content", everything, without_second, small)
    assert share == [
        1,
        pytest.approx(4 / 5.6, abs=1e-3),
        pytest.approx((1 / 6 - 0.1) / 0.35, abs=1e-3),
    ]
    assert term(pair, "content", (400, 300, 600, 600)) == [0]


def test_score_is_the_weighted_mean_of_the_terms():
    scene = describe(0, 4)
    boxes = scenes.load("train", size=5)[4].boxes
    terms = score_terms(scene, boxes)
    assert list(terms) == list(scenes.WEIGHTS) == list(scenes.TERMS)
    total = sum(scenes.WEIGHTS[name] * values for name, values in terms.items()) / sum(
        scenes.WEIGHTS.values()
    )
    torch.testing.assert_close(scenes.aesthetic_score(scene, boxes), total)
    for name, values in terms.items():
        assert values.shape == (len(boxes),)
        assert values.min() >= 0
        assert values.max() <= 1
        assert torch.equal(values, torch.round(1000 * values) / 1000), name


def test_every_term_moves_somewhere():
    """No term is idle: each differs between crops of most photos."""
    spread = dict.fromkeys(scenes.TERMS, 0)
    for sample, index in zip(scenes.load("train", size=60), range(60), strict=True):
        for name, values in score_terms(describe(0, index), sample.boxes).items():
            spread[name] += values.max() - values.min() > 0.3
    assert min(spread.values()) >= 25, spread


def test_score_does_not_depend_on_the_order_of_the_boxes():
    scene = describe(0, 8)
    boxes = scenes.load("train", size=9)[8].boxes
    order = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(1))
    assert torch.equal(
        scenes.aesthetic_score(scene, boxes)[order], scenes.aesthetic_score(scene, boxes[order])
    )


def test_score_takes_arrays_and_refuses_what_is_no_box():
    scene = describe(0, 8)
    assert scenes.aesthetic_score(scene, np.array([[0, 0, 100, 100]])).shape == (1,)
    with pytest.raises(BoxError):
        scenes.aesthetic_score(scene, torch.tensor([[100.0, 0, 0, 100]]))
    with pytest.raises(BoxError):
        score_terms(scene, torch.tensor([[float("nan"), 0, 10, 100]]))
