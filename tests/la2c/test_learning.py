"""Losses, gradients and training: against Stable-Baselines3, by hand, and after a kill."""

import math

import gymnasium
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cropnb import checkpoints, datasets, training
from cropnb.errors import CheckpointError, CropnbError, TrainingError
from cropnb.la2c import learner, losses
from cropnb.la2c.envs.banks import ImageBank
from cropnb.la2c.envs.batched import BatchedCropEnv, StepResult
from cropnb.la2c.learner import Learner, Rollout, Settings
from cropnb.la2c.model import Agent, PolicyOutput, reset_memory


class Cart(nn.Module):
    """Gymnasium's CartPole as the learner's environment: a small control task that has nothing to
    do with crops.
    """

    def __init__(self, episodes: int, seed: int = 0, limit: int = 200) -> None:
        super().__init__()
        self.episodes, self.limit = episodes, limit
        self.envs = [
            gymnasium.make("CartPole-v1", max_episode_steps=limit) for _ in range(episodes)
        ]
        self.observations, self.length = (
            torch.zeros(episodes, 4),
            torch.zeros(episodes, dtype=torch.long),
        )
        for index, env in enumerate(self.envs):
            self.observations[index] = torch.from_numpy(env.reset(seed=seed + index)[0])
        self.finished: list[int] = []

    def observe(self) -> Tensor:
        return self.observations.clone()

    def restart(self, rows: Tensor, rng: torch.Generator) -> None:
        pass

    def step(self, chosen: Tensor, rng: torch.Generator) -> StepResult:
        self.length += 1
        reward = torch.zeros(self.episodes)
        ended = torch.zeros(2, self.episodes, dtype=torch.bool)
        final, length = [], self.length.clone()
        for index, env in enumerate(self.envs):
            now, reward[index], ended[0, index], ended[1, index], _ = env.step(int(chosen[index]))
            if ended[:, index].any():
                if not ended[0, index]:
                    final.append(torch.from_numpy(now))
                self.finished.append(int(self.length[index]))
                self.length[index] = 0
                now = env.reset()[0]
            self.observations[index] = torch.from_numpy(now)
        final = torch.stack(final) if final else None
        return StepResult(reward, ended[0], ended[1] & ~ended[0], reward, reward > 0, length, final)


class Small(nn.Module):
    """Policy and value of CartPole, each with two layers of 64, as Stable-Baselines3's MlpPolicy
    has them.
    """

    def __init__(self) -> None:
        super().__init__()

        def layers(out: int, gain: float) -> nn.Sequential:
            net = nn.Sequential(
                nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, out)
            )
            for layer, size in zip(net[::2], (2**0.5, 2**0.5, gain), strict=True):
                nn.init.orthogonal_(layer.weight, size)
                nn.init.zeros_(layer.bias)
            return net

        self.policy, self.critic = layers(2, 0.01), layers(1, 1.0)

    def forward(self, observations: Tensor, memory: None = None) -> PolicyOutput:
        return PolicyOutput(self.policy(observations), self.critic(observations)[:, 0], None)


def test_losses_and_gradients_are_stable_baselines():
    """One rollout of SB3's A2C on CartPole: its returns, its loss terms and every gradient, from
    our functions.
    """
    baselines = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.vec_env import DummyVecEnv

    # A limit of 9 steps cuts episodes off inside the rollout, so that bootstrapping over a cut-off
    # is compared too.
    vector = DummyVecEnv([lambda: gymnasium.make("CartPole-v1", max_episode_steps=9)] * 3)
    model = baselines.A2C(
        "MlpPolicy", vector, n_steps=16, gamma=0.9, ent_coef=0.02, vf_coef=0.4, seed=0
    )
    caught = {}
    model.train = lambda: None
    model.learn(48)
    buffer = model.rollout_buffer
    start = torch.from_numpy(buffer.episode_starts).bool()
    ended = torch.cat([start[1:], torch.from_numpy(model._last_episode_starts)[None]])
    assert ended.any()
    with torch.no_grad():
        last = model.policy.predict_values(torch.from_numpy(model._last_obs)).squeeze(-1)
    returns = losses.discounted_returns(torch.from_numpy(buffer.rewards), ended, last, 0.9)
    np.testing.assert_allclose(returns.numpy(), buffer.returns, atol=1e-5)

    data = next(buffer.get(batch_size=None))
    values, chances, entropies = model.policy.evaluate_actions(
        data.observations, data.actions.long().flatten()
    )
    advantages = data.returns - data.old_values
    terms = {
        "action": -(advantages * chances).mean(),
        "value": F.mse_loss(data.returns, values.flatten()),
        "entropy": entropies.mean(),
    }
    theirs = terms["action"] + 0.4 * terms["value"] - 0.02 * terms["entropy"]
    theirs.backward()
    gradients = {name: value.grad.clone() for name, value in model.policy.named_parameters()}

    model.policy.zero_grad()
    flat = torch.from_numpy(buffer.observations).reshape(-1, 4)
    latent, other = model.policy.mlp_extractor(flat)
    logits, critic = model.policy.action_net(latent), model.policy.value_net(other).squeeze(-1)
    actions = torch.from_numpy(buffer.actions).long().reshape(-1)
    flat_returns = torch.from_numpy(buffer.returns).reshape(-1)
    ours = losses.total_loss(logits, critic, actions, flat_returns, 0.4, 0.02)
    for name, value in terms.items():
        assert ours[name].item() == pytest.approx(value.item(), abs=1e-5)
        caught[name] = abs(value.item())
    # none of the terms is zero, or the comparison would say little
    assert min(caught.values()) > 1e-3
    ours["loss"].backward()
    for name, value in model.policy.named_parameters():
        torch.testing.assert_close(value.grad, gradients[name], atol=1e-5, rtol=1e-5)
        assert gradients[name].abs().max() > 0


