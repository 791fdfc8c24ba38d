"""The training loop: it learns, it repeats, and a kill costs it nothing."""

import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from cropnb import checkpoints, files, training
from cropnb.errors import CheckpointError

sys.path.insert(0, str(Path(__file__).parent))
import kill_target


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def test_the_loss_falls():
    _, history = kill_target.run(None)
    losses = history.column("loss")
    assert len(losses) == 72
    assert losses[-12:].mean() < 0.8 * losses[:12].mean()
    assert len(history.validation) == 6


def test_a_seed_gives_the_same_bits_and_another_seed_others():
    first, second = kill_target.run(None)[0].state_dict(), kill_target.run(None)[0].state_dict()
    assert same(first, second)
    recipe = kill_target.RECIPE
    try:
        kill_target.RECIPE = replace(recipe, seed=8)
        assert not same(first, kill_target.run(None)[0].state_dict())
    finally:
        kill_target.RECIPE = recipe


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_no_bit(tmp_path):
    random.seed(0)
    kills, started = 0, time.monotonic()
    command = [sys.executable, kill_target.__file__, str(tmp_path)]
    final = tmp_path / "final.safetensors"
    while kills < 10:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            # Short of the 0.7 seconds that are left to do at first, and shorter as the run gets on.
            time.sleep(random.uniform(0.0, 0.12))
            process.kill()
        kills += 1
        assert time.monotonic() - started < 300
        assert not final.exists()
        if (tmp_path / checkpoints.RUN_FILE).exists():
            # whole, whatever the moment was
            with safe_open(tmp_path / checkpoints.RUN_FILE, "pt") as stream:
                assert "step" in stream.metadata()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    killed, _ = checkpoints.load_weights(final, "trial")
    unbroken, history = kill_target.run(None)
    assert same(unbroken.state_dict(), killed)
    _, resumed = kill_target.run(tmp_path)  # nothing is left to do, and the whole history is there
    assert resumed.steps == history.steps
    assert resumed.validation == history.validation


def test_stopping_early_and_going_on_changes_no_bit(tmp_path):
    class Stop(Exception):
        pass

    unbroken = kill_target.run(None)[0].state_dict()
    for allowed in (5, 30, 1000):
        counter = iter(range(allowed))
        original = torch.optim.Adam.step

        def step(self, *arguments, counter=counter, original=original):
            if next(counter, None) is None:
                raise Stop
            return original(self, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim.Adam, "step", step)
            try:
                model, _ = kill_target.run(tmp_path)
            except Stop:
                continue
    assert same(unbroken, model.state_dict())


def test_a_channels_last_model_goes_on_with_the_same_bits(tmp_path):
    """The fused Adam walks through memory, so what was read has to lie there as the model does."""

    def run(folder, max_steps=None):
        torch.manual_seed(0)
        model = nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)

        def loss(batch, rng):
            return {"loss": model(torch.randn(2, 3, 9, 9, generator=rng)).square().mean()}

        recipe = training.Recipe(epochs=1, learning_rate=0.1)
        training.train(model, loss, 4, recipe, folder, progress=False, max_steps=max_steps)
        return model.state_dict()

    unbroken = run(None)
    run(tmp_path, max_steps=2)
    assert same(unbroken, run(tmp_path))


def test_how_often_is_saved_changes_nothing(tmp_path):
    often, rarely = (
        kill_target.run(tmp_path / "a", save_every=0),
        kill_target.run(tmp_path / "b", save_every=1e9),
    )
    assert same(often[0].state_dict(), rarely[0].state_dict())


def test_the_best_epoch_is_kept(tmp_path):
    _, history = kill_target.run(tmp_path)
    _, card = checkpoints.load_weights(tmp_path / checkpoints.BEST_FILE)
    assert card["validation"] == max(history.validation)


