"""Many episodes at once on the device, without Gymnasium: what its environments and the training
stand on.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError
from cropnb.la2c import rules
from cropnb.la2c.envs.banks import RESOLUTION, ImageBank
from cropnb.la2c.envs.crops import cut, to_bytes

if TYPE_CHECKING:
    from cropnb.datasets.scenes import Scene

# (sample, boxes (N, 4) in pixels) → (N,), higher is better
Score = Callable[[Sample, Tensor], Tensor]


@dataclass(frozen=True)
class StepResult:
    """What one action of each episode did; every tensor (E,).

    `final` holds the observations (K, 3, S, S) of the K episodes that were cut off by the step
    limit, in their order: the state after a cut-off still has a value, that after a stop has none.
    It is None where nobody asked for it.
    """

    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    iou: Tensor
    moved: Tensor
    length: Tensor
    final: Tensor | None = None

    @property
    def ended(self) -> Tensor:
        """(E,) whether an episode is over, by its own stop or by the step limit."""
        return self.terminated | self.truncated


@dataclass(frozen=True)
class Outcome:
    """Where episodes end, a photo each: boxes (N, 4) in pixels, steps (N,), and whether the agent
    stopped (N,).
    """

    boxes: Tensor
    steps: Tensor
    stopped: Tensor


class BatchedCropEnv(nn.Module):
    """`episodes` episodes side by side. A module, so that its state is saved and loaded with the
    agent's.

    Args:
        dataset: samples with photos and true boxes, or an `ImageBank` of them.
        actions: "la2c", "a2rl" or an `ActionSet`.
        reward: "iou_sign" (Eq. 1), "iou_difference", "aesthetic" (A2-RL's reward with the scenes'
            own score), or a callable (sample, boxes (N, 4)) → scores (N,) for A2-RL's reward with
            it.
        truths: the IoU is with the "best" matching true box or the "mean" over them.
        step_limit: actions after which an episode is cut off.
        size: pixels of an observation.

    Raises:
        CropnbError: a setting that makes no sense; and as `ImageBank`.
    """

    def __init__(
        self,
        dataset: CropDataset | ImageBank,
        episodes: int = 1,
        *,
        actions: str | rules.ActionSet = "la2c",
        reward: str | Score = "iou_sign",
        truths: str = "best",
        step_limit: int = rules.STEP_LIMIT,
        size: int = 224,
        resolution: int = RESOLUTION,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if min(episodes, step_limit, size) < 1:
            raise CropnbError(
                f"episodes ({episodes}), step_limit ({step_limit}) and size ({size}) are at least 1"
            )
        self.actions = rules.action_set(actions)
        self.score: Score | None = reward if callable(reward) else None
        if (
            self.score is None
            and rules.check_choice(reward, rules.REWARDS, "reward") == "aesthetic"
        ):
            self.score = scene_score
        self.reward = reward
        self.truths = rules.check_choice(truths, rules.TRUTHS, "truths")
        self.step_limit, self.size, self.episodes = step_limit, size, episodes
        given = isinstance(dataset, ImageBank)
        self.bank = dataset if given else ImageBank(dataset, device, resolution)
        where = self.bank.device
        self.register_buffer("photo", torch.zeros(episodes, dtype=torch.long, device=where))
        self.register_buffer("cells", rules.whole_photo(episodes, self.actions, where))
        self.register_buffer("taken", torch.zeros(episodes, dtype=torch.long, device=where))
        self.register_buffer("iou", torch.zeros(episodes, dtype=torch.float64, device=where))
        self.register_buffer("scores", torch.zeros(episodes, dtype=torch.float64, device=where))
        # The photos of the running episodes, read when an episode starts.
        images = torch.zeros(episodes, *self.bank.shape, dtype=torch.half, device=where)
        self.register_buffer("images", images, persistent=False)
        self.register_load_state_dict_post_hook(lambda env, _: env._read(self._all_rows()))

    def _all_rows(self) -> Tensor:
        return torch.arange(self.episodes, device=self.photo.device)

    def _read(self, rows: Tensor) -> None:
        self.images[rows] = self.bank.read(self.photo[rows])

    def start(self, rows: Tensor, photos: Tensor) -> None:
        """Begin the episodes `rows` (K,) anew, each on the whole photo `photos` (K,)."""
        self.photo[rows] = photos
        self.cells[rows] = rules.whole_photo(len(rows), self.actions, rows.device)
        self.taken[rows] = 0
        self._read(rows)
        self.iou[rows] = self._overlap(rows)
        if self.score is not None:
            self.scores[rows] = self._score(rows)

    def restart(self, rows: Tensor, rng: torch.Generator) -> None:
        """Begin episodes on photos drawn at random."""
        if len(rows):
            photos = torch.randint(len(self.bank), (len(rows),), generator=rng)  # (K,)
            self.start(rows, photos.to(self.photo.device))

    def boxes(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """The crops (E, 4) in pixels of their photos, double precision."""
        return rules.to_pixels(self.cells[rows], self.bank.sizes[self.photo[rows]], self.actions)

    def observe(self, rows: Tensor | None = None) -> Tensor:
        """What the agent sees, (E, 3, size, size) bytes, of all episodes or of `rows`.

        Of a bank of feature maps it is the crops of these, (E, C, size, size) floats.
        """
        rows = self._all_rows() if rows is None else rows
        share = self.cells[rows].double() / self.actions.divisions  # (E, 4)
        sizes, channels = self.bank.image_sizes[self.photo[rows]], self.bank.channels
        crops = cut(
            self.images, rows, sizes=sizes, boxes_norm=share, size=self.size, channels=channels
        )  # (E, C, size, size)
        return to_bytes(crops) if channels == 3 else crops.float()

    def act(self, chosen: Tensor) -> StepResult:
        """One action (E,) in each episode; nothing is begun anew."""
        before, cells = self.iou, rules.move(self.cells, chosen, self.actions)  # (E,), (E, 4)
        moved = (cells != self.cells).any(-1)  # (E,)
        self.cells, self.taken = cells, self.taken + 1
        self.iou = self._overlap(slice(None))
        if self.score is not None:
            last, self.scores = self.scores, self._score(self._all_rows())
            width, height = (self.boxes()[:, 2:] - self.boxes()[:, :2]).unbind(-1)  # (E,) each
            reward = rules.aesthetic_sign(last, self.scores, self.taken, width / height)
        else:
            pay = rules.iou_sign if self.reward == "iou_sign" else rules.iou_difference
            reward = pay(before, self.iou)
        terminated = chosen == self.actions.stop  # (E,)
        truncated = (self.taken >= self.step_limit) & ~terminated  # (E,)
        return StepResult(
            reward=reward.float(),
            terminated=terminated,
            truncated=truncated,
            iou=self.iou,
            moved=moved,
            length=self.taken,
        )

    def step(self, chosen: Tensor, rng: torch.Generator) -> StepResult:
        """`act`, and begin anew on a photo drawn at random what has ended. The training's step."""
        result = self.act(chosen)
        cut_off = result.truncated.nonzero().squeeze(-1)  # (K,)
        result = dataclasses.replace(
            result,
            iou=result.iou.clone(),
            length=result.length.clone(),
            final=self.observe(cut_off) if len(cut_off) else None,
        )
        self.restart(result.ended.nonzero().squeeze(-1), rng)
        return result

    def _overlap(self, rows: Tensor | slice) -> Tensor:
        photo = self.photo[rows]  # (K,)
        truths, valid = self.bank.truths[photo], self.bank.valid[photo]  # (K, M, 4), (K, M)
        return rules.overlap(self.boxes(rows), truths, valid, self.truths)

    def _score(self, rows: Tensor) -> Tensor:
        """The score of each crop, (K,): it belongs to a photo's content, so one by one."""
        pairs = zip(self.photo[rows], self.boxes(rows), strict=True)
        scores = [self.score(self.bank.samples[photo], box[None]) for photo, box in pairs]
        scores = [torch.as_tensor(score).double().reshape(1) for score in scores]
        return torch.cat(scores).to(self.cells.device)


def scene_score(sample: Sample, boxes: Tensor) -> Tensor:
    """The composed scenes' own aesthetic score without noise, (N,).

    Raises:
        CropnbError: a real photo.
    """
    from cropnb.datasets.scenes import aesthetic_score

    return aesthetic_score(scene_of(sample), boxes.cpu().float())


def scene_of(sample: Sample) -> "Scene":
    """The scene behind a sample.

    Raises:
        CropnbError: a real photo.
    """
    from cropnb.datasets.scenes import Scene

    arguments = getattr(sample.load_photo, "args", ())
    scene = next((part for part in arguments if isinstance(part, Scene)), None)
    if scene is None:
        raise CropnbError(
            f"{sample.name} is no composed scene; give a callable (sample, boxes) → scores as the "
            "reward"
        )
    return scene
