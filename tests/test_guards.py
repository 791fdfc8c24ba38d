"""Weights that hold no numbers, cards that tell nothing, and runs that blow up are named."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import cropnb
from cropnb import checkpoints, croppers, guards, training
from cropnb.errors import CheckpointError, CropnbError, TrainingError, WriteError

METHODS = tuple(croppers.METHODS)


@pytest.fixture(scope="module")
def shipped():
    """Method -> its shipped tensors and metadata."""
    contents = {}
    for method in METHODS:
        with safe_open(croppers.shipped(method), "pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in sorted(stream.keys())}
            contents[method] = tensors, stream.metadata()
    return contents


def _set_first(value):
    def change(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[0] = value
        return tensor

    return change


TENSORS = {
    "NaN": _set_first(float("nan")),
    "infinite": _set_first(float("inf")),
    "integer": lambda tensor: tensor.to(torch.int32),
    "boolean": lambda tensor: tensor > 0,
    "complex": lambda tensor: tensor.to(torch.complex64),
    "too large for single precision": lambda tensor: torch.full_like(
        tensor, 1e300, dtype=torch.double
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damage", TENSORS)
def test_tensors_that_are_no_weights_are_refused_by_every_method(method, damage, shipped, tmp_path):
    tensors, metadata = shipped[method]
    # a weight of the last layer: what comes before it would still give finite features
    name = [name for name, value in tensors.items() if value.is_floating_point()][-1]
    path = tmp_path / "w.safetensors"
    save_file({**tensors, name: TENSORS[damage](tensors[name])}, path, metadata)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")) as refused:
        cropnb.load(method, weights=path)
    assert "\n" not in str(refused.value)


def test_variances_below_zero_are_refused(tmp_path):
    checkpoints.save_weights(tmp_path / "w", {"n.running_var": torch.tensor([1.0, -1.0])}, {})
    with pytest.raises(CheckpointError, match="below zero"):
        checkpoints.load_weights(tmp_path / "w")


CARDS = {
    "no JSON": "{",
    "no object": '["mars"]',
    "a number": "7",
    "deep": "[" * 100_000,
    "deep object": '{"method": ' * 50_000,
    "without fields": "{}",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", CARDS)
def test_a_card_that_tells_nothing_is_refused_by_every_method(method, kind, shipped, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(shipped[method][0], path, {"card": CARDS[kind]})
    with pytest.raises(CheckpointError):
        cropnb.load(method, weights=path)


FIELDS = [
    ("mars", "arguments"),
    ("mars", "arguments.neurons"),
    ("mars", "threshold"),
    ("la2c", "agent"),
    ("la2c", "agent.mirror"),
    ("la2c", "agent.neck"),
    ("la2c", "actions"),
    ("la2c", "step_limit"),
    ("la2c", "size"),
    ("asm_net", "backbone"),
    ("asm_net", "pattern"),
    ("asm_net", "stride"),
    ("set_prediction", "short_side"),
]
DAMAGES = ["missing", None, "text", -1, 10**9, float("nan"), [[]], {}]
WITH_DEFAULT = [("threshold", "missing"), ("agent.mirror", None), ("agent.mirror", "missing")]


@pytest.mark.parametrize(
    ("method", "field", "damage"),
    [
        (method, field, damage)
        for method, field in FIELDS
        for damage in DAMAGES
        if (field, damage) not in WITH_DEFAULT
    ],
)
def test_a_field_that_says_how_to_use_the_weights_is_checked(
    method, field, damage, shipped, tmp_path
):
    tensors, metadata = shipped[method]
    card = json.loads(metadata["card"])
    *above, name = field.split(".")
    place = card[above[0]] if above else card
    if damage == "missing":
        del place[name]
    else:
        place[name] = damage
    path = tmp_path / "w.safetensors"
    save_file(tensors, path, {"card": json.dumps(card)})
    with pytest.raises(CheckpointError, match=str(path)):
        cropnb.load(method, weights=path)


def test_a_folder_and_a_device_are_no_weights(tmp_path):
    for path in (tmp_path, "/dev/null", "/dev/zero"):
        with pytest.raises(CropnbError):
            checkpoints.load_weights(path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "null"], ids=["no JSON", "deep", "nothing"])
def test_a_run_with_unreadable_metadata_is_refused(text, tmp_path):
    _train(tmp_path)
    path = tmp_path / training.RUN_FILE
    with safe_open(path, "pt") as stream:
        tensors = {name: stream.get_tensor(name) for name in sorted(stream.keys())}
        metadata = stream.metadata()
    for name in metadata:
        save_file(tensors, path, {**metadata, name: text})
        with pytest.raises(CheckpointError):
            _train(tmp_path)


def _train(folder, spoil=None, scores=None, clip=None, steps=8):
    """A run of `steps` steps of a network with a batch normalisation; `spoil(step)` is added to the
    input.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    seen = iter(range(1000))

    def loss(batch, rng):
        step = next(seen)
        photos = torch.rand(4, 2, generator=rng) + (spoil(step) if spoil else 0.0)
        return {"loss": model(photos).square().mean()}

    recipe = training.Recipe(epochs=steps, learning_rate=1e-2, clip=clip)
    scores = iter(scores) if scores is not None else None
    history = training.train(
        model,
        loss,
        1,
        recipe,
        folder,
        validate=None if scores is None else lambda: next(scores),
        progress=False,
        save_every=1e9,
    )
    return model, history


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_at_its_step_and_the_state_before_it_is_kept(
    value, tmp_path
):
    unbroken = _train(None)[0].state_dict()
    with pytest.raises(TrainingError, match="loss is nan at step 6;"):
        _train(tmp_path, spoil=lambda step: value if step == 5 else 0.0)
    # What was saved is the state after five steps: going on from there ends with the same bits.
    model, history = _train(tmp_path)
    assert len(history.steps) == 8
    assert all(torch.equal(value, unbroken[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_that_is_no_number_stops_the_run_before_the_model_has_it(clip):
    model = nn.Linear(1, 1)
    start = {name: value.clone() for name, value in model.state_dict().items()}

    def loss(batch, rng):
        # the root's slope at zero is infinite, and infinity times zero is no number
        return {"loss": (model.weight * 0).abs().sqrt().sum()}

    recipe = training.Recipe(epochs=1, learning_rate=1.0, clip=clip)
    with pytest.raises(TrainingError, match="gradient is no finite number at step 1"):
        training.train(model, loss, 3, recipe, progress=False)
    assert all(torch.equal(start[name], value) for name, value in model.state_dict().items())


def test_a_score_that_is_no_number_neither_wins_nor_blocks(tmp_path):
    nan, inf = float("nan"), float("inf")
    for scores in ([nan, 0.1, 0.3, 0.2], [0.3, nan, 0.2, nan], [inf, 0.3, -inf, 0.1]):
        folder = tmp_path / str(scores[0])
        _train(folder, scores=scores, steps=4)
        assert checkpoints.load_weights(folder / training.BEST_FILE)[1]["validation"] == 0.3
    assert not guards.is_best(nan, [])


def test_a_folder_that_cannot_be_is_named_before_anything_is_trained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"file/run can't be written \(Not a directory\)"):
        _train(tmp_path / "file" / "run")
    with pytest.raises(WriteError):
        checkpoints.save_weights(tmp_path / "file" / "w", {}, {})
    shutil.rmtree(tmp_path)


def test_a_run_whose_trained_weights_are_no_numbers_is_not_continued(tmp_path):
    _train(tmp_path)
    path = tmp_path / training.RUN_FILE
    with safe_open(path, "pt") as stream:
        tensors = {name: stream.get_tensor(name) for name in sorted(stream.keys())}
        metadata = stream.metadata()
    tensors["model.2.weight"][0, 0] = float("nan")
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match=r"2\.weight"):
        _train(tmp_path)
