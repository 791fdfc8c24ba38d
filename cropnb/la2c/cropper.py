"""Cropping with a trained agent: one photo step by step, many side by side, or asked for its one
crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cropnb import checkpoints, guards, training
from cropnb.croppers import check_aspect, largest_window, shipped
from cropnb.datasets.base import Sample
from cropnb.errors import CheckpointError, WeightsUnavailable
from cropnb.images import Photo, read_photo, to_image
from cropnb.la2c import rules
from cropnb.la2c.envs.batched import BatchedCropEnv, Outcome
from cropnb.la2c.envs.features import bank_for
from cropnb.la2c.learner import sample
from cropnb.la2c.model import Agent


@dataclass(frozen=True, eq=False)
class Episode:
    """One photo cropped in T actions.

    Attributes:
        boxes: (T + 1, 4) in pixels of the photo; the first is the whole photo.
        actions: (T,).
        probabilities: (T, A).
        values: (T,).
        rewards: (T,), NaN where no true boxes were given.
        ious: (T + 1,), NaN where no true boxes were given.
        names: of the actions, (A,).
        stopped: by the agent itself, not by the step limit.
    """

    boxes: Tensor
    actions: Tensor
    probabilities: Tensor
    values: Tensor
    rewards: Tensor
    ious: Tensor
    names: tuple[str, ...]
    stopped: bool

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

    Args:
        photo: a sample of a dataset, or what `cropnb.images.read_photo` takes.
        truths: (M, 4) true boxes in its pixels, by default those of the sample.
        match: "best" or "mean" over the true boxes.

    Raises:
        ImageError: no photo, or a side below 30 pixels.
        CropnbError: as `BatchedCropEnv`.
    """
    blind = truths is None and not isinstance(photo, Sample)
    device = next(agent.parameters()).device
    env = BatchedCropEnv(
        bank_for(agent, [_with_truths(photo, truths)], device),
        actions=actions,
        reward=reward,
        truths=match,
        step_limit=step_limit,
        size=agent.grid if agent.shared else size,
    )
    first = torch.zeros(1, dtype=torch.long, device=device)
    env.start(first, first)
    rng = training.generator(seed, "play")
    boxes, ious, steps, memory, result = [env.boxes()[0]], [env.iou[0]], [], None, None
    while result is None or not result.ended[0]:
        output = agent(env.observe(), memory)
        memory = output.memory
        chosen = sample(output.logits, rng) if sampled else output.logits.argmax(-1)
        result = env.act(chosen)
        probabilities = output.logits[0].softmax(-1)
        steps.append((chosen[0], probabilities, output.value[0], result.reward[0]))
        boxes.append(env.boxes()[0])
        ious.append(result.iou[0])
    taken, probabilities, values, rewards = (
        torch.stack(part).cpu() for part in zip(*steps, strict=True)
    )
    unknown = torch.nan if blind else 1.0
    return Episode(
        boxes=torch.stack(boxes).float().cpu(),
        actions=taken,
        probabilities=probabilities,
        values=values,
        rewards=rewards * unknown,
        ious=torch.stack(ious).float().cpu() * unknown,
        names=env.actions.names,
        stopped=bool(result.terminated[0]),
    )


def _with_truths(photo: Sample | Photo, truths: Tensor | None) -> Sample:
    """A photo as a sample; the whole of it is the true box where none is known."""
    if isinstance(photo, Sample):
        if truths is None:
            return photo
        return Sample(photo.name, *photo.size, truths, load_photo=photo.load_photo)
    picture = read_photo(photo)
    boxes = torch.tensor([0.0, 0.0, *picture.size]) if truths is None else torch.as_tensor(truths)
    boxes = boxes.float().reshape(-1, 4)
    return Sample("the photo", *picture.size, boxes, load_photo=lambda: picture)


@torch.no_grad()
def play_all(
    agent: Agent,
    env: BatchedCropEnv,
    photos: Sequence[int] | None = None,
    step_limits: Sequence[int] | None = None,
) -> Outcome | dict[int, Outcome]:
    """Crop many photos greedily, `env.episodes` side by side; with `step_limits`, also where each
    would have cut off.

    Args:
        env: says the rules; its running episodes are lost.
        photos: indices into its bank, by default all.
    """
    photos = list(range(len(env.bank))) if photos is None else list(photos)
    limits = [env.step_limit] if step_limits is None else list(step_limits)
    ends: dict[int, list[tuple[Tensor, ...]]] = {limit: [] for limit in limits}
    device = env.photo.device
    for start in range(0, len(photos), env.episodes):
        part = torch.tensor(photos[start : start + env.episodes], device=device)
        rows = torch.arange(len(part), device=device)
        env.start(rows, part)
        memory, going = None, torch.ones(len(part), dtype=torch.bool, device=device)
        stay = torch.full((env.episodes,), env.actions.stop, device=device)
        steps = torch.zeros(len(part), dtype=torch.long, device=device)
        for step in range(1, max(limits) + 1):
            active = going.nonzero().squeeze(-1)
            if len(active):
                past = None if memory is None else tuple(value[active] for value in memory)
                output = agent(env.observe(active), past)
                chosen = stay.clone()  # those that have ended stay where they are
                chosen[active] = output.logits.argmax(-1)
                env.act(chosen)
                if output.memory is not None:
                    memory = memory or tuple(
                        one.new_zeros(len(part), one.shape[1]) for one in output.memory
                    )
                    pairs = zip(memory, output.memory, strict=True)
                    memory = tuple(old.index_copy(0, active, new) for old, new in pairs)
                steps[active] = step
                going = going & (chosen[: len(part)] != env.actions.stop)
            if step in ends:
                ends[step].append((env.boxes(rows).cpu(), steps.cpu().clone(), ~going.cpu()))
    outcomes = {
        limit: Outcome(*(torch.cat(values) for values in zip(*parts, strict=True)))
        for limit, parts in ends.items()
    }
    return outcomes[limits[0]] if step_limits is None else outcomes


