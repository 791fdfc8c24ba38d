"""Ranking scored crops by the overlap that they can expect."""

import pytest
import torch

from cropnb.croppers import Cropper, choose_sharpness, preference
from cropnb.croppers.sizes import PEOPLE, log_size_weights, relative_size
from cropnb.teacher.prior import people_boxes, size_shares

# Three alike on the right, and one on the left that scores a little higher.
BOXES = torch.tensor([[0.0, 0, 40, 60], [60.0, 0, 100, 60], [55.0, 0, 95, 60], [50.0, 0, 90, 60]])
SCORES = torch.tensor([1.1, 1.0, 1.0, 1.0])
# And two that nobody likes.
SIX = torch.cat([BOXES, torch.tensor([[0.0, 0, 5, 5], [95.0, 55, 100, 60]])])
SCORES_OF_SIX = torch.tensor([1.1, 1, 1, 1, 0, 0])


def test_without_a_sharpness_it_is_the_score():
    assert torch.equal(preference(BOXES, SCORES), SCORES)


def test_the_middle_of_many_good_boxes_is_preferred_to_a_lone_better_one():
    assert preference(BOXES, SCORES, sharpness=1.0).argmax() == 2
    # So sharp that only the best counts.
    assert preference(BOXES, SCORES, sharpness=200.0).argmax() == 0


def test_the_sharpness_is_that_which_finds_the_best_rated_crop():
    """Where the lone box is what is drawn, a sharp reading finds it; else a blunt one."""
    boxes, scores = SIX, SCORES_OF_SIX
    lone, middle = torch.eye(6)[0], torch.eye(6)[2]
    sharp = choose_sharpness([boxes], [scores], [lone])
    blunt = choose_sharpness([boxes], [scores], [middle])
    assert preference(boxes, scores, sharp).argmax() == 0
    assert preference(boxes, scores, blunt).argmax() == 2
    assert sharp > blunt
    # It counts in deviations: scores in other units are read alike.
    assert choose_sharpness([boxes], [20 * scores], [lone]) == pytest.approx(sharp / 20)


def test_what_is_drawn_may_be_others_than_the_candidates():
    drawn = torch.tensor([[52.0, 0, 92, 60], [0.0, 0, 35, 60]])
    for chances, first in (([1.0, 0], 2), ([0.0, 1], 0)):
        chosen = choose_sharpness([SIX], [SCORES_OF_SIX], [torch.tensor(chances)], [drawn])
        assert preference(SIX, SCORES_OF_SIX, chosen).argmax() == first


def test_no_boxes_have_no_preference():
    assert preference(BOXES[:0], SCORES[:0], 2.0).shape == (0,)


class Toy:
    """Rates four boxes."""

    name, shared = "toy", True

    def __init__(self, sharpness=None):
        self.sharpness = sharpness

    def candidates(self, width, height, aspect=None):
        return BOXES

    def score_boxes(self, image, boxes):
        return SCORES


@pytest.mark.parametrize(("sharpness", "first"), [(None, 0), (1.0, 2)])
def test_a_cropper_follows_the_sharpness_of_its_method(sharpness, first):
    crops = Cropper(Toy(sharpness))(torch.zeros(3, 60, 100), k=4)
    assert torch.equal(crops[0].box, BOXES[first])
    # The score that a crop carries stays the method's own.
    assert crops[0].score == pytest.approx(float(SCORES[first]))


def test_of_one_ratio_sizes_are_as_likely_as_people_draw_them():
    """Many small windows don't outweigh a large one by their number."""
    starts = torch.arange(40.0)[:, None]
    small = torch.cat([starts, starts * 0, starts + 60, starts * 0 + 60], dim=1)  # (40, 4)
    boxes = torch.cat([small, torch.tensor([[0.0, 0, 100, 100]])])
    sides = boxes[:, 2] - boxes[:, 0]
    alike = torch.zeros(41)
    assert preference(boxes, alike, 1.0).argmax() < 40
    assert preference(boxes, alike, 1.0, sides / sides.amax()).argmax() == 40


def test_sizes_are_as_likely_as_people_draw_them_however_many_windows_there_are():
    shares = (0.0, 0, 0, 0, 0.75, 0, 0, 0, 0.25)  # three of four at 0.8, one at 1
    sizes = torch.tensor([0.8] * 30 + [1.0] * 2 + [0.6] * 9 + [0.3])
    likely = log_size_weights(sizes, shares).softmax(0)
    assert likely[:30].sum() == pytest.approx(0.75, abs=1e-4)
    assert likely[30:32].sum() == pytest.approx(0.25, abs=1e-4)
    assert likely[32:].sum() == pytest.approx(0, abs=1e-4)  # nobody draws so small


def test_relative_sizes():
    boxes = torch.tensor([[0.0, 0.0, 1.0, 0.5], [0.2, 0.1, 0.6, 0.8]])
    assert torch.allclose(relative_size(boxes), torch.tensor([1.0, 0.7]))


def test_the_shares_are_those_of_flms(real_data):
    if not (real_data / "flms").is_dir():
        pytest.skip("no FLMS in CROPNB_DATA")
    assert torch.allclose(
        torch.tensor(size_shares(people_boxes())), torch.tensor(PEOPLE), atol=1e-4
    )
