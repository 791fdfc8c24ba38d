"""Playing, the oracle, perfect play, the cropper, and the program from end to end."""

import importlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cropnb import boxes as box_math
from cropnb import checkpoints, croppers, datasets, ledger, paper, training
from cropnb.croppers import Cropper
from cropnb.errors import CheckpointError, CropnbError, ImageError, WeightsUnavailable
from cropnb.la2c import Agent, BatchedCropEnv, load_cropper, oracle, play, play_all, rules
from cropnb.la2c.cropper import StepCropper, window_around
from cropnb.la2c.envs import planning
from cropnb.la2c.envs.banks import ImageBank
from cropnb.la2c.envs.features import FeatureBank, bank_for, calibrate, changed, look_with
from cropnb.la2c.envs.judges import LatticeJudge
from cropnb.la2c.model import PolicyOutput, reset_memory
from cropnb.la2c.recipe import METHOD
from cropnb.la2c.studies import perfect_play, rows
from cropnb.runs import Experiment, FeatureCache, plan
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name
from cropnb.runs.program import main


@pytest.fixture(scope="module")
def photos() -> list:
    return list(datasets.load("scenes", "test", form="cuhk_icd", size=4))


def willed(*actions: int, stop: bool = True) -> Agent:
    """An agent that looks at nothing and does as it is told, then stops (or goes on with the last
    action).
    """

    class Willed(Agent):
        def forward(self, observations: torch.Tensor, memory: object = None) -> PolicyOutput:
            count = len(observations)
            done = torch.zeros(count, 1) if memory is None else memory[0] + 1
            order = torch.tensor([*actions, 8] if stop else actions)
            step = done[:, 0].long().clamp(max=len(order) - 1)
            logits = 9.0 * F.one_hot(order[step], 9)
            return PolicyOutput(logits, torch.ones(count), (done, done))

    return Willed(weights=None).eval()


def test_an_episode_holds_what_happened(photos: list):
    sample = photos[0]
    episode = play(willed(4, 5, 0), sample, match="mean", size=32)
    width, height = sample.size
    assert episode.names[episode.actions[0]] == "left in"
    assert episode.actions.tolist() == [4, 5, 0, 8]
    assert len(episode) == 4
    assert episode.stopped
    wanted = [
        [0, 0],
        [width / 30, 0],
        [width / 30, height / 30],
        [0, height / 30],
        [0, height / 30],
    ]
    torch.testing.assert_close(episode.boxes[:, :2], torch.tensor(wanted))
    overlaps = box_math.pairwise_iou(episode.boxes, sample.boxes).mean(1)
    torch.testing.assert_close(episode.ious, overlaps)
    change = torch.sign(overlaps[1:] - overlaps[:-1])
    torch.testing.assert_close(episode.rewards, change * overlaps[1:])
    assert episode.probabilities.shape == (4, 9)
    torch.testing.assert_close(episode.probabilities.sum(1), torch.ones(4))
    assert episode.values.tolist() == [1] * 4
    assert play(willed(4, 5, 0), sample, sampled=True, seed=1, size=32).actions.tolist()[:3] != []


def test_without_true_boxes_nothing_is_paid():
    episode = play(willed(4, stop=False), Image.new("RGB", (90, 60)), step_limit=3, size=32)
    assert episode.rewards.isnan().all()
    assert episode.ious.isnan().all()
    assert (len(episode), episode.stopped) == (3, False)
    assert episode.box.tolist() == [9, 0, 90, 60]
    given = play(
        willed(4, stop=False),
        Image.new("RGB", (90, 60)),
        torch.tensor([[9.0, 0, 90, 60]]),
        step_limit=3,
    )
    assert given.ious[-1] == pytest.approx(1.0)


def test_side_by_side_is_one_by_one(photos: list):
    torch.manual_seed(0)
    agent = Agent(weights=None, lstm=True).eval()
    torch.nn.init.normal_(agent.policy.weight)
    env = BatchedCropEnv(ImageBank(photos), 3, size=32)
    ends = play_all(agent, env, step_limits=[2, 9])
    for limit, end in ends.items():
        for index, sample in enumerate(photos):
            alone = play(agent, sample, size=32, step_limit=limit)
            torch.testing.assert_close(
                end.boxes[index].float(), alone.box, msg=f"{limit}, photo {index}"
            )
            assert (int(end.steps[index]), bool(end.stopped[index])) == (
                len(alone),
                alone.stopped,
            )