def test_returns_by_hand():
    rewards = torch.tensor([[1.0], [2.0], [4.0]])
    ended = torch.tensor([[False], [True], [False]])
    returns = losses.discounted_returns(rewards, ended, torch.tensor([10.0]), 0.5)
    assert returns.flatten().tolist() == [1 + 0.5 * 2, 2, 4 + 0.5 * 10]


def test_losses_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])).requires_grad_()
    values = torch.tensor([1.0, -1.0], requires_grad=True)
    parts = losses.total_loss(
        logits, values, torch.tensor([0, 1]), torch.tensor([2.0, 0.0]), 0.5, 0.1
    )
    assert parts["action"].item() == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2)
    assert parts["value"].item() == pytest.approx(1.0)
    wanted = (
        -(0.5 * math.log(0.5) + 0.5 * math.log(0.25) + 0.8 * math.log(0.8) + 0.2 * math.log(0.1))
        / 2
    )
    assert parts["entropy"].item() == pytest.approx(wanted)
    assert parts["loss"].item() == pytest.approx(parts["action"].item() + 0.5 - 0.1 * wanted)
    # The action loss (Eq. 3) moves the policy, not the value: the advantage is a constant in it.
    (through,) = torch.autograd.grad(parts["action"], values, allow_unused=True, retain_graph=True)
    assert through is None
    # A positive advantage makes the action that was taken likelier, and entropy is to be raised.
    (slope,) = torch.autograd.grad(parts["action"], logits, retain_graph=True)
    assert slope[0, 0] < 0
    (slope,) = torch.autograd.grad(-0.1 * parts["entropy"], logits)
    assert slope[1, 1] > 0


@pytest.mark.parametrize("cut_off", [True, False])
def test_a_cut_off_is_bootstrapped_and_a_stop_is_not(cut_off: bool):
    class Once(nn.Module):
        episodes = 1

        def observe(self) -> Tensor:
            return torch.tensor([[5.0]])

        def step(self, chosen: Tensor, rng: torch.Generator) -> StepResult:
            ended = torch.tensor([True])
            final = torch.tensor([[7.0]]) if cut_off else None
            return StepResult(
                torch.ones(1),
                ended ^ cut_off,
                ended & cut_off,
                ended.float(),
                ended,
                ended.long(),
                final,
            )

    def agent(observations: Tensor, memory: None) -> PolicyOutput:
        return PolicyOutput(torch.zeros(1, 2), observations[:, 0], None)

    rollout = learner.roll_out(agent, Once(), None, 2, 0.5, torch.Generator())
    assert rollout.rewards.flatten().tolist() == [1 + 0.5 * 7 * cut_off] * 2
    returns = losses.discounted_returns(rollout.rewards, rollout.ended, rollout.last_values, 0.5)
    torch.testing.assert_close(returns, rollout.rewards)  # nothing of the next episode flows in


def test_actions_are_drawn_with_their_probabilities():
    logits = torch.log(torch.tensor([0.7, 0.2, 0.1])).expand(20_000, 3)
    drawn = learner.sample(logits, torch.Generator().manual_seed(0)).bincount() / 20_000
    torch.testing.assert_close(drawn, torch.tensor([0.7, 0.2, 0.1]), atol=0.01, rtol=0)


