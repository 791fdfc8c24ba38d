"""The exported networks, run by ONNX Runtime, against the croppers on twenty photographs."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

import cropnb
from cropnb import export
from cropnb.images import resize_short_side, to_image
from cropnb.la2c.cropper import play
from cropnb.methods import METHODS

runtime = pytest.importorskip("onnxruntime")

CLOSE = 1e-3
# Of each picture so many parts, of these shares of its sides: twenty photographs, no two alike.
PARTS = [(0.0, 0.0, 1.0, 1.0), (0.0, 0.1, 0.7, 0.9), (0.3, 0.0, 1.0, 0.8), (0.1, 0.2, 0.6, 1.0)]


@cache
def photographs() -> list[Tensor]:
    """(3, H, W) in 0…1 each, as croppers see photos."""
    pictures = [
        data.astronaut(),
        data.chelsea(),
        data.coffee(),
        data.rocket(),
        data.stereo_motorcycle()[0],
    ]
    photos = []
    for picture in pictures:
        height, width = picture.shape[:2]
        for x1, y1, x2, y2 in PARTS:
            part = picture[int(y1 * height) : int(y2 * height), int(x1 * width) : int(x2 * width)]
            photos.append(torch.from_numpy(part.copy()).permute(2, 0, 1).float() / 255)
    return photos


@pytest.fixture(scope="module", params=METHODS)
def pair(request: pytest.FixtureRequest) -> tuple[str, object, dict[str, Callable], dict]:
    """A method's name, its cropper's method, its networks as functions of tensors, its facts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    exported = export.exported(request.param)

    def function(network: export.Network) -> Callable:
        content = export.model(network).SerializeToString()
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        names = list(network.inputs)

        def call(*inputs: Tensor) -> list[Tensor]:
            arrays = [each.numpy() for each in inputs]
            return list(
                map(torch.from_numpy, session.run(None, dict(zip(names, arrays, strict=True))))
            )

        return call

    networks = {network.name: function(network) for network in exported.networks}
    yield request.param, cropnb.load(request.param).method, networks, dict(exported.facts)
    torch.set_num_threads(threads)


def answers(name: str, method: object, networks: dict[str, Callable], facts: dict, photo: Tensor):
    """What the cropper computes of a photo and what the networks do: two lists of tensors."""
    size = (photo.shape[-1], photo.shape[-2])
    look = networks["look"]
    if name in ("vrn", "gaic"):
        seen, boxes = method.see(photo), method.candidates(*size)
        scale = boxes.new_tensor([seen.shape[2] / size[0], seen.shape[1] / size[1]] * 2)
        return (
            method.score_all([seen], [size], [boxes]),
            networks["score"](*look(seen[None]), boxes * scale),
        )
    if name == "mars":
        seen, ours, theirs = method.see(photo)[None], [], []
        (features,) = look(seen)
        for aspect in (0.4, 0.8, 1.0, 16 / 9):
            ours += [method.for_ratio(aspect).head(method.model.features(seen))[0]]
            theirs += networks["map"](features, torch.tensor([aspect]))
        return ours, theirs
    if name == "asm_net":
        return [method.score_map(photo)], look(method.see(photo)[None])
    if name == "set_prediction":
        seen = method.see(photo)[None]
        predictions = method.model(seen)
        return [predictions.xyxy[0], predictions.validity[0]], look(seen)
    episode = play(method.agent, to_image(photo))
    seen = resize_short_side(photo, facts["short_side"], facts["multiple"]).clamp(0, 1)
    (maps,) = look(seen[None])
    boxes = episode.boxes / torch.tensor([*size, *size])
    steps = [networks["step"](maps, box) for box in boxes[:-1]]
    return (
        [episode.probabilities, episode.values],
        [torch.stack([step[0] for step in steps]), torch.cat([step[1] for step in steps])],
    )


@torch.inference_mode()
def test_networks_answer_as_the_croppers_do(pair):
    assert len(photographs()) == 20
    worst = 0.0
    for photo in photographs():
        ours, theirs = answers(*pair, photo)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert one.shape == other.shape
            worst = max(worst, float((one - other).abs().max()))
    assert worst < CLOSE


def test_a_halved_weight_is_widened_to_the_same_bits():
    import onnx

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            exact = torch.arange(100.0).view(10, 10) / 8
            self.exact, self.other = (torch.nn.Parameter(part) for part in (exact, exact / 3))

        def forward(self, x):
            return x @ self.exact, x @ self.other

    x = torch.eye(10)
    network = export.Network("two", Two(), {"x": x}, ("exact", "other"))
    whole, halved = export.model(network, halved=False), export.model(network)
    kinds = sorted(tensor.data_type for tensor in halved.graph.initializer)
    assert kinds == [onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16]
    assert halved.opset_import[0].version == export.OPSET
    results = [
        runtime.InferenceSession(
            content.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, {"x": x.numpy()})
        for content in (whole, halved)
    ]
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)