def test_a_shared_backbone_plays_the_same_alone_and_together(photos: list):
    torch.manual_seed(0)
    agent = Agent(weights=None, shared=True, neck=8).eval()
    torch.nn.init.normal_(agent.policy.weight)
    bank = bank_for(agent, photos)
    ends = play_all(agent, BatchedCropEnv(bank, 4, size=agent.grid, step_limit=6))
    for index, sample in enumerate(photos):
        torch.testing.assert_close(ends.boxes[index].float(), play(agent, sample, step_limit=6).box)
    # The whole photo's features are the map itself, averaged.
    env = BatchedCropEnv(bank, 4, size=4)
    env.start(torch.arange(4), torch.arange(4))
    crops = env.observe()
    assert crops.shape == (4, 96, 4, 4)
    whole = agent.for_inference().feature_maps(photos[0].image()[None])
    torch.testing.assert_close(crops[0].mean(), whole.mean(), atol=0.02, rtol=0.05)


def bank_of_views(photos: list, agent: Agent, views: int, folder: object = None) -> FeatureBank:
    cache = FeatureCache(look_with(agent, photos), len(photos), views, folder, progress=False)
    return FeatureBank(photos, lambda *place: cache.levels(*place)[0], views)


def test_maps_are_the_same_from_the_cache(photos: list, tmp_path):
    agent, every = Agent(weights=None, shared=True).eval(), torch.arange(len(photos))
    computed = bank_for(agent, photos)
    for _ in range(2):  # written, then read
        cached = bank_of_views(photos, agent, 1, tmp_path)
        assert torch.equal(computed.read(every), cached.read(every))
        assert torch.equal(computed.image_sizes, cached.image_sizes)
    assert computed.read(every).std() > 0


def test_changed_views_keep_everything_in_its_place(photos: list):
    torch.manual_seed(0)
    agent = Agent(weights=None, shared=True).eval()
    calibrate(agent.backbone, photos, batch_size=2)
    bank, plain = bank_of_views(photos, agent, 3), bank_for(agent, photos)
    assert (len(bank), len(plain)) == (12, 4)
    assert torch.equal(bank.truths, plain.truths.repeat(3, 1, 1))
    assert torch.equal(bank.sizes, plain.sizes.repeat(3, 1))

    def crops_of(bank: FeatureBank, first: int) -> torch.Tensor:
        env = BatchedCropEnv(bank, 4, size=6)
        env.start(torch.arange(4), torch.arange(first, first + 4))
        env.act(torch.full((4,), 4))  # the left edge in, so that left and right are not alike
        crops = env.observe()  # (4, 96, 6, 6)
        # what a channel always says tells no place
        return crops - crops.mean((0, 2, 3), keepdim=True)

    def alike(one: torch.Tensor, other: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])

    before = crops_of(plain, 0)
    torch.testing.assert_close(crops_of(bank, 0), before)  # the first view is the photo as it is
    for first in (4, 8):
        view = crops_of(bank, first)
        assert not torch.equal(view, before)
        same, mirrored, other = (
            alike(view, before),
            alike(view.flip(-1), before),
            alike(view.roll(1, 0), before),
        )
        assert same > max(mirrored, other) + 0.1, (same, mirrored, other)


def test_a_changed_view_is_a_photo_that_the_backbone_can_take():
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((3, 90, 120), dtype=np.float32))
    state = torch.get_rng_state()
    views = [changed(image, training.generator(seed, "view", 0)) for seed in range(20)]
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's draws are touched
    assert torch.equal(views[3], changed(image, training.generator(3, "view", 0)))
    sizes = torch.tensor([view.shape[-2:] for view in views])
    assert (sizes % 16 == 0).all()
    assert (sizes[:, 0] - 256).abs().max() <= 256 * 0.125 + 8
    assert (sizes[:, 1] - 341).abs().max() <= 341 * 0.125 + 8
    assert len(sizes.unique(dim=0)) > 5
    assert min(float(view.min()) for view in views) >= -1e-6
    assert max(float(view.max()) for view in views) <= 1 + 1e-6


