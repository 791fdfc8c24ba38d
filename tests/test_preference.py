"""Ranking scored crops by the overlap that they can expect."""

import pytest
import torch

from cropnb.croppers import Cropper, choose_sharpness, preference

# Three alike on the right, and one on the left that scores a little higher.
BOXES = torch.tensor([[0.0, 0, 40, 60], [60.0, 0, 100, 60], [55.0, 0, 95, 60], [50.0, 0, 90, 60]])
SCORES = torch.tensor([1.1, 1.0, 1.0, 1.0])


def test_without_a_sharpness_it_is_the_score():
    assert torch.equal(preference(BOXES, SCORES), SCORES)


def test_the_middle_of_many_good_boxes_is_preferred_to_a_lone_better_one():
    assert preference(BOXES, SCORES, sharpness=1.0).argmax() == 2
    # So sharp that only the best counts.
    assert preference(BOXES, SCORES, sharpness=200.0).argmax() == 0


def test_the_sharpness_is_that_which_finds_the_best_rated_crop():
    """Where the lone box is what people rate best, a sharp reading finds it; else a blunt one."""
    boxes = torch.cat([BOXES, torch.tensor([[0.0, 0, 5, 5], [95.0, 55, 100, 60]])])
    scores = torch.tensor([1.1, 1, 1, 1, 0, 0])
    lone, middle = torch.tensor([5.0, 1, 1, 1, 0, 0]), torch.tensor([1.0, 1, 5, 1, 0, 0])
    sharp = choose_sharpness([boxes], [scores], [lone])
    blunt = choose_sharpness([boxes], [scores], [middle])
    assert preference(boxes, scores, sharp).argmax() == 0
    assert preference(boxes, scores, blunt).argmax() == 2
    assert sharp > blunt
    # It counts in deviations: scores in other units are read alike.
    assert choose_sharpness([boxes], [20 * scores], [lone]) == pytest.approx(sharp / 20)


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
