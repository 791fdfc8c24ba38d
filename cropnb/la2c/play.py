"""Cropping with a trained agent: one photo step by step, or many side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cropnb import training
from cropnb.datasets.base import CropDataset, Sample
from cropnb.images import Photo, read_photo
from cropnb.la2c import rules
from cropnb.la2c.features import FeatureAlbum
from cropnb.la2c.game import Game
from cropnb.la2c.learner import sample
from cropnb.la2c.model import Agent
from cropnb.la2c.observe import Album


@dataclass(frozen=True, eq=False)
class Episode:
    """One photo cropped in T actions. Boxes are in pixels of the photo; `boxes[0]` is the whole
    photo.

    rewards and ious are NaN where no true boxes were given.
    """

    boxes: Tensor  # (T + 1, 4)
    actions: Tensor  # (T,)
    probabilities: Tensor  # (T, A)
    values: Tensor  # (T,)
    rewards: Tensor  # (T,)
    ious: Tensor  # (T + 1,)
    names: tuple[str, ...]  # of the actions, (A,)
    stopped: bool  # by the agent itself, not by the step limit

    @property
    def box(self) -> Tensor:
        """The crop, (4,)."""
        return self.boxes[-1]

    def __len__(self) -> int:
        return len(self.actions)


@torch.no_grad()
def play(
    agent: Agent,
    photo: Sample | Photo,
    truths: Tensor | None = None,
    *,
    actions: str | rules.ActionSet = "la2c",
    reward: object = "iou_sign",
    match: str = "best",
    step_limit: int = rules.STEP_LIMIT,
    size: int = 224,
    sampled: bool = False,
    seed: int = 0,
) -> Episode:
    """Crop one photo, each time by the most probable action, or by drawn ones with `sampled`.

    photo: a sample of a dataset, or what `cropnb.images.read_photo` takes. truths (M, 4): true
        boxes in its pixels, by
        default those of the sample. match: "best" or "mean". Raises as `Game`, and `ImageError` for
        no photo.
    """
    if isinstance(photo, Sample):
        item = (
            photo
            if truths is None
            else Sample(photo.name, *photo.size, truths, load_photo=photo.load_photo)
        )
    else:
        picture = read_photo(photo)
        known = (
            torch.tensor([[0.0, 0.0, *picture.size]])
            if truths is None
            else torch.as_tensor(truths).float()
        )
        item = Sample("the photo", *picture.size, known.reshape(-1, 4), load_photo=lambda: picture)
    blind = truths is None and not isinstance(photo, Sample)
    device = next(agent.parameters()).device
    game = Game(
        album_for(agent, [item], str(device)),
        actions=actions,
        reward=reward,
        truths=match,
        step_limit=step_limit,
        size=agent.grid if agent.shared else size,
    )
    first = torch.zeros(1, dtype=torch.long, device=device)
    game.start(first, first)
    draw = training.generator(seed, "play")
    boxes, ious, lines, memory = [game.boxes()[0]], [game.iou[0]], [], None
    while True:
        answer = agent(game.observe(), memory)
        memory = answer.memory
        chosen = sample(answer.logits, draw) if sampled else answer.logits.argmax(-1)
        turn = game.act(chosen)
        lines.append((chosen[0], answer.logits[0].softmax(-1), answer.value[0], turn.reward[0]))
        boxes.append(game.boxes()[0])
        ious.append(turn.iou[0])
        if turn.ended[0]:
            break
    taken, probabilities, values, rewards = (
        torch.stack(part).cpu() for part in zip(*lines, strict=True)
    )
    overlaps = torch.stack(ious).float().cpu()
    if blind:
        rewards, overlaps = rewards * torch.nan, overlaps * torch.nan
    stopped = bool(turn.terminated[0])
    return Episode(
        torch.stack(boxes).float().cpu(),
        taken,
        probabilities,
        values,
        rewards,
        overlaps,
        game.actions.names,
        stopped,
    )


def album_for(agent: Agent, samples: Sequence[Sample] | CropDataset, device: str = "cpu") -> Album:
    """What an agent plays on: photos, or their feature maps where its backbone is shared."""
    return FeatureAlbum(samples, agent, device) if agent.shared else Album(samples, device)


@dataclass(frozen=True)
class Outcome:
    """Where greedy episodes end, a photo each: boxes (N, 4) in pixels, steps (N,), and whether the
    agent stopped.
    """

    boxes: Tensor
    steps: Tensor
    stopped: Tensor


@torch.no_grad()
def play_all(
    agent: Agent,
    game: Game,
    photos: Sequence[int] | None = None,
    step_limits: Sequence[int] | None = None,
) -> Outcome | dict[int, Outcome]:
    """Crop many photos greedily, `game.episodes` side by side; with `step_limits`, also where each
    would have cut off.

    game: says the rules; its running episodes are lost. photos: indices into its album, by default
        all.
    """
    photos = list(range(len(game.album))) if photos is None else list(photos)
    limits = [game.step_limit] if step_limits is None else list(step_limits)
    found = {limit: [] for limit in limits}
    device = game.photo.device
    for start in range(0, len(photos), game.episodes):
        part = torch.tensor(photos[start : start + game.episodes], device=device)
        rows = torch.arange(len(part), device=device)
        game.start(rows, part)
        memory, going = None, torch.ones(len(part), dtype=torch.bool, device=device)
        ended = torch.full((game.episodes,), game.actions.stop, device=device)
        steps = torch.zeros(len(part), dtype=torch.long, device=device)
        for step in range(1, max(limits) + 1):
            active = going.nonzero().squeeze(-1)
            if len(active):
                kept = None if memory is None else tuple(value[active] for value in memory)
                answer = agent(game.observe(active), kept)
                chosen = ended.clone()  # those that have ended stay where they are
                chosen[active] = answer.logits.argmax(-1)
                game.act(chosen)
                if answer.memory is not None:
                    memory = memory or tuple(
                        torch.zeros(len(part), v.shape[1], device=device) for v in answer.memory
                    )
                    memory = tuple(
                        m.index_copy(0, active, v)
                        for m, v in zip(memory, answer.memory, strict=True)
                    )
                steps[active] = step
                going = going & (chosen[: len(part)] != game.actions.stop)
            if step in found:
                found[step].append((game.boxes(rows).cpu(), steps.cpu().clone(), ~going.cpu()))
    outcomes = {
        limit: Outcome(*(torch.cat(values) for values in zip(*parts, strict=True)))
        for limit, parts in found.items()
    }
    return outcomes[limits[0]] if step_limits is None else outcomes
