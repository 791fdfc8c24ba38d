"""Many episodes at once on the device, without Gymnasium: what both environments and the training
stand on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError
from cropnb.la2c import rules
from cropnb.la2c.observe import RESOLUTION, Album, cut, to_bytes

if TYPE_CHECKING:
    from cropnb.datasets.scenes import Scene

# (sample, boxes (N, 4) in pixels) → (N,), higher is better
Score = Callable[[Sample, Tensor], Tensor]


@dataclass(frozen=True)
class Turn:
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
        return self.terminated | self.truncated


class Game(nn.Module):
    """`episodes` episodes side by side. A module, so that its state is saved and loaded with the
    agent's.

    dataset: samples with photos and true boxes, or an `Album` of them.
    actions: "la2c", "a2rl" or an `ActionSet`. reward: "iou_sign" (Eq. 1), "iou_difference",
        "aesthetic" (A2-RL's
        reward with the scenes' own score), or a callable (sample, boxes (N, 4)) → scores (N,) for
        A2-RL's reward with it.
    truths: the IoU is with the "best" matching true box or the "mean" over them.
    step_limit: actions after which an episode is cut off. size: pixels of an observation.

    Raises as `Album`, and `CropnbError` for a setting that makes no sense.
    """

    def __init__(
        self,
        dataset: CropDataset | Album,
        episodes: int = 1,
        *,
        actions: str | rules.ActionSet = "la2c",
        reward: str | Score = "iou_sign",
        truths: str = "best",
        step_limit: int = rules.STEP_LIMIT,
        size: int = 224,
        resolution: int = RESOLUTION,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        if min(episodes, step_limit, size) < 1:
            raise CropnbError(
                f"episodes ({episodes}), step_limit ({step_limit}) and size ({size}) are at least 1"
            )
        self.actions = rules.action_set(actions)
        self.reward = (
            reward if callable(reward) else rules.check_choice(reward, rules.REWARDS, "reward")
        )
        self.truths = rules.check_choice(truths, rules.TRUTHS, "truths")
        self.step_limit, self.size, self.episodes = step_limit, size, episodes
        self.album = dataset if isinstance(dataset, Album) else Album(dataset, device, resolution)
        self.score: Score | None = (
            scene_score if reward == "aesthetic" else reward if callable(reward) else None
        )
        where = self.album.pixels.device
        self.register_buffer("photo", torch.zeros(episodes, dtype=torch.long, device=where))
        self.register_buffer("cells", rules.whole_photo(episodes, self.actions, where))
        self.register_buffer("taken", torch.zeros(episodes, dtype=torch.long, device=where))
        self.register_buffer("iou", torch.zeros(episodes, dtype=torch.float64, device=where))
        self.register_buffer("scores", torch.zeros(episodes, dtype=torch.float64, device=where))
        # The photos of the running episodes, as numbers that can be summed: filled when an episode
        # starts.
        desk = torch.zeros(episodes, *self.album.pixels.shape[1:], dtype=torch.half, device=where)
        self.register_buffer("desk", desk, persistent=False)
        self.register_load_state_dict_post_hook(
            lambda game, _: game._lay_out(torch.arange(episodes, device=where))
        )

    def start(self, rows: Tensor, photos: Tensor) -> None:
        """Begin the episodes `rows` (K,) anew, each on the whole photo `photos` (K,)."""
        self.photo[rows] = photos
        self.cells[rows] = rules.whole_photo(len(rows), self.actions, rows.device)
        self.taken[rows] = 0
        self._lay_out(rows)
        self.iou[rows] = self._overlap(rows)
        if self.score is not None:
            self.scores[rows] = self._score(rows)

    def _lay_out(self, rows: Tensor) -> None:
        self.desk[rows] = self.album.pixels[self.photo[rows]].half()

    def draw(self, count: int, draw: torch.Generator) -> Tensor:
        """Photos (count,) at random."""
        return torch.randint(len(self.album), (count,), generator=draw).to(self.photo.device)

    def restart(self, rows: Tensor, draw: torch.Generator) -> None:
        """Begin episodes on photos drawn at random."""
        if len(rows):
            self.start(rows, self.draw(len(rows), draw))

    def boxes(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """The crops (E, 4) in pixels of their photos, double precision."""
        return rules.to_pixels(self.cells[rows], self.album.sizes[self.photo[rows]], self.actions)

    def observe(self, rows: Tensor | None = None) -> Tensor:
        """What the agent sees, (E, 3, size, size) bytes, of all episodes or of `rows`.

        Of an album of feature maps it is the crops of these, (E, C, size, size) floats.
        """
        rows = torch.arange(self.episodes, device=self.photo.device) if rows is None else rows
        share = self.cells[rows].double() / self.actions.divisions
        crops = cut(
            self.desk,
            rows,
            self.album.kept[self.photo[rows]],
            share,
            self.size,
            self.album.channels,
        )
        return to_bytes(crops) if self.album.channels == 3 else crops.float()

    def act(self, chosen: Tensor) -> Turn:
        """One action (E,) in each episode; nothing is begun anew."""
        every = slice(None)
        before, cells = self.iou, rules.move(self.cells, chosen, self.actions)
        moved = (cells != self.cells).any(-1)
        self.cells, self.taken = cells, self.taken + 1
        self.iou = self._overlap(every)
        if self.score is not None:
            last, self.scores = (
                self.scores,
                self._score(torch.arange(self.episodes, device=chosen.device)),
            )
            width, height = (self.boxes()[:, 2:] - self.boxes()[:, :2]).unbind(-1)
            reward = rules.aesthetic_sign(last, self.scores, self.taken, width / height)
        else:
            pay = rules.iou_sign if self.reward == "iou_sign" else rules.iou_difference
            reward = pay(before, self.iou)
        terminated = chosen == self.actions.stop
        truncated = (self.taken >= self.step_limit) & ~terminated
        return Turn(reward.float(), terminated, truncated, self.iou, moved, self.taken)

    def step(self, chosen: Tensor, draw: torch.Generator) -> Turn:
        """`act`, and begin anew on a photo drawn at random what has ended. The training's step."""
        turn = self.act(chosen)
        final = self.observe(turn.truncated.nonzero().squeeze(-1)) if turn.truncated.any() else None
        turn = Turn(
            turn.reward,
            turn.terminated,
            turn.truncated,
            turn.iou.clone(),
            turn.moved,
            turn.length.clone(),
            final,
        )
        self.restart(turn.ended.nonzero().squeeze(-1), draw)
        return turn

    def _overlap(self, rows: Tensor | slice) -> Tensor:
        photo = self.photo[rows]
        return rules.overlap(
            self.boxes(rows), self.album.truths[photo], self.album.valid[photo], self.truths
        )

    def _score(self, rows: Tensor) -> Tensor:
        # A score belongs to a photo's content, so here the photos are visited one by one.
        boxes = self.boxes(rows)
        found = [
            self.score(self.album.samples[p], b[None])
            for p, b in zip(self.photo[rows], boxes, strict=True)
        ]
        return torch.cat([torch.as_tensor(score).double().reshape(1) for score in found]).to(
            self.cells.device
        )


def scene_score(sample: Sample, boxes: Tensor) -> Tensor:
    """The composed scenes' own aesthetic score without noise, (N,). Raises `CropnbError` for a real
    photo.
    """
    from cropnb.datasets.scenes import aesthetic_score

    return aesthetic_score(scene_of(sample), boxes.cpu().float())


def scene_of(sample: Sample) -> "Scene":
    """The scene behind a sample. Raises `CropnbError` for a real photo."""
    from cropnb.datasets.scenes import Scene

    scene = next(
        (part for part in getattr(sample.load_photo, "args", ()) if isinstance(part, Scene)), None
    )
    if scene is None:
        raise CropnbError(
            f"{sample.name} is no composed scene; give a callable (sample, boxes) → scores as the "
            "reward"
        )
    return scene
