"""The network, the order of scoring and upsampling, the search, and the cropper."""

import pytest
import torch
from torch.nn import functional as F

from cropnb import boxes as box_math
from cropnb import candidates, checkpoints
from cropnb.asm_net import (
    PATTERNS,
    AsmCropper,
    AsmNet,
    Pattern,
    ScoreHead,
    circle_pool,
    composition_pool,
    load_cropper,
    neighbourhood,
    search,
)
from cropnb.asm_net.model import prepare
from cropnb.asm_net.pooling import RULES
from cropnb.asm_net.pooling.circles import inscribed
from cropnb.asm_net.studies import equation_2
from cropnb.croppers import Cropper
from cropnb.errors import BoxError, CheckpointError, CropnbError, ImageError, PatternError

GAICD_RATIOS = (9 / 16, 3 / 4, 1.0, 4 / 3, 16 / 9)  # the five of Figure 8


def levels(seed=0, height=64, width=96):
    rng = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2, c, height // s, width // s, generator=rng)
        for c, s in ((5, 8), (7, 16), (9, 32))
    ]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AsmNet(weights=None).eval()


def bump(width=240, height=160, channels=12):
    """A map with a high place right of the middle, the same for all partitions."""
    y, x = torch.meshgrid(
        torch.arange(height // 8) / (height / 8),
        torch.arange(width // 8) / (width / 8),
        indexing="ij",
    )
    return torch.exp(-((x - 0.65) ** 2 + (y - 0.5) ** 2) * 8).expand(channels, -1, -1).contiguous()


@pytest.mark.parametrize("size", [(8, 12), (16, 24), (64, 96)])
def test_scoring_before_upsampling_is_the_same(size):
    torch.manual_seed(0)
    head, maps = (
        ScoreHead((5, 7, 9), 4).double(),
        [level.double().requires_grad_() for level in levels()],
    )
    orders = []
    for order in (head, head.joined_first):
        scored = order(maps, size)
        head.zero_grad()
        orders.append(
            (scored, *torch.autograd.grad(scored.square().sum(), [*maps, *head.parameters()]))
        )
    assert orders[0][0].shape == (2, 4, *size)
    for small_first, joined_first in zip(*orders, strict=True):
        torch.testing.assert_close(small_first, joined_first)


def test_it_would_not_be_the_same_with_something_curved_in_between():
    torch.manual_seed(0)
    head, maps = ScoreHead((5, 7, 9), 4), levels()
    early = head([level.relu() for level in maps], (64, 96))
    late = head.convolution(
        torch.cat(
            [F.interpolate(level, (64, 96), mode="bilinear").relu() for level in maps],
            dim=1,
        )
    )
    assert (early - late).abs().max() > 0.1


@pytest.mark.parametrize(
    ("backbone", "strides"), [("mobilenet_v2", (8, 16, 32)), ("vgg16", (4, 8, 16))]
)
def test_the_map_has_a_channel_for_each_partition(backbone, strides):
    network = AsmNet(backbone, "multi_direction", weights=None, stride=4).eval()
    assert network.backbone.strides == strides
    photos = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        score_map = network(photos)
        assert score_map.shape == (2, 8, 16, 24)
        crops = torch.tensor([[0.0, 0.0, 96.0, 64.0], [13.0, 20.0, 60.0, 50.0]]).expand(2, -1, -1)
        scores = network.score(photos, crops)
        torch.testing.assert_close(
            scores[1], composition_pool(score_map[1], crops[1], network.pattern, (96, 64))
        )
    assert network.backbone.training is False


def test_a_map_of_the_photos_resolution(model):
    fine = AsmNet(weights=None, stride=1).eval()
    fine.load_state_dict(model.state_dict())
    photo, crops = (
        torch.rand(1, 3, 64, 96),
        torch.tensor([[[6.0, 4.0, 78.0, 58.0], [0.0, 16.0, 72.0, 64.0]]]),
    )
    with torch.no_grad():
        assert fine(photo).shape == (1, 12, 64, 96)
        gap = (fine.score(photo, crops) - model.score(photo, crops)).abs().max()
        assert gap < 0.2 * model(photo).std()  # a coarse map says nearly the same


def test_bad_networks_and_photos_are_refused(model):
    with pytest.raises(PatternError, match="no pattern"):
        AsmNet(pattern="spiral", weights=None)
    with pytest.raises(ImageError, match="multiples of 32"):
        model(torch.rand(1, 3, 60, 96))


def test_a_pattern_of_ones_own_can_be_trained():
    own = Pattern("halves", [[0, 1]])
    assert AsmNet(pattern=own, weights=None)(torch.rand(1, 3, 64, 64)).shape == (1, 2, 8, 8)


def test_the_search_ranks_what_both_stages_found():
    pattern, score_map = PATTERNS["cross_rectangle"], bump()
    boxes, scores = search(score_map, 240, 160, pattern)
    assert (scores[:-1] >= scores[1:]).all()
    box_math.check(boxes, width=240, height=160)
    torch.testing.assert_close(scores, composition_pool(score_map, boxes, pattern, (240, 160)))
    first = candidates.sliding_windows(240, 160)
    assert len(first) == 899
    only_first = composition_pool(score_map, first, pattern, (240, 160))
    assert scores[0] > only_first.max()  # the neighbourhood has a better one
    assert len(boxes) > len(first) + 100
    centre = box_math.centers(boxes[0])
    assert centre[0] / 240 == pytest.approx(0.65, abs=0.05)
    assert centre[1] / 160 == pytest.approx(0.5, abs=0.05)


def test_the_search_knows_the_pattern():
    """A map whose left partition likes the left end, and whose right one likes the right end."""
    pattern = PATTERNS["grid_1x3"]
    score_map = torch.zeros(3, 20, 30)
    score_map[0, :, :10] = score_map[2, :, -10:] = 1
    boxes, scores = search(score_map, 240, 160, pattern)
    assert boxes[0, 0] == 0
    assert boxes[0, 2] == 240
    assert scores[0].item() == pytest.approx(2 / 3, abs=1e-5)
    swapped = search(score_map[[2, 1, 0]], 240, 160, pattern)
    assert swapped[1][0] < 0.5


@pytest.mark.parametrize("aspect", GAICD_RATIOS)
def test_a_required_ratio_is_kept_by_both_stages(aspect):
    boxes, _ = search(bump(), 240, 160, PATTERNS["cross_rectangle"], aspect)
    torch.testing.assert_close(
        box_math.aspect(boxes), torch.full((len(boxes),), aspect), rtol=1e-4, atol=0
    )
    assert len(boxes) > 500


def test_circles_are_searched_too():
    pattern, score_map = PATTERNS["cross_rectangle"], bump()
    boxes, scores = search(score_map, 240, 160, pattern, shape="circle")
    torch.testing.assert_close(box_math.aspect(boxes), torch.ones(len(boxes)), rtol=1e-4, atol=0)
    torch.testing.assert_close(
        scores, circle_pool(score_map, inscribed(boxes), pattern, (240, 160))
    )
    with pytest.raises(CropnbError, match="as wide as it is high"):
        search(score_map, 240, 160, pattern, aspect=2.0, shape="circle")
    with pytest.raises(CropnbError, match="no shape 'star'"):
        search(score_map, 240, 160, pattern, shape="star")


def test_the_neighbourhood_varies_place_size_and_ratio():
    box = torch.tensor([[60.0, 40.0, 160.0, 120.0]])
    near = neighbourhood(box, 240, 160)
    assert len(near) == 3**4 - 1
    assert not (near == box).all(1).any()
    sides, ratios = near[:, 2:] - near[:, :2], box_math.aspect(near) / 1.25
    assert sorted({round(v, 3) for v in ratios.tolist()}) == [round(1 / 1.05, 3), 1.0, 1.05]
    areas = sides.prod(1).sqrt() / 8000**0.5
    assert sorted({round(v, 3) for v in areas.tolist()}) == [round(1 / 1.05, 3), 1.0, 1.05]
    assert sorted({round(v, 2) for v in (box_math.centers(near)[:, 0] - 110).tolist()}) == [
        -6,
        0,
        6,
    ]
    same_ratio = neighbourhood(box, 240, 160, keep_ratio=True)
    assert len(same_ratio) == 3**3 - 1
    torch.testing.assert_close(box_math.aspect(same_ratio), torch.full((26,), 1.25))
    corner = neighbourhood(torch.tensor([[0.0, 0.0, 100.0, 80.0]]), 240, 160)
    box_math.check(corner, width=240, height=160)
    assert len(corner) < 80


def test_small_photos_are_searched_with_what_fits():
    boxes, _ = search(torch.randn(8, 4, 4), 20, 20, PATTERNS["multi_direction"])
    assert ((boxes[:, 2:] - boxes[:, :2]) >= 12 - 1e-4).all()


def test_the_cropper_answers_in_pixels_of_the_photo(model):
    method = AsmCropper(model, {})
    photo = torch.rand(3, 200, 300, generator=torch.Generator().manual_seed(0))
    score_map = method.score_map(photo)
    assert score_map.shape == (12, 32, 48)  # 256 × 384 at a stride of 8
    plain = model(prepare(photo)[None])[0]
    torch.testing.assert_close(score_map, plain, rtol=1e-3, atol=1e-3)
    crops = Cropper(method)(photo, k=3)
    again = Cropper(method).score(photo, torch.stack([crop.box for crop in crops]))
    assert again.tolist() == pytest.approx([crop.score for crop in crops], abs=1e-5)
    scaled = crops[0].box[None] * torch.tensor([384 / 300, 256 / 200] * 2)
    expected = composition_pool(plain, scaled, model.pattern, (384, 256))
    assert crops[0].score == pytest.approx(expected.item(), abs=1e-3)
    squares, _ = method.propose_circles(photo)
    box_math.check(squares, width=300, height=200)


def test_a_crop_that_is_too_small_is_refused(model):
    with pytest.raises(BoxError, match="smaller than the 6 × 6 cells"):
        AsmCropper(model, {}).score_boxes(
            torch.rand(3, 64, 64), torch.tensor([[0.0, 0.0, 5.0, 30.0]])
        )


def test_a_checkpoint_says_which_network_it_is(tmp_path):
    torch.manual_seed(0)
    network = AsmNet("mobilenet_v2", "multi_direction", weights=None, stride=16)
    card = {
        "method": "asm_net",
        "pattern": "multi_direction",
        "backbone": "mobilenet_v2",
        "stride": 16,
    }
    checkpoints.save_weights(tmp_path / "w.safetensors", network.state_dict(), card)
    cropper = load_cropper(tmp_path / "w.safetensors")
    assert cropper.pattern is PATTERNS["multi_direction"]
    assert cropper.score_map(torch.rand(3, 256, 256)).shape == (8, 16, 16)
    checkpoints.save_weights(
        tmp_path / "other.safetensors", network.state_dict(), {**card, "method": "vrn"}
    )
    with pytest.raises(CheckpointError, match="'vrn'"):
        load_cropper(tmp_path / "other.safetensors")


def test_how_far_equation_2_lies_from_equation_1(model):
    photo = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))
    values = equation_2.compare(AsmCropper(model, {}), photo)
    assert set(values) == {"cells", "area"} <= set(RULES)
    for mean, largest, reordered, same in values.values():
        assert 0 < mean < largest
        assert 0 <= reordered < 50
        assert same in (0, 100)
    # one cell: nothing to deal out
    whole = AsmCropper(AsmNet(pattern="grid_1x1", weights=None), {})
    for mean, largest, reordered, same in equation_2.compare(whole, photo).values():
        assert (mean, largest, reordered) == pytest.approx((0, 0, 0), abs=1e-2)
        assert same == 100


