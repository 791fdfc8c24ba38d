"""What the book says about the speed of the environment."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image

from cropnb import datasets
from cropnb.bench import Ratio, Step, keep_signals, ratios, training_speed
from cropnb.datasets.base import CropDataset, Sample
from cropnb.la2c import learner, rules
from cropnb.la2c.envs.banks import ImageBank
from cropnb.la2c.envs.batched import BatchedCropEnv
from cropnb.la2c.envs.features import bank_for
from cropnb.la2c.model import Agent
from cropnb.la2c.recipe import METHOD

ENVIRONMENTS, SIZE = 16, 224
# Of the paper's 16: what an image costs doesn't depend on it, and an update takes seconds.
TRAINED_ENVIRONMENTS = 4


class PillowCrops:
    """The obvious way: a loop over the environments, each crop cut and resized by Pillow, stacked
    into one array.
    """

    def __init__(self, env: BatchedCropEnv) -> None:
        self.photos = [env.bank.samples[int(photo)].photo() for photo in env.photo]

    def __call__(self, boxes: list[list[float]]) -> np.ndarray:
        """Boxes (E, 4) in pixels → crops (E, S, S, 3), bytes."""
        crops = [
            np.asarray(photo.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=tuple(box)))
            for photo, box in zip(self.photos, boxes, strict=True)
        ]
        return np.stack(crops)


def _env(dataset: CropDataset) -> BatchedCropEnv:
    env = BatchedCropEnv(ImageBank(dataset, resolution=10_000), ENVIRONMENTS, size=SIZE)
    env.start(torch.arange(ENVIRONMENTS), torch.arange(ENVIRONMENTS) % len(dataset))
    for action in (4, 5, 6, 7):
        env.act(torch.full((ENVIRONMENTS,), action))
    return env


def _scenes() -> CropDataset:
    return datasets.load("scenes", "test", form="fcdb", size=ENVIRONMENTS)


def _large() -> CropDataset:
    """The same scenes enlarged to 1 024 × 683 pixels, the size of a photo on Flickr."""

    def enlarge(sample: Sample) -> Sample:
        photo = sample.photo().resize((1024, 683))
        return Sample(
            sample.name, 1024, 683, torch.tensor([[0.0, 0, 512, 512]]), load_photo=lambda: photo
        )

    dataset = _scenes()
    return CropDataset(
        "scenes", "test", "fcdb", None, [enlarge(sample) for sample in dataset.samples[:4]]
    )


def batched_crops(scenes: Callable[[], CropDataset], rounds: int) -> list[float]:
    """Seconds of Pillow in a loop over seconds of one batched call; no photo is reduced before."""
    env = _env(scenes())
    pillow, boxes = PillowCrops(env), env.boxes().tolist()
    return ratios(lambda: pillow(boxes), env.observe, rounds)


def vector_against_sync(scenes: Callable[[], CropDataset], rounds: int) -> list[float]:
    """Seconds of a step of Gymnasium's `SyncVectorEnv` of plain Pillow environments over one of
    `CropVectorEnv`, which reduces large photos once, and Pillow at every step.
    """
    import gymnasium
    from gymnasium.vector import SyncVectorEnv

    from cropnb.la2c.envs.gym import CropVectorEnv

    class Plain(gymnasium.Env):
        """Boxes by the same rules, and the crop by Pillow."""

        observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        action_space = gymnasium.spaces.Discrete(9)

        def __init__(self, sample: Sample) -> None:
            self.sample, self.photo = sample, sample.photo()

        def reset(
            self, *, seed: int | None = None, options: dict | None = None
        ) -> tuple[np.ndarray, dict]:
            self.cells = np.array([0, 0, 30, 30])
            return self.observation(), {}

        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
            moved = self.cells + rules.ACTIONS["la2c"].moves[action]
            if moved.min() >= 0 and moved.max() <= 30 and (moved[2:] - moved[:2]).min() >= 6:
                self.cells = moved
            return self.observation(), 0.0, False, False, {}

        def observation(self) -> np.ndarray:
            box = tuple(self.cells / 30 * (self.photo.size * 2))
            return np.asarray(self.photo.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box))

    dataset = scenes()
    ours = CropVectorEnv(ImageBank(dataset), ENVIRONMENTS, size=SIZE, step_limit=10**9)
    samples = [dataset.samples[number % len(dataset)] for number in range(ENVIRONMENTS)]
    theirs = SyncVectorEnv([lambda sample=sample: Plain(sample) for sample in samples])
    ours.reset(seed=0), theirs.reset(seed=0)
    rng = np.random.default_rng(0)

    def play(env: object) -> None:
        env.step(rng.integers(8, size=ENVIRONMENTS))

    return ratios(lambda: play(theirs), lambda: play(ours), rounds)


@torch.inference_mode()
def step_against_network(rounds: int) -> list[float]:
    """Seconds of a step of one photo, crop and network, over the network alone: MobileNetV2 at 224
    pixels.
    """
    agent = Agent(weights=None).for_inference()
    env = BatchedCropEnv(ImageBank(_scenes()), 1, size=SIZE)
    env.start(torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long))
    crop = env.observe()

    def step() -> None:
        with torch.inference_mode():
            env.act(agent(env.observe()).logits.argmax(-1) * 0 + 4)

    def network() -> None:
        with torch.inference_mode():
            agent(crop)

    return ratios(step, network, rounds)


def update_with_sixteen_against_one(rounds: int) -> list[float]:
    """Seconds of ten training updates with 16 environments over ten with one, of the agent of the
    `trial` profile.
    """
    agents = [Agent(weights=None, shared=True, neck=256) for _ in range(2)]
    bank = bank_for(agents[0], _scenes())
    for agent in agents:
        agent.backbone.requires_grad_(False)

    def learn(agent: Agent, environments: int) -> None:
        env = BatchedCropEnv(bank, environments, size=agent.grid)
        settings = learner.Settings(updates=10, environments=environments)
        learner.train(agent, env, settings, progress=False)

    return ratios(lambda: learn(agents[0], ENVIRONMENTS), lambda: learn(agents[1], 1), rounds)


def training_steps() -> tuple[Step, Step]:
    """An update as the paper makes it, in which every crop of a rollout goes through the whole
    network, forward and backward; and one as a CPU makes it, with profile `trained`: the backbone
    was trained by another method, its map of a photo is computed once, and a rollout reads crops of
    the map. The second is another network, not a faster way to the same numbers.
    """
    profile = METHOD.profiles["trained"]
    arguments = METHOD.agent_arguments(profile, METHOD.main)
    torch.manual_seed(0)
    whole = Agent(weights=None)
    heads = Agent(weights=None, dropout=profile.dropout, **arguments)
    for agent in (whole, heads):
        keep_signals(agent.backbone)
    heads.backbone.requires_grad_(False)
    return _update(whole, SIZE), _update(heads, heads.grid)


def _update(agent: Agent, size: int) -> Step:
    """One update of an agent, on observations of this size; returns its loss."""
    env = BatchedCropEnv(bank_for(agent, _scenes()), TRAINED_ENVIRONMENTS, size=size)
    settings = learner.Settings(updates=1, environments=TRAINED_ENVIRONMENTS)
    learning = learner.Learner(agent, env, settings)
    optimizer = learning.optimizer()
    rng = torch.Generator().manual_seed(0)

    def update() -> float:
        loss = learning.loss([0], rng)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return update


MEASURED = {
    **training_speed(
        "LA2C, training the whole network",
        training_steps,
        TRAINED_ENVIRONMENTS * learner.Settings(updates=1).rollout,
        2,
        "the fast step leaves the whole backbone as it is, and reads crops of its kept map of a "
        "photo; it trains another network, not the same one faster",
    ),
    "16 crops of 256-pixel scenes, Pillow in a loop": Ratio(
        partial(batched_crops, _scenes), "times one batched call", images=16
    ),
    "16 crops of 1 024-pixel photos, Pillow in a loop": Ratio(
        partial(batched_crops, _large), "times one batched call", images=4
    ),
    "SyncVectorEnv of 16 Pillow environments": Ratio(
        partial(vector_against_sync, _scenes), "times CropVectorEnv", images=16
    ),
    "SyncVectorEnv of 16 Pillow environments, 1 024-pixel photos": Ratio(
        partial(vector_against_sync, _large), "times CropVectorEnv", at_least=4, images=4
    ),
    "LA2C's updates with 16 environments": Ratio(
        update_with_sixteen_against_one, "times as many with one", images=16
    ),
    "LA2C's step, crop and network": Ratio(
        step_against_network, "times the network alone", at_most=1.3, images=1
    ),
}
