"""Networks as ONNX files: what a method exports for the playground, and how it is written.

A method says what of it runs elsewhere in its `studies/export.py`, by a function
`parts(weights) -> Exported`. Nothing here knows one by name.

Weights ship in half precision and are computed with in single. A file keeps them so: each is stored
as half-precision numbers and widened when the network is loaded, half the size and not a bit
different. So batch normalisations stay apart from the convolutions, which the runtime folds itself.
"""

import importlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cropnb.croppers import shipped

if TYPE_CHECKING:
    import onnx

OPSET = 17
SMALL = 64  # numbers of a tensor: below, halving it saves nothing


@dataclass(frozen=True)
class Network:
    """One part of a method that runs as a whole.

    Attributes:
        name: of its file.
        module: takes the inputs in their order, one photo at a time.
        inputs: examples by name; what the module is traced with.
        outputs: their names.
        varying: the axes of each input and output whose length isn't always that of the example.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    varying: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """All of a method that runs elsewhere.

    Attributes:
        networks: in the order in which they are asked.
        facts: what surrounds them has to know, such as a threshold; JSON.
        card: of the checkpoint.
    """

    networks: Sequence[Network]
    facts: Mapping[str, Any]
    card: Mapping[str, Any]


def exported(method: str) -> Exported:
    """What a method exports, from the checkpoint that `cropnb.load(method)` takes."""
    module = importlib.import_module(f"cropnb.{method}.studies.export")
    return module.parts(shipped(method))


def model(network: Network, halved: bool = True) -> "onnx.ModelProto":
    """A network as an ONNX model of opset 17.

    Args:
        halved: store weights that half precision holds exactly in half precision.
    """
    import onnx

    axes = {
        name: {axis: f"{name}_{axis}" for axis in sides} for name, sides in network.varying.items()
    }
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        # of the tracer, on sizes that it takes for constants: the tests run other sizes
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.module.eval(),
            tuple(network.inputs.values()),
            stream,
            input_names=list(network.inputs),
            output_names=list(network.outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,  # else normalisations would be folded here
            do_constant_folding=False,
            dynamo=False,
        )
    exported_model = onnx.load_from_string(stream.getvalue())
    if halved:
        _halve(exported_model)
    # names of modules and lines of source, which nobody needs to run it
    for node in exported_model.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    onnx.checker.check_model(exported_model)
    return exported_model


def write(network: Network, folder: Path) -> Path:
    """Write `NAME.onnx` into a folder, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{network.name}.onnx"
    path.write_bytes(model(network).SerializeToString())
    return path


def _halve(exported_model: "onnx.ModelProto") -> None:
    """Store each weight that half precision holds exactly so, and widen it by a node, in place."""
    import numpy as np
    import onnx

    graph = exported_model.graph
    casts = []
    for place, tensor in enumerate(list(graph.initializer)):
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < SMALL or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        graph.initializer[place].CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
