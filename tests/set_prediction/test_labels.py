"""(Eq. 4 to 6): soft labels from neighbours, by hand, and the momentum-averaged model."""

import pytest
import torch
from torch import nn

from cropnb.errors import MetricError
from cropnb.set_prediction import Smoothing, Teacher, estimate_quality, smooth_labels, soft_labels

SCORED = torch.tensor([[0.0, 0, 100, 100], [0, 0, 100, 80]])
SCORES = torch.tensor([3.5, 2.3])


def test_equation_4_by_hand():
    scores = torch.tensor([1.0, 2.0, 2.75, 3.2, 3.5, 4.9])
    assert soft_labels(scores).tolist() == pytest.approx([0, 0, 0.25, 0.4, 0.5, 0.5])
    assert soft_labels(scores, Smoothing(mu=0.9, lower=1, upper=5)).tolist() == pytest.approx(
        [0, 0.225, 0.39375, 0.495, 0.5625, 0.8775]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda s: 0.5 * (1 - ((s - 2) / 1.5).clamp(0, 1)),  # reversed: the worst crop gets μ
        lambda s: ((s - 2) / 1.5).clamp(0, 1),  # without μ
        lambda s: 0.5 * ((s - 1) / 4).clamp(0, 1),  # over the whole scale
        lambda s: ((s - 2) / 1.5).clamp(0, 0.5),  # cut off at μ instead of scaled by it
    ],
)
def test_plausible_wrong_maps_are_seen(wrong):
    scores = torch.linspace(1, 5, 41)
    assert (soft_labels(scores) - wrong(scores)).abs().max() > 0.1


def test_the_nearest_scored_crop_gives_its_score():
    near = torch.tensor([[0.0, 0, 100, 92], [0, 0, 100, 78], [0, 0, 40, 40]])
    quality = estimate_quality(near, SCORED, SCORES)
    # IoU 0.92 with the first (0.87), 0.975 with the second
    assert quality[:2].tolist() == pytest.approx([3.5, 2.3])
    assert quality[2].isnan()
    assert smooth_labels(near, SCORED, SCORES).tolist() == pytest.approx([0.5, 0.1, 0.0])


def test_eps_itself_is_near_enough():
    edge = torch.tensor([[0.0, 0, 100, 85], [0, 0, 100, 84.9]]) / 100
    quality = estimate_quality(edge, SCORED[:1] / 100, SCORES[:1], 0.85)
    assert quality[0] == 3.5
    assert quality[1].isnan()
    # The wrong way round, near means far.
    assert estimate_quality(
        torch.tensor([[0.0, 0, 0.4, 0.4]]), SCORED[:1] / 100, SCORES[:1]
    ).isnan()


def test_batches_with_padding_are_the_same_as_photos_alone():
    rng = torch.Generator().manual_seed(0)
    xyxy = torch.rand(2, 3, 2, 2, generator=rng).sort(2).values.flatten(2)
    padded = torch.stack([SCORED / 100, torch.zeros(2, 4)])
    scores = torch.stack([SCORES, torch.tensor([5.0, 5.0])])
    xyxy[0, 0] = torch.tensor([0, 0, 1, 0.95])
    together = smooth_labels(xyxy, padded, scores)
    assert together[0].tolist() == smooth_labels(xyxy[0], SCORED / 100, SCORES).tolist()
    assert together[0, 0] == 0.5
    assert together[1].sum() == 0


@pytest.mark.parametrize("values", [{"mu": 1.2}, {"lower": 4.0}, {"eps": 0.0}])
def test_impossible_values_are_refused(values):
    with pytest.raises(MetricError, match="lower"):
        Smoothing(**values)


def weights(model: nn.Module) -> float:
    return model.weight.item()


def set_to(model: nn.Module, value: float) -> nn.Module:
    with torch.no_grad():
        model.weight.fill_(value)
    return model


def test_equation_5_as_written_forgets_and_a_running_mean_does_not():
    student = set_to(nn.Linear(1, 1, bias=False), 0.0)
    written, mean = Teacher(student, "iterates"), Teacher(student, "mean")
    seen = []
    for value in (8.0, 8.0, 0.0):
        set_to(student, value)
        written.follow(student)
        mean.follow(student)
        seen.append((weights(written.model), weights(mean.model)))
    assert seen == [(4.0, 4.0), (8.0, 6.0), (4.0, 3.0)]


def test_a_teacher_is_not_trained_and_keeps_its_state():
    student = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.9))
    teacher = Teacher(student, "mean")
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    teacher.train()
    assert not teacher.model[1].training
    with torch.no_grad():
        student[0].weight.add_(1)
    teacher.follow(student)
    again = Teacher(student, "mean")
    again.load_state_dict(teacher.state_dict())
    assert torch.equal(again.model[0].weight, teacher.model[0].weight)
    teacher.start(student)
    assert torch.equal(teacher.model[0].weight, student[0].weight)


@pytest.mark.parametrize(("kind", "theta"), [("average", 0.5), ("mean", 0.0)])
def test_an_unknown_teacher_is_refused(kind, theta):
    with pytest.raises(MetricError, match="kind"):
        Teacher(nn.Linear(1, 1), kind, theta)
