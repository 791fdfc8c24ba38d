"""Asking a trained agent for a crop: it proposes the one box that it stops at."""

from pathlib import Path

import torch
from torch import Tensor

from cropnb import checkpoints, guards
from cropnb.croppers import check_aspect, largest_window, shipped
from cropnb.errors import CheckpointError, WeightsUnavailable
from cropnb.images import to_image
from cropnb.la2c.model import Agent
from cropnb.la2c.play import play
from cropnb.la2c.rules import ACTIONS


class StepCropper:
    """A proposing method. It finds one crop a photo; of a required ratio, the largest window there."""

    name = "la2c"
    shared = True  # threads may ask it at a time

    def __init__(self, agent: Agent) -> None:
        self.agent, self.card = agent, agent.card

    @torch.inference_mode()
    def propose(self, image: Tensor, aspect: float | None = None) -> tuple[Tensor, None]:
        """A photo (3, H, W) in 0…1 → its crop (1, 4) in pixels. Raises `ImageError` for a side
        below 30 pixels.
        """
        episode = play(self.agent, to_image(image), **rules_of(self.agent))
        if aspect is None:
            return episode.box[None], None
        return window_around(episode.box, aspect, image.shape[-1], image.shape[-2])[None], None


def window_around(box: Tensor, aspect: float, width: int, height: int) -> Tensor:
    """The largest window (4,) of a ratio in the photo, as near to a box's (4,) centre as the
    photo's borders let it.
    """
    check_aspect(aspect, width, height)
    sides, limit = (
        box.new_tensor(largest_window(width, height, aspect)),
        box.new_tensor([width, height]),
    )
    corner = torch.minimum(((box[:2] + box[2:]) / 2 - sides / 2).clamp(min=0), limit - sides)
    return torch.cat([corner, corner + sides])


def rules_of(agent: Agent) -> dict[str, object]:
    """What `play` has to know of how an agent was trained, from its card."""
    return {
        "actions": agent.card["actions"],
        "step_limit": agent.card["step_limit"],
        "size": agent.card["size"],
    }


def load_agent(weights: str | Path | None, device: str) -> Agent:
    """See `cropnb.la2c.load_agent`."""
    path = Path(weights) if weights is not None else shipped("la2c")
    if not path.exists():
        raise WeightsUnavailable(
            f"no weights of la2c at {path}; train them: python -m cropnb.la2c --profile cpu"
        )
    state, card = checkpoints.load_weights(path, "la2c")
    with guards.fields(path):
        arguments = dict(card["agent"])
        actions = ACTIONS[card["actions"]]
        guards.whole(card, "step_limit", 1, 10_000)
        guards.whole(card, "size", 32, 4096)
        if arguments.get("mirror") not in (None, actions.mirror()):
            raise CheckpointError(f"{path} has a card with a mirror of other actions")
        if arguments.get("actions", len(actions)) != len(actions):
            raise CheckpointError(f"{path} has a card that doesn't fit {card['actions']}'s actions")
    agent = guards.build(path, lambda: Agent(weights=None, **arguments), state)
    checkpoints.load_into(agent, state, path)
    agent.card = card
    fused = agent.for_inference().to(device)
    fused.card = card
    return fused
