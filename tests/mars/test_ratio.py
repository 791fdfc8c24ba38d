"""The embedding of a ratio by hand (Eq. 7), the meta-learners, and what plausible wrong
versions would give.
"""

import math

import pytest
import torch

from cropnb.errors import BoxError, CropnbError
from cropnb.mars import MetaLearner, RatioEmbedding, chosen_ratios


def embedding(number=101, dimension=8, kind="interpolated"):
    torch.manual_seed(0)
    return RatioEmbedding(number, dimension, kind)


def by_hand(module, ratio):
    """(Eq. 7) for one ratio, term by term."""
    step = 2 * math.log(2) / (module.number - 1)
    logs = [-math.log(2) + step * i for i in range(module.number)]
    lower = max(i for i, value in enumerate(logs) if value < math.log(ratio))
    upper = lower + 1
    vectors = module.vectors.weight
    return (logs[upper] - math.log(ratio)) / step * vectors[lower] + (
        math.log(ratio) - logs[lower]
    ) / step * vectors[upper]


def test_the_chosen_ratios_are_symmetric_in_the_logarithm():
    ratios = chosen_ratios(101)
    assert ratios[[0, 50, 100]].tolist() == pytest.approx([0.5, 1, 2])
    torch.testing.assert_close(ratios * ratios.flip(0), torch.ones(101, dtype=torch.float64))
    assert (ratios < 0.999999).sum() == (ratios > 1.000001).sum() == 50
    steps = ratios.log().diff()
    assert steps.tolist() == pytest.approx([2 * math.log(2) / 100] * 100)


@pytest.mark.parametrize("number", [11, 101, 501])
@pytest.mark.parametrize("ratio", [0.5001, 0.62, 0.99, 1.003, 4 / 3, 1.7, 1.999])
def test_equation_7_by_hand(number, ratio):
    module = embedding(number)
    torch.testing.assert_close(
        module(torch.tensor([ratio]))[0], by_hand(module, ratio), atol=1e-4, rtol=0
    )


def test_a_chosen_ratio_gets_its_own_vector():
    module = embedding(11)
    torch.testing.assert_close(module(chosen_ratios(11)), module.vectors.weight, atol=1e-5, rtol=0)


def linear_in_the_ratio(module, ratio):
    place = (ratio - 0.5) / 1.5 * (module.number - 1)
    return mix(module, place)


def other_base_for_the_step(module, ratio):
    place = (math.log2(ratio) + math.log(2)) / (2 * math.log(2) / (module.number - 1))
    return mix(module, place)


def shares_swapped(module, ratio):
    place = (math.log(ratio) + math.log(2)) / (2 * math.log(2) / (module.number - 1))
    return mix(module, 2 * math.floor(place) + 1 - place)


def rounded_to_the_nearest(module, ratio):
    place = (math.log(ratio) + math.log(2)) / (2 * math.log(2) / (module.number - 1))
    return module.vectors.weight[round(place)]


def turned_by_90_degrees(module, ratio):
    return by_hand(module, 1 / ratio)


def mix(module, place):
    lower = min(max(math.floor(place), 0), module.number - 2)
    share = place - lower
    return (1 - share) * module.vectors.weight[lower] + share * module.vectors.weight[lower + 1]


@pytest.mark.parametrize(
    "wrong",
    [
        linear_in_the_ratio,
        other_base_for_the_step,
        shares_swapped,
        rounded_to_the_nearest,
        turned_by_90_degrees,
    ],
)
def test_plausible_wrong_embeddings_are_seen(wrong):
    module = embedding()
    assert (module(torch.tensor([1.4]))[0] - wrong(module, 1.4)).abs().max() > 0.05


def test_it_is_continuous_where_two_intervals_meet():
    module = embedding(11)
    for ratio in chosen_ratios(11)[1:-1].tolist():
        below, above = module(torch.tensor([ratio - 1e-5, ratio + 1e-5]))
        assert (below - above).abs().max() < 1e-3


def test_beyond_the_range_the_ends_stay():
    module = embedding(11)
    vectors = module(torch.tensor([0.2, 0.5, 2.0, 3.0]))
    torch.testing.assert_close(vectors[0], module.vectors.weight[0])
    torch.testing.assert_close(vectors[0], vectors[1])
    torch.testing.assert_close(vectors[3], module.vectors.weight[-1])
    torch.testing.assert_close(vectors[3], vectors[2])


def test_the_nearest_is_nearest_in_the_logarithm():
    # 1/2, 1, 2; between 1 and 2 the logarithm turns at √2, the ratio at 1.5
    module = embedding(3, kind="nearest")
    vectors = module(torch.tensor([1.41, 1.42, 1.49]))
    torch.testing.assert_close(vectors, module.vectors.weight[[1, 2, 2]])


def test_the_scalar_is_the_ratio_itself():
    module = embedding(kind="scalar")
    assert module(torch.tensor([0.75, 1.6])).tolist() == [
        [pytest.approx(0.75)],
        [pytest.approx(1.6)],
    ]
    assert module.width == 1
    assert not list(module.parameters())


def test_interpolation_trains_both_neighbours_and_no_other():
    module = embedding(11)
    module(torch.tensor([1.1])).sum().backward()
    place = module.position(torch.tensor([1.1])).item()
    touched = module.vectors.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert touched == [math.floor(place), math.floor(place) + 1]


@pytest.mark.parametrize("number", [0, 1, 2, 100, 101.0, True])
def test_an_even_number_of_embeddings_is_refused(number):
    with pytest.raises(CropnbError, match="odd"):
        RatioEmbedding(number)


def test_bad_kinds_and_sizes_are_refused():
    with pytest.raises(CropnbError, match="interpolated, nearest, scalar"):
        RatioEmbedding(kind="cubic")
    with pytest.raises(CropnbError, match="at least"):
        RatioEmbedding(dimension=0)
    with pytest.raises(CropnbError, match="fc_layers"):
        MetaLearner(8, 4, 4, layers=-1)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), [], [[1.0]], "wide"])
def test_bad_ratios_are_refused(bad):
    from cropnb.mars.ratio import check_ratios

    with pytest.raises(BoxError):
        check_ratios(bad)


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_predictions_start_as_large_as_learned_weights(layers):
    torch.manual_seed(0)
    weights = MetaLearner(512, 32, 96, layers)(torch.randn(16, 512))
    assert weights.transform.shape == (16, 32, 32)
    assert weights.predictor.shape == (16, 96)
    assert 0.6 < weights.transform.std().item() * 32**0.5 < 1.6
    assert 0.6 < weights.predictor.std().item() * 96**0.5 < 1.6
