"""LA2C's losses (Eq. 2 to 5), and the return R_t that two of them take (Eq. 3 and 4)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def discounted_returns(rewards: Tensor, ended: Tensor, last_values: Tensor, gamma: float) -> Tensor:
    """R_t = r_t + γ R_{t+1}, backwards from the value of the state after the rollout.

    The paper calls R_t the reward; its losses (Eq. 3 and 4) need the return.

    Args:
        rewards: (T, B).
        ended: (T, B) true where the episode ended with the step, so that nothing of the next one
            flows in.
        last_values: (B,) V of the state after the last step.

    Returns:
        (T, B).
    """
    returns, following = torch.empty_like(rewards), last_values
    for step in reversed(range(len(rewards))):
        following = rewards[step] + gamma * following * ~ended[step]  # (B,)
        returns[step] = following
    return returns


def action_loss(log_probabilities: Tensor, returns: Tensor, values: Tensor) -> Tensor:
    """−log p(a_t | s_t) (R_t − V(s_t)) (Eq. 3), the mean over the rollout; all (...). V is a
    constant here.
    """
    return -(log_probabilities * (returns - values).detach()).mean()


def value_loss(returns: Tensor, values: Tensor) -> Tensor:
    """(R_i − V(s_i))², the mean over the rollout (Eq. 4); both (...)."""
    return F.mse_loss(values, returns)


def entropy(logits: Tensor) -> Tensor:
    """H(p(s_t)) in nats (Eq. 5), the mean over the rollout; logits (..., A)."""
    logged = F.log_softmax(logits, -1)  # (..., A)
    return -(logged.exp() * logged).sum(-1).mean()


def total_loss(
    logits: Tensor,
    values: Tensor,
    actions: Tensor,
    returns: Tensor,
    value_weight: float,
    entropy_weight: float,
) -> Mapping[str, Tensor]:
    """loss_action + λ loss_value − β loss_dist (Eq. 2), and its parts.

    Args:
        logits: (..., A).
        values: (...).
        actions: (...) those that were taken.
        returns: (...).
        value_weight: λ.
        entropy_weight: β.
    """
    chosen = F.log_softmax(logits, -1).gather(-1, actions[..., None]).squeeze(-1)  # (...)
    parts = {
        "action": action_loss(chosen, returns, values),
        "value": value_loss(returns, values),
        "entropy": entropy(logits),
    }
    total = parts["action"] + value_weight * parts["value"] - entropy_weight * parts["entropy"]
    return {"loss": total, **parts}


def probabilities(logits: Tensor) -> Tensor:
    """p(a | s), (..., A)."""
    return torch.softmax(logits, -1)