def test_a_random_backbone_tells_photos_apart_once_it_is_calibrated(photos: list):
    def maps_of(backbone: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return torch.stack(
                [backbone(s.image()[None, :, :256, :256])[0].flatten() for s in photos]
            )

    torch.manual_seed(0)
    backbone = Agent(weights=None, shared=True).eval().backbone
    before = maps_of(backbone)
    calibrate(backbone, photos, batch_size=2)
    after = maps_of(backbone)
    assert before.std() < 1e-3  # whatever the photo, next to nothing comes out
    assert after.std(0).mean() > 0.2
    # The first normalisation knows what its convolution gives on all the photos.
    convolution, normalisation, _ = backbone.units[0]
    square = torch.cat(
        [F.interpolate(s.image()[None], (256, 256), mode="bilinear") for s in photos]
    )
    with torch.no_grad():
        wanted = convolution((square - backbone.mean) / backbone.deviation).mean((0, 2, 3))
    torch.testing.assert_close(normalisation.running_mean, wanted, atol=1e-4, rtol=1e-4)
    assert (normalisation.momentum, normalisation.training) == (0.1, False)


@pytest.mark.parametrize("lstm", [False, True])
@pytest.mark.parametrize("name", ["la2c", "a2rl"])
def test_the_mirror_image_is_cropped_as_the_photo_is(name: str, lstm: bool):
    actions = rules.ACTIONS[name]
    mirror = torch.tensor(actions.mirror())
    assert torch.equal(mirror[mirror], torch.arange(len(actions)))
    assert int(mirror[actions.stop]) == actions.stop
    # Mirrored moves of mirrored boxes are the mirror images of the moved boxes.
    here = torch.tensor([5, 6, 14, 17]).expand(len(actions), 4)
    there = torch.stack(
        [actions.divisions - here[:, 2], here[:, 1], actions.divisions - here[:, 0], here[:, 3]], 1
    )
    moved = rules.move(here, torch.arange(len(actions)), actions)
    mirrored = rules.move(there, mirror, actions)
    assert torch.equal(mirrored[:, [0, 2]], actions.divisions - moved[:, [2, 0]])
    assert torch.equal(mirrored[:, 1::2], moved[:, 1::2])

    torch.manual_seed(0)
    shape = {"weights": None, "shared": True, "narrow": 4, "neck": 8, "lstm": lstm}
    agent = Agent(len(actions), mirror=actions.mirror(), **shape).eval()
    torch.nn.init.normal_(agent.policy.weight)
    torch.nn.init.normal_(agent.value.weight)
    one_sided = Agent(len(actions), **shape).eval()
    one_sided.load_state_dict(agent.state_dict())
    memory = there = alone = None
    for _ in range(3):  # an LSTM has something to remember from the second crop on
        maps = torch.rand(3, 96, 6, 6)
        output, other, plain = (
            agent.act(maps, memory),
            agent.act(maps.flip(-1), there),
            one_sided.act(maps, alone),
        )
        torch.testing.assert_close(output.logits, other.logits[:, mirror])
        torch.testing.assert_close(output.value, other.value)
        assert not torch.allclose(output.logits, plain.logits)
        memory, there, alone = output.memory, other.memory, plain.memory
    assert (memory is not None) == lstm
    if lstm:
        assert not torch.allclose(agent.act(maps).logits, output.logits)  # memory matters
        ended = torch.tensor([True, False, False])
        fresh, before = agent.act(maps, reset_memory(memory, ended)), agent.act(maps, memory)
        torch.testing.assert_close(fresh.logits[0], agent.act(maps[:1]).logits[0])
        torch.testing.assert_close(fresh.logits[1:], before.logits[1:])


def test_the_whole_photo_is_seen_beside_every_crop_of_its_episode():
    """The first map of an episode is the whole photo's; it stays until the episode ends."""
    torch.manual_seed(0)
    shape = {"weights": None, "shared": True, "lstm": True, "whole": True}
    agent = Agent(14, mirror=rules.ACTIONS["a2rl"].mirror(), **shape).eval()
    torch.nn.init.normal_(agent.policy.weight)
    first, later, other = torch.rand(3, 2, 96, 6, 6)
    began = agent.act(first)
    both = torch.cat([first.flatten(1), first.flip(-1).flatten(1)], 1)  # (2, 2 · 96 · 36)
    assert torch.equal(began.memory[2], both)
    output = agent.act(later, began.memory)
    assert torch.equal(output.memory[2], began.memory[2])
    # With another first map, the LSTM's state being the same, it answers otherwise.
    elsewhere = (*began.memory[:2], *agent.act(other).memory[2:])
    assert not torch.allclose(agent.act(later, elsewhere).logits, output.logits)
    ended = torch.tensor([True, False])
    fresh = agent.act(later, reset_memory(output.memory, ended))
    torch.testing.assert_close(fresh.logits[:1], agent.act(later[:1]).logits)
    assert torch.equal(fresh.memory[2][1], began.memory[2][1])
    with pytest.raises(ValueError, match="lstm=True"):
        Agent(14, weights=None, whole=True)


def test_the_oracle_climbs_to_the_nearest_box_of_the_lattice():
    truth = torch.tensor([[[50.0, 20, 290, 190]]])
    end = oracle(truth, torch.tensor([[300, 200]]))
    assert end.boxes.tolist() == [[50, 20, 290, 190 + 10 / 3]] or end.boxes.tolist() == [
        [50, 20, 290, 190 - 10 / 3]
    ]
    assert int(end.steps) == 5 + 3 + 1 + (1 if end.boxes[0, 3] > 190 else 2) + 1
    # With another action set the ceiling is another.
    coarse = oracle(truth, torch.tensor([[300, 200]]), actions="a2rl")
    value = [
        rules.overlap(one.boxes, truth, torch.ones(1, 1).bool(), "best").item()
        for one in (end, coarse)
    ]
    assert value[0] > value[1] > 0.85


COARSE = rules.ActionSet("coarse", 10, 2, rules.ACTIONS["la2c"].names, rules.ACTIONS["la2c"].moves)


def test_equation_1_is_farmed_above_a_gamma_and_the_difference_never():
    truth, size = torch.tensor([62.0, 48, 270, 200]), (384, 256)
    limit = planning.stopping_gamma(truth, size, COARSE)
    assert 0.5 < limit <= planning.farming_gamma(truth[None], size, actions=COARSE)

    def stops(gamma: float, **options: object) -> bool:
        perfect = planning.plan(truth[None], size, gamma, actions=COARSE, horizon=150, **options)
        return perfect.stops(150)

    assert stops(limit - 0.01)
    assert not stops(limit + 0.02)
    assert stops(0.95, reward=rules.iou_difference)
    # Perfect play from the best box: out and back pays γ·high − low, by hand.
    perfect = planning.plan(truth[None], size, 0.9, actions=COARSE, horizon=300)
    best = int(perfect.iou.argmax())
    around = perfect.iou[perfect.following[best]]
    low, high = float(around[around < perfect.iou[best]].min()), float(perfect.iou[best])
    assert float(perfect.values[best]) >= (0.9 * high - low) / (1 - 0.9**2) - 1e-3


def test_a_window_of_a_required_ratio():
    left, right = torch.tensor([0.0, 0, 60, 60]), torch.tensor([160.0, 0, 260, 200])
    assert window_around(left, 0.5, 300, 200).tolist() == [0, 0, 100, 200]
    assert window_around(right, 0.5, 300, 200).tolist() == [160, 0, 260, 200]
    assert window_around(torch.tensor([0.0, 0, 300, 200]), 3.0, 300, 200).tolist() == [
        0,
        50,
        300,
        150,
    ]


def test_the_cropper(tmp_path, photos: list):
    torch.manual_seed(0)
    agent = Agent(weights=None, shared=True, neck=8)
    torch.nn.init.normal_(agent.policy.weight)
    card = {
        "method": "la2c",
        "agent": {"actions": 9, "shared": True, "neck": 8},
        "actions": "la2c",
        "step_limit": 5,
    }
    file = tmp_path / "weights.safetensors"
    checkpoints.save_weights(file, agent.state_dict(), {**card, "size": 224}, half=True)
    method = load_cropper(file)
    assert isinstance(method, StepCropper)
    cropper = Cropper(method)
    (crop,) = cropper(photos[0].photo())
    assert crop.score is None
    (wide,) = cropper(photos[0].photo(), aspect=2.0)
    x1, y1, x2, y2 = wide.box.tolist()
    assert (x2 - x1) / (y2 - y1) == pytest.approx(2, rel=1e-4)
    with pytest.warns(UserWarning, match="only 1 of the 3"):
        assert len(cropper(photos[0].photo(), k=3)) == 1
    with pytest.raises(CropnbError, match="scores no boxes"):
        cropper.score(photos[0].photo(), photos[0].boxes)
    with pytest.raises(ImageError, match="30"):
        cropper(Image.new("RGB", (400, 20)))
    with pytest.raises(WeightsUnavailable, match="--profile cpu"):
        load_cropper(tmp_path / "none.safetensors")
    checkpoints.save_weights(file, agent.state_dict(), {**card, "method": "vrn"})
    with pytest.raises(CheckpointError, match="vrn"):
        load_cropper(file)


def test_the_paper_as_data():
    printed = paper.read("la2c")
    assert printed.tables["Table 2"].value("LA2C", "IoU") == 0.6844
    assert printed.tables["Table 3"].value("LA2C", "steps") == 7.96
    steps, text = printed.tables["Table 3"], printed.tables["text"]
    ours, theirs = steps.value("LA2C", "steps"), steps.value("A2-RL", "steps")
    assert theirs - ours == pytest.approx(text.value("LA2C against A2-RL", "fewer steps"))
    # The seconds that the text saves are not those of the table: one of its mistakes.
    saved = steps.value("A2-RL", "seconds") - steps.value("LA2C", "seconds")
    assert saved == pytest.approx(0.12)
    assert text.value("LA2C against A2-RL", "fewer seconds") == 0.046
    for equation in printed.equations:
        module, _, name = equation["function"].rpartition(".")
        function = getattr(importlib.import_module(module), name)
        assert f"(Eq. {equation['number']})" in function.__doc__


def test_average_steps_and_the_share_of_the_gap():
    assert rules.average_steps([4, 8]) == 6
    share = rows.share_of_gap([[0.6, 0.8], [0.8, 1.0]], [0.4, 0.4], [0.9, 0.9])
    assert share.mean == pytest.approx(80)
    assert share.low <= 80 <= share.high


def test_what_gamma_and_the_step_limit_were_chosen_by(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    monkeypatch.setattr(perfect_play, "GAMMAS", (0.3, 0.99))
    monkeypatch.setattr(perfect_play, "HORIZON", 40)
    assert perfect_play.main(["--photos", "1", "--climbed", "3", "--record"]) == 0
    assert ledger.one("la2c", table="farming", row="γ = 0.3").ours == 100
    assert ledger.one("la2c", table="farming", row="γ = 0.99").ours == 0
    ends = [
        ledger.one("la2c", table="oracle", row=name, column="IoU").ours for name in rules.ACTIONS
    ]
    nine, twice_the_stride, fourteen = ends
    assert nine > twice_the_stride > 0.7
    assert nine > fourteen > 0.7
    claims = ledger.find("la2c", row=perfect_play.STRIDE_CLAIM)
    assert [row.column[-4:] for row in claims] == ["1/20", "1/15", "1/10"]
    assert claims[1].ours == pytest.approx(nine - twice_the_stride, abs=1e-4)


def test_a_larger_stride_keeps_the_moves_and_the_smallest_crop():
    coarse = perfect_play.with_stride(rules.ACTIONS["la2c"], 15)
    assert (coarse.divisions, coarse.least) == (15, 3)  # 3/15 of a side, as 6/30 are
    assert coarse.moves == rules.ACTIONS["la2c"].moves
    assert rules.ACTIONS["la2c, 1/15"].moves == coarse.moves
    assert rules.ACTIONS["la2c, 1/15"].least == coarse.least


def test_savings_against_another_design():
    def runs(steps: list[int]) -> list[SimpleNamespace]:
        return [SimpleNamespace(columns={"steps": steps}, details={"seconds": [0.1, 0.1]})]

    results = {"LA2C": runs([5, 7]), "A2-RL actions, aesthetic score": runs([10, 14])}
    written = {row.column: row for row in rows.savings(Context("la2c", "scenes", []), results)}
    assert written["fewer steps"].ours == 6
    assert written["fewer steps, per cent"].ours == 50
    assert written["fewer seconds"].ours == 0


def under_limits(
    seed: int, ious: dict[str, list[float]], **columns: list[float]
) -> SimpleNamespace:
    """A run that has no more than what is read of step limits."""
    details = {"limits": {limit: {"IoU": values} for limit, values in ious.items()}}
    return SimpleNamespace(seed=seed, details=details, columns=columns)


def test_who_stopped_by_itself_within_a_limit(photos: list):
    ends = play_all(
        willed(4, 5, 0), BatchedCropEnv(ImageBank(photos), 3, size=32), step_limits=[2, 4, 9]
    )
    whole = {"steps": ends[9].steps.tolist(), "stopped": ends[9].stopped.double().tolist()}
    run = under_limits(0, {}, **whole)
    for limit, end in ends.items():
        assert rows.stopped_within(run, limit) == (100 * end.stopped.double()).tolist()
    assert [sum(rows.stopped_within(run, limit)) for limit in ends] == [0, 400, 400]
    # At the last limit an agent that was cut off took as many steps as one that stopped.
    cut_off = under_limits(0, {}, steps=[9, 9], stopped=[0.0, 1.0])
    assert rows.stopped_within(cut_off, 9) == [0, 100]


def test_a_lead_is_over_the_seeds_that_both_have_at_each_limit():
    results = {
        "LA2C": [
            under_limits(0, {"5": [0.5, 0.7], "10": [0.6, 0.8]}),
            under_limits(1, {"5": [0.5, 0.5], "10": [0.9, 0.7]}),
            under_limits(2, {"5": [0.0, 0.0], "10": [0.0, 0.0]}),
        ],
        "A2-RL": [
            under_limits(1, {"5": [0.6, 0.6], "10": [0.5, 0.5]}),
            under_limits(0, {"5": [0.6, 0.6], "10": [0.5, 0.5]}),
        ],
    }
    context = Context("la2c", "scenes", [], profile="long", seeds=(0, 1, 2))
    written = {row.row: row for row in rows.leads(context, "A2-RL", results)}
    assert [round(row.ours, 4) for row in written.values()] == [-0.05, 0.25]
    assert list(written) == ["5 steps", "10 steps"]
    row = written["10 steps"]
    assert (row.table, row.column, row.seeds) == ("step limits, LA2C less A2-RL", "IoU", (0, 1))
    assert not rows.leads(context, "LA2C", results)
    assert not rows.leads(context, "stride 1/15", results)


SMOKE = METHOD.profiles["smoke"]
TINY = replace(
    SMOKE,
    train_photos=3,
    validation_photos=2,
    test_photos=3,
    learning=replace(SMOKE.learning, updates=4, validate_every=2),
    # What only the longer profiles switch on goes the whole way too.
    views=1,
    narrow=4,
    dropout=0.3,
    symmetric=True,
)


def test_the_program_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_PLAN", str(plan.plan_file()))
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(METHOD.profiles, "smoke", TINY)
    weights = tmp_path / "shipped.safetensors"
    monkeypatch.setattr("cropnb.runs.program.weights_path", lambda *asked: weights)
    command = ["--init", "random", "--device", "cpu", "--out", str(tmp_path / "runs"), "--ship"]
    command += ["--record", "--variants", "LA2C", "LA2C-LSTM", "aesthetic score", "1 environment"]
    assert main(METHOD, command) == 0
    tables = {row.table for row in ledger.read("la2c") if row.verdict != "pending"}
    others = ("LA2C-LSTM", "aesthetic score", "1 environment")
    assert tables == {
        *("Table 1", "Table 2", "Table 3", "variants", "claim", "noise-free best box"),
        *("step limits", "step limits, LSTM"),
        *("step limits, aesthetic score", "step limits, 1 environment"),
        *(f"step limits, LA2C less {name}" for name in others),
    }
    here = {"dataset": "scenes", "profile": "smoke"}
    measured = ledger.one("la2c", table="Table 2", row="LA2C", column="IoU", **here)
    assert measured.images == 3
    assert measured.device == device_name("cpu")
    assert measured.paper_value is None  # the paper's is FCDB's, and waits
    assert "batch statistics of 64" in measured.note
    waiting = ledger.one("la2c", table="Table 2", row="LA2C", column="IoU", dataset="fcdb")
    assert waiting.verdict == "pending"
    assert "--dataset fcdb --profile full" in waiting.note
    for table in ("Table 3", "variants"):
        name = "LA2C" if table == "Table 3" else "1 environment"
        assert ledger.one("la2c", table=table, row=name, column="seconds", **here).ours > 0
    stopped = ledger.one("la2c", table="variants", row="aesthetic score", column="stopped", **here)
    assert 0 <= stopped.ours <= 100
    limits = [
        ledger.one("la2c", table="step limits", row=f"{n} steps", column="steps").ours
        for n in (5, 10, 40)
    ]
    assert limits == sorted(limits)
    assert limits[0] <= 5
    wanted = {"row": "10 steps", "column": "IoU"}
    tables = ("step limits, LA2C less LA2C-LSTM", "step limits", "step limits, LSTM")
    lead, ours, theirs = (ledger.one("la2c", table=name, **wanted).ours for name in tables)
    assert lead == pytest.approx(ours - theirs, abs=2e-4)
    claims = {row.row for row in ledger.find("la2c", table="claim")}
    assert claims == {
        *("IoU beats the aesthetic score", "no LSTM is better", "parallel learners are efficient"),
    }
    cropper = load_cropper(weights)  # shipped with all that a cropper has to know
    assert cropper.card["agent"]["mirror"] == rules.ACTIONS["la2c"].mirror()
    assert cropper.propose(torch.rand(3, 90, 120))[0].shape == (1, 4)
    capsys.readouterr()
    assert main(METHOD, [*command, "--dataset", "fcdb"]) == 2  # the photos are not there
    assert "error:" in capsys.readouterr().err


def test_whatever_changes_a_result_changes_what_a_run_is_called(monkeypatch):
    def hashes() -> list[str]:
        experiment = Experiment(METHOD, profile=TINY, out=None)
        return [experiment.run(name, 0).config_hash for name in METHOD.variants]

    before = hashes()
    assert len(set(before)) == len(before)
    for name in METHOD.constants:
        with monkeypatch.context() as patch:
            patch.setitem(METHOD.constants, name, "changed")
            assert not set(before) & set(hashes()), name
    views = METHOD.constants["views"]
    assert {"brightness", "hue"} <= set(views["colours"])
    assert views["stretch"] > 0
    # The start of a variant's backbone is part of it, whatever the program was told.
    runs = [
        Experiment(METHOD, profile=TINY, init=init, out=None).run("random start", 0)
        for init in ("imagenet", "random")
    ]
    assert runs[0].identity == runs[1].identity
    assert runs[0].identity["init"] == "random"


def test_a_run_is_read_back(tmp_path):
    """A finished run: trained nothing, the same result, the agent of the best score."""
    profile = replace(TINY, views=0, symmetric=False)
    settings = {"profile": profile, "init": "random", "out": tmp_path, "progress": False}
    agent, histories, result = Experiment(METHOD, **settings).train("LA2C", 0)
    assert len(histories["agent"].steps) == 4
    again = Experiment(METHOD, **settings)
    assert again.finished("LA2C", 0) == result
    state = again.trained("LA2C", 0).state_dict()
    assert all(torch.equal(state[name], value) for name, value in agent.state_dict().items())
    best = again.run("LA2C", 0).folder / "agent" / checkpoints.BEST_FILE
    best = checkpoints.load_weights(best)[0]
    assert all(torch.equal(best[name], value) for name, value in state.items())
    written = json.loads((again.run("LA2C", 0).folder / "result.json").read_text())
    assert set(written["details"]) == {"curve", "agent", "rules", "limits", "seconds"}
    assert written["columns"]["best box, oracle"] > written["columns"]["best box, whole photo"]


def test_frozen_means_a_shared_backbone():
    experiment = Experiment(METHOD, profile="full", frozen=True, out=None)
    assert experiment.profile.shared
    assert not Experiment(METHOD, profile="full", out=None).profile.shared


class Leftmost:
    """Scores crops by how far to the left they end, and counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def score(self, photo, boxes):
        self.asked.append(len(boxes))
        return -boxes[:, 2] / photo.size[0] + boxes[:, 1] / photo.size[1] / 100


def test_a_judge_scores_all_boxes_of_the_lattice_at_once(photos: list):
    scorer = Leftmost()
    judge, actions = LatticeJudge(scorer, "a2rl"), rules.ACTIONS["a2rl"]
    cells = torch.tensor([[0, 0, 20, 20], [3, 1, 9, 20], [15, 15, 20, 20]])
    for sample in photos[:2]:
        boxes = rules.to_pixels(cells, torch.tensor(sample.size), actions)
        expected = -cells[:, 2] / 20 + cells[:, 1] / 20 / 100
        torch.testing.assert_close(judge(sample, boxes), expected.float())
        assert judge(sample, boxes[1:2]).shape == (1,)
    assert scorer.asked == [136**2] * 2  # once a photo: 136 places of a side of five cells or more


def write_fcdb(root):
    """A copy of FCDB's layout with six training photos and two test photos."""
    (root / "photos").mkdir(parents=True)
    for split, part, count in (("train", "training", 6), ("test", "testing", 2)):
        entries = []
        for number, sample in enumerate(datasets.load("scenes", split, form="fcdb", size=count)):
            x1, y1, x2, y2 = sample.boxes[0].round().int().tolist()
            name = f"{part}{number}.jpg"
            sample.photo().save(root / "photos" / name)
            entry = {"url": f"https://a.b/{name}", "flickr_photo_id": len(entries)}
            entries.append({**entry, "crop": [x1, y1, x2 - x1, y2 - y1]})
        (root / f"cropping_{part}_set.json").write_text(json.dumps(entries))


def test_a2_rl_is_paid_by_another_networks_score_on_photographs(tmp_path, monkeypatch):
    write_fcdb(tmp_path / "data" / "fcdb")
    monkeypatch.setenv("CROPNB_DATA", str(tmp_path / "data"))
    scorer, loaded = Leftmost(), []
    monkeypatch.setattr(croppers, "load", lambda name, **_: loaded.append(name) or scorer)
    tiny = replace(TINY, views=0, narrow=0, symmetric=False)
    experiment = Experiment(METHOD, "fcdb", profile=tiny, init="random", out=None, progress=False)
    run = experiment.run("A2-RL", 0)
    assert len(run.identity["variant"]["judge"]) > 10
    env = experiment.method.env(experiment, run, "train", experiment.model(run), episodes=2)
    assert loaded == ["gaic"]
    env.restart(torch.arange(2), training.generator(0, "test"))
    names = list(rules.ACTIONS["a2rl"].moves)
    shrink, stay = names.index((1, 1, -1, -1)), rules.ACTIONS["a2rl"].stop
    assert env.act(torch.tensor([shrink, stay])).reward.tolist() == pytest.approx([0.999, -0.001])
    result = experiment.train("A2-RL", 0)[2]
    assert result.photos == 2
    assert "the aesthetic score is that of GAIC's weights" in METHOD.note([result])
    # What is measured asks no judge, nor do scenes, whose runs are called as before.
    scenes = Experiment(METHOD, profile=tiny, init="random", out=None)
    assert "judge" not in scenes.run("A2-RL", 0).identity["variant"]
    assert "judge" not in experiment.run("LA2C", 0).identity["variant"]


def test_a2_rl_sees_as_many_pixels_as_its_own_network_reads():
    learning = replace(TINY.learning, rollout=1)
    whole = replace(TINY, shared=False, neck=0, narrow=0, symmetric=False, learning=learning)
    experiment = Experiment(METHOD, profile=whole, init="random", out=None, progress=False)
    for name, pixels in (("A2-RL", 224), ("A2-RL, 227 pixels", 227)):
        run = experiment.run(name, 0)
        agent = experiment.model(run)
        stage = next(iter(METHOD.stages(experiment, run, agent)))
        learner = stage.trained
        assert learner.env.observe().shape == (16, 3, pixels, pixels)
        before = agent.policy.weight.clone()
        losses = stage.loss([0], training.generator(0, "test"))
        losses["loss"].backward()
        stage.optimizer.step()
        assert torch.isfinite(losses["loss"])
        assert not torch.equal(agent.policy.weight, before)
    assert "size" not in experiment.run("A2-RL", 0).identity["variant"]
    assert experiment.run("A2-RL, 227 pixels", 0).identity["variant"]["size"] == 227
    other = experiment.run("A2-RL", 0).identity["variant"] | {"size": 227}
    assert experiment.run("A2-RL, 227 pixels", 0).identity["variant"] == other


def test_the_gpu_trains_a2_rl_itself_and_not_its_stand_in():
    entries = {entry.name: entry.variants for entry in plan.read()}
    assert entries["la2c/fcdb"] == ("LA2C", "LA2C-LSTM", "A2-RL")
    assert {"A2-RL", "A2-RL, 227 pixels"} < set(entries["la2c/whole-network"])
    assert rows.RIVALS[0] == "A2-RL"


def test_real_photos_go_the_same_way(tmp_path, photos: list):
    """A dataset of the layout of CUHK-ICD on disk, read, played and measured like the scenes."""
    folder = tmp_path / "cuhk_icd"
    (folder / "All_Images").mkdir(parents=True)
    lines = []
    for number, sample in enumerate(photos * 2):
        name = f"{number}.png"
        sample.photo().save(folder / "All_Images" / name)
        lines.append(f"animal\\{name}")
        lines += [f"{y1:g} {y2:g} {x1:g} {x2:g}" for x1, y1, x2, y2 in sample.boxes.tolist()]
    (folder / "Cropping parameters.txt").write_text("\n".join(lines), "utf-8")
    (folder / "test.txt").write_text("0.png\n1.png", "utf-8")
    learning = replace(SMOKE.learning, updates=2, validate_every=2)
    profile = replace(SMOKE, validation_photos=2, learning=learning)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROPNB_DATA", str(tmp_path))
        experiment = Experiment(
            METHOD, "cuhk_icd", profile=profile, init="random", out=None, progress=False
        )
        result = experiment.train("LA2C", 0)[2]
    assert {"IoU 1", "IoU 2", "IoU 3", "BDE 3"} <= set(result.columns)
    assert "best box" not in result.columns
    assert len(result.columns["IoU"]) == 2
    assert np.isfinite(result.details["seconds"]).all()
