"""The environments: Gymnasium's own checkers, Stable-Baselines3's, and each other."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from PIL import Image

from cropnb import datasets
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import BoxError, CropnbError, DatasetMissing, ImageError
from cropnb.la2c import rules
from cropnb.la2c.envs.banks import ImageBank
from cropnb.la2c.envs.batched import BatchedCropEnv
from cropnb.la2c.envs.crops import taps
from cropnb.la2c.envs.gym import ActionError, CropEnv, CropVectorEnv, EpisodeError

SIZE = 48


@pytest.fixture(scope="module")
def bank() -> ImageBank:
    return ImageBank(datasets.load("scenes", "train", form="cuhk_icd", size=6))


def dataset_of(photo: Image.Image, boxes: object, **fields: object) -> CropDataset:
    item = Sample("one", *photo.size, torch.as_tensor(boxes), load_photo=lambda: photo, **fields)
    return CropDataset("fcdb", "test", "fcdb", None, [item])


def test_gymnasiums_checker_has_nothing_to_say(bank: ImageBank):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(CropEnv(bank, size=SIZE, render_mode="rgb_array"), skip_render_check=True)
        check_env(
            CropEnv(bank, size=SIZE, actions="a2rl", reward="aesthetic"), skip_render_check=True
        )


def test_stable_baselines_checker_has_nothing_to_say(bank: ImageBank):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(CropEnv(bank, size=SIZE), warn=True)


def same(a: object, b: object, where: str) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, np.ndarray) and a.dtype == object:
        for left, right in zip(a, b, strict=True):
            same(left, right, where)
    elif a is None:
        assert b is None, where
    else:
        assert np.asarray(a).dtype == np.asarray(b).dtype, (
            where,
            np.asarray(a).dtype,
            np.asarray(b).dtype,
        )
        np.testing.assert_array_equal(a, b, err_msg=where)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"actions": "a2rl", "reward": "aesthetic"},
        {"reward": "iou_difference", "truths": "mean"},
    ],
    ids=["paper", "a2rl", "mean"],
)
def test_the_vector_environment_equals_sync_vector_env(
    bank: ImageBank, mode: AutoresetMode, options: dict
):
    options = {**options, "size": SIZE, "step_limit": 7}
    ours = CropVectorEnv(bank, 4, autoreset_mode=mode, **options)
    theirs = SyncVectorEnv([lambda: CropEnv(bank, **options)] * 4, autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata == theirs.metadata
    for seed in (3, [9, 8, 7, 6]):
        for left, right in zip(ours.reset(seed=seed), theirs.reset(seed=seed), strict=True):
            same(right, left, "reset")
        rng, ends = np.random.default_rng(0), np.zeros(3, dtype=int)
        for step in range(30):
            actions = rng.integers(len(ours.batch.actions), size=4)
            left, right = ours.step(actions), theirs.step(actions)
            for name, a, b in zip(
                ("observation", "reward", "terminated", "truncated", "info"),
                right,
                left,
                strict=True,
            ):
                same(a, b, f"{name} at {step}")
            ends += [left[2].sum(), left[3].sum(), (left[1] != 0).sum()]
        assert ends.min() > 0  # stops, cut-offs and rewards all were there to compare


def test_resetting_one_step_early_would_be_noticed(bank: ImageBank):
    """The two autoreset modes differ just in when they begin anew, and the comparison above sees
    it.
    """
    modes = [
        CropVectorEnv(bank, 2, size=SIZE, autoreset_mode=mode) for mode in ("NextStep", "SameStep")
    ]
    for env in modes:
        env.reset(seed=0)
    stop = np.array([8, 4])
    first, second = (env.step(stop) for env in modes)
    assert first[4]["step"].tolist() == [1, 1]
    assert second[4]["step"].tolist() == [0, 1]
    assert modes[0].step(stop)[4]["step"].tolist() == [0, 2]


@pytest.mark.parametrize("side", [(384, 256), (200, 300), (97, 61)])
@pytest.mark.parametrize("size", [224, 96])
def test_observations_are_pillows(side: tuple[int, int], size: int):
    noise = np.random.default_rng(0).integers(0, 256, (side[1], side[0], 3), dtype=np.uint8)
    photo = Image.fromarray(noise)
    env = CropEnv(dataset_of(photo, [[10.0, 10, 50, 50]]), size=size)
    observation, info = env.reset(seed=0)
    for action in (None, 4, 5, 5, 6, 7, 7, 4, 4, 4, 0):
        if action is not None:
            observation, _, _, _, info = env.step(action)
        wanted = np.asarray(
            photo.resize((size, size), Image.Resampling.BILINEAR, box=tuple(info["box"].tolist()))
        )
        difference = np.abs(observation.astype(int) - wanted.transpose(2, 0, 1))
        assert difference.max() <= 2
    # Without the antialiasing, or with a box that is off by half a cell, it would not be.
    plain = F.interpolate(torch.from_numpy(noise).permute(2, 0, 1)[None].float(), (size, size))
    assert (plain[0].numpy() - wanted.transpose(2, 0, 1)).max() > 20


def test_a_crop_is_the_same_whatever_is_cut_beside_it():
    """The widest crop of a batch decides how many taps are summed, which must not change the others
    by a bit.
    """
    low = torch.arange(6).repeat_interleave(11) * 384 / 20
    high = low + torch.arange(5, 16).repeat(6) * 384 / 20
    length = torch.full((len(low),), 384)
    place, weight = taps(low, high, length, SIZE, 14)
    torch.testing.assert_close(weight.sum(-1), torch.ones(len(low), SIZE))
    for count in (15, 16, 17, 24):
        same_place, same_weight = taps(low, high, length, SIZE, count)
        assert torch.equal(same_weight[..., :14], weight)
        assert not same_weight[..., 14:].any()
        assert torch.equal(same_place[..., :14], place)


def test_large_photos_are_reduced_once():
    photo = Image.fromarray(np.full((900, 1200, 3), 90, dtype=np.uint8))
    bank = ImageBank(dataset_of(photo, [[0.0, 0, 600, 900]]))
    assert bank.image_sizes.tolist() == [[597, 448]]
    env = CropEnv(bank, size=SIZE)
    observation, info = env.reset()
    assert (observation == 90).all()
    assert info["box"].tolist() == [0, 0, 1200, 900]
    assert info["iou"] == pytest.approx(0.5)


def test_equation_1_pays_the_iou_after_the_action():
    photo = Image.new("RGB", (300, 300))
    env = CropEnv(dataset_of(photo, [[0.0, 0, 240, 300]]), size=SIZE, step_limit=9)
    _, info = env.reset()
    assert info["iou"] == pytest.approx(0.8)
    _, reward, *_, info = env.step(6)  # right edge in: 290 wide
    assert reward == pytest.approx(240 / 290, abs=1e-6)  # not 0.8, the IoU before it
    _, reward, *_, info = env.step(2)  # and out again
    assert reward == pytest.approx(-0.8, abs=1e-6)
    _, reward, *_, info = env.step(2)  # out of the photo: not possible
    assert (reward, info["moved"], info["step"]) == (0, False, 3)
    _, reward, terminated, truncated, info = env.step(8)
    assert (reward, terminated, truncated, info["moved"]) == (0, True, False, False)


def test_the_step_limit_truncates_and_a_stop_terminates():
    env = CropEnv(
        dataset_of(Image.new("RGB", (90, 90)), [[0.0, 0, 60, 60]]), size=SIZE, step_limit=2
    )
    env.reset()
    assert env.step(4)[2:4] == (False, False)
    assert env.step(4)[2:4] == (False, True)
    env.reset()
    env.step(4)
    assert env.step(8)[2:4] == (True, False)  # a stop with the last action is a stop


def test_best_and_mean_of_several_true_boxes():
    photo, boxes = Image.new("RGB", (300, 300)), [[0.0, 0, 300, 150], [0.0, 0, 300, 270]]
    best, mean = (
        CropEnv(dataset_of(photo, boxes), size=SIZE, truths=how).reset()[1]["iou"]
        for how in rules.TRUTHS
    )
    assert best == pytest.approx(0.9)
    assert mean == pytest.approx(0.7)


def test_sides_keep_their_least_length():
    env = CropEnv(
        dataset_of(Image.new("RGB", (300, 300)), [[0.0, 0, 150, 300]]), size=SIZE, step_limit=99
    )
    env.reset()
    moved = [env.step(4)[4]["moved"] for _ in range(26)]
    assert moved == [True] * 24 + [False] * 2
    a2rl = CropEnv(
        dataset_of(Image.new("RGB", (300, 300)), [[0.0, 0, 150, 300]]), size=SIZE, actions="a2rl"
    )
    a2rl.reset()
    for _ in range(9):
        box = a2rl.step(0)[4]["box"]
    assert (box[2] - box[0]) * 20 / 300 == pytest.approx(6)  # never 4/20


def test_a2rls_reward():
    score = lambda sample, boxes: -boxes[:, 0]  # noqa: E731 the further left the better
    env = CropEnv(
        dataset_of(Image.new("RGB", (300, 200)), [[0.0, 0, 150, 200]]), size=SIZE, reward=score
    )
    env.reset()
    assert env.step(4)[1] == pytest.approx(-1 - 0.001)
    assert env.step(0)[1] == pytest.approx(1 - 0.002)
    assert env.step(5)[1] == pytest.approx(-0.003)
    for _ in range(6):
        last = env.step(7)
    assert last[1] == pytest.approx(-0.009)  # 300 × 153.3: the ratio is 1.96
    assert env.step(7)[1] == pytest.approx(-5.010)  # 300 × 146.7: the ratio is 2.05


def test_bad_input_is_refused(bank: ImageBank):
    photo = Image.new("RGB", (300, 200))
    env = CropEnv(bank, size=SIZE)
    with pytest.raises(EpisodeError, match="reset"):
        env.step(0)
    env.reset(seed=0)
    for action in (9, -1, 0.5, True, None, [1, 2]):
        with pytest.raises(ActionError):
            env.step(action)
    env.step(8)
    with pytest.raises(EpisodeError, match="ended"):
        env.step(0)
    many = CropVectorEnv(bank, 2, size=SIZE)
    with pytest.raises(EpisodeError):
        many.step([0, 0])
    many.reset()
    with pytest.raises(ActionError):
        many.step([0, 9])
    with pytest.raises(CropnbError, match="photo 6"):
        env.reset(options={"photo": 6})
    with pytest.raises(ImageError, match="29"):
        CropEnv(dataset_of(Image.new("RGB", (29, 200)), [[0.0, 0, 9, 9]]))
    with pytest.raises(BoxError, match="leaves"):
        CropEnv(dataset_of(photo, [[0.0, 0, 301, 100]]))
    with pytest.raises(BoxError, match="scored"):
        CropEnv(dataset_of(photo, [[0.0, 0, 30, 10]], scores=torch.ones(1)))
    with pytest.raises(BoxError, match="at least"):
        CropEnv(dataset_of(photo, torch.zeros(0, 4)))
    with pytest.raises(DatasetMissing):
        CropEnv([Sample("gone", 9, 9, torch.zeros(1, 4))])
    for bad in (
        {"actions": "mars"},
        {"reward": "beauty"},
        {"truths": "worst"},
        {"step_limit": 0},
        {"size": 0},
    ):
        with pytest.raises(CropnbError):
            CropEnv(bank, **bad)
    with pytest.raises(CropnbError, match="no composed scene"):
        CropEnv(dataset_of(photo, [[0.0, 0, 30, 10]]), reward="aesthetic", size=SIZE).reset()


def test_stable_baselines_trains_on_it(bank: ImageBank):
    baselines = pytest.importorskip("stable_baselines3")
    model = baselines.A2C("CnnPolicy", CropEnv(bank, size=SIZE, step_limit=5), n_steps=4, seed=0)
    model.learn(8)
    assert model.num_timesteps == 8


def test_a_plain_gymnasium_copy_does_the_same(bank: ImageBank):
    """The boxes and IoU of random play, recomputed with `cropnb.boxes` alone."""
    from cropnb import boxes as box_math

    env = BatchedCropEnv(bank, 6, size=SIZE, truths="mean")
    env.start(torch.arange(6), torch.arange(6))
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        env.act(torch.randint(8, (6,), generator=rng))
    for row, sample in enumerate(bank.samples):
        wanted = box_math.iou(env.boxes()[row], sample.boxes.double()).mean()
        assert env.iou[row].item() == pytest.approx(wanted.item(), abs=1e-9)