def test_a_run_of_another_recipe_is_refused(tmp_path, monkeypatch):
    kill_target.run(tmp_path)
    monkeypatch.setattr(kill_target, "RECIPE", replace(kill_target.RECIPE, learning_rate=1e-3))
    with pytest.raises(CheckpointError, match="another recipe"):
        kill_target.run(tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"text"]
)
def test_a_damaged_run_is_named(tmp_path, damage):
    kill_target.run(tmp_path)
    path = tmp_path / checkpoints.RUN_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        kill_target.run(tmp_path)


def test_an_unknown_schedule_is_refused(monkeypatch):
    monkeypatch.setattr(kill_target, "RECIPE", replace(kill_target.RECIPE, schedule="sawtooth"))
    with pytest.raises(CheckpointError, match="sawtooth"):
        kill_target.run(None)


def test_a_tenth_after_an_epoch_scales_every_group_alike():
    seen = []
    model = nn.Linear(2, 1)
    groups = [{"params": [model.weight], "lr": 1e-2}, {"params": [model.bias], "lr": 1e-3}]
    optimizer = torch.optim.AdamW(groups)

    def loss(batch, rng):
        seen.append([group["lr"] for group in optimizer.param_groups])
        return {"loss": model(torch.ones(1, 2)).sum()}

    recipe = training.Recipe(
        epochs=4, learning_rate=1.0, batch_size=2, schedule="step", milestones=(3,)
    )
    training.train(model, loss, 5, recipe, progress=False, optimizer=optimizer)
    torch.testing.assert_close(
        torch.tensor(seen), torch.tensor([[1e-2, 1e-3]] * 9 + [[1e-3, 1e-4]] * 3)
    )


def test_weights_carry_their_card_and_come_back_in_single_precision(tmp_path):
    state = {"weight": torch.linspace(0, 1, 7), "count": torch.tensor(3)}
    checkpoints.save_weights(
        tmp_path / "w.safetensors", state, {"method": "trial", "score": 0.5}, half=True
    )
    weights, card = checkpoints.load_weights(tmp_path / "w.safetensors", "trial")
    assert card == {"method": "trial", "score": 0.5}
    assert weights["weight"].dtype == torch.float32
    torch.testing.assert_close(weights["weight"], state["weight"], rtol=1e-3, atol=0)
    assert weights["count"] == 3
    again = tmp_path / "again.safetensors"
    checkpoints.save_weights(again, state, {"score": 0.5, "method": "trial"}, half=True)
    assert files.file_hash(again) == files.file_hash(tmp_path / "w.safetensors")


def test_weights_of_another_method_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    checkpoints.save_weights(path, {"weight": torch.zeros(1)}, {"method": "mars"})
    with pytest.raises(CheckpointError, match="'mars'"):
        checkpoints.load_weights(path, "vrn")
    with pytest.raises(CheckpointError, match="does not fit"):
        checkpoints.load_into(nn.Linear(2, 2), {"weight": torch.zeros(1)}, path)
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="no card"):
        checkpoints.load_weights(path, "vrn")
    with pytest.raises(CheckpointError, match="no readable"):
        checkpoints.load_weights(tmp_path / "missing.safetensors", "vrn")


def test_generators_for_different_purposes_differ():
    draws = {
        tuple(torch.randint(2**31, (4,), generator=training.generator(*purpose)).tolist())
        for purpose in ((0, "step", 0), (0, "step", 1), (1, "step", 0), (0, "epoch", 0))
    }
    assert len(draws) == 4
    assert torch.equal(
        torch.rand(3, generator=training.generator(5, "a")),
        torch.rand(3, generator=training.generator(5, "a")),
    )


def test_a_mixed_precision_recipe_runs_on_a_cpu_as_it_is(monkeypatch):
    plain = kill_target.run(None)[0].state_dict()
    monkeypatch.setattr(kill_target, "RECIPE", replace(kill_target.RECIPE, mixed_precision=True))
    assert same(plain, kill_target.run(None)[0].state_dict())