@pytest.mark.slow
def test_it_learns_a_control_task_as_well_as_stable_baselines():
    baselines = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_util import make_vec_env

    steps, ours, theirs = 16_000, [], []
    for seed in (0, 1):
        torch.manual_seed(seed)
        cart = Cart(8, seed)
        settings = Settings(
            updates=steps // 40,
            environments=8,
            rollout=5,
            gamma=0.99,
            entropy_weight=0.0,
            learning_rate=2e-3,
            schedule="constant",
        )
        learner.train(Small(), cart, settings, seed=seed, progress=False)
        ours.append(np.mean(cart.finished[-40:]))
        vector = make_vec_env("CartPole-v1", 8, seed=seed, env_kwargs={"max_episode_steps": 200})
        model = baselines.A2C("MlpPolicy", vector, seed=seed, device="cpu").learn(steps)
        theirs.append(np.mean([episode["l"] for episode in model.ep_info_buffer][-40:]))
    assert min(ours) > 60  # a random policy holds the pole for about 22 steps
    assert np.mean(ours) > np.mean(theirs) - 40


@pytest.fixture(scope="module")
def bank() -> ImageBank:
    return ImageBank(datasets.load("scenes", "train", form="fcdb", size=4))


SETTINGS = Settings(
    updates=6,
    environments=3,
    rollout=2,
    gamma=0.5,
    entropy_weight=0.05,
    learning_rate=1e-3,
    validate_every=3,
)


def small(memory: str = "none") -> Agent:
    """Only the last unit of the backbone learns, to save time."""
    torch.manual_seed(0)
    shape = {"lstm": memory != "none", "whole": memory == "whole"}
    agent = Agent(weights=None, dropout=0.3, **shape)
    agent.backbone.units[:18].requires_grad_(False)
    return agent


def run(
    bank: ImageBank, folder: object = None, memory: str = "none", **options: object
) -> tuple[Agent, checkpoints.History]:
    agent = small(memory)
    env = BatchedCropEnv(bank, 3, size=32, step_limit=3)
    history = learner.train(
        agent,
        env,
        SETTINGS,
        folder,
        seed=1,
        progress=False,
        validate=lambda: float(agent.policy.weight.detach().sum()),
        **options,
    )
    return agent, history


@pytest.mark.parametrize("saved", ["after each update", "once"])
@pytest.mark.parametrize("memory", ["none", "lstm", "whole"])
def test_a_killed_run_ends_with_the_same_bits(
    bank: ImageBank, tmp_path, monkeypatch, memory: str, saved: str
):
    whole, history = run(bank, memory=memory)
    assert history.column("episodes").sum() > 0
    if saved == "once":  # what was played since is lost, and has to be played again
        assert run(bank, tmp_path, memory, max_steps=3)[1].steps == history.steps[:3]

    def kill(rollout: Rollout, settings: Settings) -> None:
        kill.left -= 1
        if not kill.left:
            raise KeyboardInterrupt
        return loss(rollout, settings)

    loss, kill.left = Rollout.loss, 5 if saved == "after each update" else 3
    with monkeypatch.context() as patch:
        patch.setattr(Rollout, "loss", kill)
        with pytest.raises(KeyboardInterrupt):
            run(bank, tmp_path, memory, save_every=0.0 if saved == "after each update" else 100.0)
    resumed, again = run(bank, tmp_path, memory)
    assert again.steps == history.steps
    assert again.validation == history.validation
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    # One more run finds everything done, and other settings are refused.
    assert run(bank, tmp_path, memory)[1].steps == history.steps
    env = BatchedCropEnv(bank, 3, size=32, step_limit=3)
    with pytest.raises(CheckpointError, match="another recipe"):
        learner.train(small(memory), env, Settings(7, 3, 2), tmp_path, progress=False)


def test_the_agent_of_the_best_score_is_what_is_kept(bank: ImageBank, tmp_path):
    states, agent = [], small()

    def validate() -> float:
        states.append({name: value.clone() for name, value in agent.state_dict().items()})
        return -len(states)  # the first is the best

    env = BatchedCropEnv(bank, 3, size=32, step_limit=3)
    learner.train(agent, env, SETTINGS, tmp_path, validate=validate, progress=False)
    best = checkpoints.load_weights(tmp_path / checkpoints.BEST_FILE)[0]
    assert best.keys() == agent.state_dict().keys()
    assert all(torch.equal(best[name], value) for name, value in states[0].items())
    assert not torch.equal(best["policy.weight"], agent.policy.weight)