def mean_iou(outcome: Outcome, env: BatchedCropEnv) -> float:
    """The mean over photos of the IoU that the environment pays for."""
    truths, valid = env.bank.truths.cpu(), env.bank.valid.cpu()
    return float(rules.overlap(outcome.boxes, truths, valid, env.truths).mean())


class StepCropper:
    """A proposing method: one crop a photo; of a required ratio, the largest window there."""

    name = "la2c"
    shared = True  # threads may ask it at a time

    def __init__(self, agent: Agent) -> None:
        self.agent, self.card = agent, agent.card

    @torch.inference_mode()
    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, None]:
        """A photo (3, H, W) in 0…1 → its crop (1, 4) in pixels.

        Raises:
            ImageError: a side below 30 pixels.
        """
        size = (image.shape[-1], image.shape[-2])
        return self.propose_all([image], [size], [aspect])[0]

    @torch.inference_mode()
    def propose_all(
        self,
        seen: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        aspects: Sequence[float | None],
    ) -> list[tuple[Tensor, None]]:
        """`propose` for photos of these sizes (width, height), of which the agent is shown `seen`;
        all are cropped side by side.
        """
        rules = rules_of(self.agent)
        device = next(self.agent.parameters()).device
        env = BatchedCropEnv(
            bank_for(self.agent, [_with_truths(to_image(image), None) for image in seen], device),
            episodes=len(seen),
            actions=rules["actions"],
            step_limit=rules["step_limit"],
            size=self.agent.grid if self.agent.shared else rules["size"],
        )
        answers = []
        shown = play_all(self.agent, env).boxes.float()  # (B, 4) in pixels of what is seen
        for box, image, size, aspect in zip(shown, seen, sizes, aspects, strict=True):
            box = box * box.new_tensor([size[0] / image.shape[-1], size[1] / image.shape[-2]] * 2)
            if aspect is not None:
                box = window_around(box, aspect, *size)
            answers.append((box[None], None))
        return answers


def window_around(box: Tensor, aspect: float, width: int, height: int) -> Tensor:
    """The largest window (4,) of a ratio in the photo, as near to a box's (4,) centre as the
    photo's borders let it.
    """
    check_aspect(aspect, width, height)
    sides = box.new_tensor(largest_window(width, height, aspect))
    centre = (box[:2] + box[2:]) / 2
    corner = torch.minimum(
        (centre - sides / 2).clamp(min=0), box.new_tensor([width, height]) - sides
    )
    return torch.cat([corner, corner + sides])


def rules_of(agent: Agent) -> dict[str, object]:
    """What `play` has to know of how an agent was trained, from its card."""
    return {name: agent.card[name] for name in ("actions", "step_limit", "size")}


def load_agent(weights: str | Path | None = None, device: str = "cpu") -> Agent:
    """A trained agent: of a checkpoint, or the one that comes with the package. `agent.card` says
    how it was trained.

    Raises:
        WeightsUnavailable: there are no weights.
        CheckpointError: damaged weights, or those of another method.
    """
    path = Path(weights) if weights is not None else shipped("la2c", "scenes")
    if not path.exists():
        raise WeightsUnavailable(
            f"no weights of la2c at {path}; train them: python -m cropnb.la2c --profile cpu"
        )
    state, card = checkpoints.load_weights(path, "la2c")
    with guards.fields(path):
        arguments = dict(card["agent"])
        actions = rules.ACTIONS[card["actions"]]
        guards.whole(card, "step_limit", 1, 10_000)
        guards.whole(card, "size", 32, 4096)
        if arguments.get("mirror") not in (None, actions.mirror()):
            raise CheckpointError(f"{path} has a card with a mirror of other actions")
        if arguments.get("actions", len(actions)) != len(actions):
            raise CheckpointError(f"{path} has a card that doesn't fit {card['actions']}'s actions")
    agent = guards.build(path, lambda: Agent(weights=None, **arguments), state)
    checkpoints.load_into(agent, state, path)
    fused = agent.for_inference().to(device)
    fused.card = card
    return fused