def test_asked_for_what_people_draw_the_search_begins_with_what_people_rated():
    pattern = PATTERNS["cross_rectangle"]
    score_map = torch.rand(12, 16, 24, generator=torch.Generator().manual_seed(0))
    anchors = {tuple(box) for box in candidates.grid_anchors(240, 160).tolist()}
    drawn, _ = search(score_map, 240, 160, pattern, sharpness=1.0, least_area=0.4, rated=True)
    plain, _ = search(score_map, 240, 160, pattern)
    assert anchors < {tuple(box) for box in drawn.tolist()}
    assert not anchors & {tuple(box) for box in plain.tolist()}
    assert box_math.area(drawn).min() >= 0.4 * 240 * 160
    # Of a panorama the limits of the grid leave nothing.
    assert len(search(score_map, 2400, 160, pattern, sharpness=1.0, rated=True)[0]) > 0


@pytest.mark.parametrize("aspect", [None, 1.0])
def test_the_search_leaves_out_what_is_smaller_than_asked(aspect):
    pattern = PATTERNS["cross_rectangle"]
    score_map = torch.rand(12, 16, 24, generator=torch.Generator().manual_seed(0))
    whole, _ = search(score_map, 240, 160, pattern, aspect)
    limited, scores = search(score_map, 240, 160, pattern, aspect, least_area=0.5)
    largest = 240 * 160 if aspect is None else 160 * 160
    assert box_math.area(whole).min() < 0.5 * largest <= box_math.area(limited).min() + 1e-3
    assert 0 < len(limited) < len(whole)
    assert (scores.diff() <= 0).all()
    with pytest.raises(CropnbError, match="share"):
        search(score_map, 240, 160, pattern, least_area=2.0)