def test_an_update_that_gives_no_number_leaves_no_trace(bank: ImageBank, tmp_path, monkeypatch):
    """The state that is saved when a loss is no number is that of the updates before it."""
    _, history = run(bank)
    loss, calls = Rollout.loss, []

    def broken(rollout: Rollout, settings: Settings) -> dict[str, Tensor]:
        calls.append(rollout)
        parts = loss(rollout, settings)
        return {**parts, "loss": parts["loss"] * (torch.nan if len(calls) == 4 else 1)}

    with monkeypatch.context() as patch:
        patch.setattr(Rollout, "loss", broken)
        with pytest.raises(TrainingError, match="step 4"):
            run(bank, tmp_path)
    assert run(bank, tmp_path)[1].steps == history.steps


def test_the_updates_have_to_be_a_multiple_of_those_between_validations():
    with pytest.raises(CropnbError, match="divisor"):
        Settings(7, validate_every=3).recipe(0)
    recipe = Settings(12, validate_every=3).recipe(5)
    assert (recipe.epochs, recipe.seed) == (4, 5)
    assert Settings(12).recipe(0).epochs == 1


def test_the_rate_falls_linearly_to_zero(bank: ImageBank):
    state = Learner(small(), BatchedCropEnv(bank, 3, size=32), SETTINGS, seed=1)
    optimizer, rates = state.optimizer(), []
    optimizer.register_step_pre_hook(lambda one, *_: rates.append(one.param_groups[0]["lr"]))
    training.train(
        state,
        state.loss,
        SETTINGS.epoch_updates,
        SETTINGS.recipe(1),
        optimizer=optimizer,
        best=state.agent,
        progress=False,
    )
    assert rates == pytest.approx([1e-3 * (1 - done / 6) for done in range(6)])


def test_what_is_frozen_stays(bank: ImageBank):
    before, after = small().state_dict(), run(bank)[0].state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"policy.weight", "value.weight", "policy.bias"} <= changed
    assert not any(
        name.startswith(f"backbone.units.{unit}.") for unit in range(18) for name in changed
    )


def test_features_are_hidden_in_training_only():
    torch.manual_seed(0)
    agent, maps = Agent(weights=None, shared=True, neck=8, dropout=0.5), torch.rand(2, 96, 6, 6)
    nn.init.normal_(agent.value.weight)
    assert not torch.equal(agent.act(maps).value, agent.act(maps).value)
    agent.eval()
    value = agent.act(maps).value
    assert torch.equal(value, agent.act(maps).value)
    agent.dropout = 0.0
    assert torch.equal(value, agent.act(maps).value)


def test_fusing_changes_no_answer():
    torch.manual_seed(0)
    agent = Agent(weights=None).eval()
    nn.init.normal_(agent.policy.weight)
    crops = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    wanted = agent(crops).logits
    assert wanted.shape == (2, 9)
    torch.testing.assert_close(agent(crops.float() / 255).logits, wanted)
    torch.testing.assert_close(agent.for_inference()(crops).logits, wanted, atol=1e-4, rtol=1e-4)


def test_an_ended_episode_is_forgotten():
    memory = (torch.ones(3, 2), torch.ones(3, 2))
    assert reset_memory(memory, torch.tensor([False, True, False]))[0][:, 0].tolist() == [1, 0, 1]
    assert reset_memory(None, torch.tensor([True])) is None


def test_the_number_of_environments_has_to_fit(bank: ImageBank):
    with pytest.raises(CropnbError, match="16 environments"):
        learner.train(Agent(weights=None), BatchedCropEnv(bank, 3, size=32), Settings(1))


def test_means_an_episode():
    history = checkpoints.History(names=("loss", "episodes", "iou"))
    for episodes, iou in ((2, 1.0), (0, 0.0), (1, 0.8), (1, 0.4)):
        history.steps.append((0, episodes, iou))
    assert learner.per_episode(history, "iou", 2).tolist() == pytest.approx([0.5, 0.6])


def test_the_rollout_gives_the_losses_of_its_parts():
    rng = torch.Generator().manual_seed(0)
    logits, values = torch.randn(2, 3, 4, generator=rng), torch.randn(2, 3, generator=rng)
    parts = (
        torch.zeros(2, 3, dtype=torch.long),
        torch.ones(2, 3),
        torch.zeros(2, 3).bool(),
        torch.zeros(3),
    )
    rollout = Rollout(logits, values, *parts, None, *torch.zeros(3))
    returns = torch.tensor([1.5, 1.0])[:, None].expand(2, 3)
    wanted = losses.total_loss(logits, values, parts[0], returns, 0.7, 0.2)
    ours = rollout.loss(Settings(1, gamma=0.5, value_weight=0.7, entropy_weight=0.2))
    assert ours["loss"].item() == pytest.approx(wanted["loss"].item())
