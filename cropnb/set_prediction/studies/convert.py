"""Weights of Conditional DETR as Hugging Face Transformers holds them, under the names that we use.

The authors start from a Conditional DETR trained on COCO. Such a file, if you have one, gives
everything but the backbone and the head of the 91 classes.
"""

from collections.abc import Mapping

from torch import Tensor

_ATTENTION = {
    "encoder": {"q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "out"},
    "self_attn": {
        "q_content_proj": "query",
        "k_content_proj": "key",
        "v_proj": "value",
        "o_proj": "out",
        "q_pos_proj": "query_anchor",
        "k_pos_proj": "key_anchor",
    },
    "encoder_attn": {
        "q_content_proj": "query",
        "k_content_proj": "key",
        "v_proj": "value",
        "o_proj": "out",
        "q_pos_sine_proj": "query_place",
        "k_pos_proj": "key_place",
        "q_pos_proj": "query_anchor",
    },
}
_REST = {
    "mlp.fc1": "feed_forward.0",
    "mlp.fc2": "feed_forward.3",
    "final_layer_norm": "norm_feed_forward",
}
_WHOLE = {
    "query_position_embeddings": "anchors",
    "input_projection": "reduce",
    "decoder.layernorm": "norm",
    "bbox_predictor": "box_head",
    "class_labels_classifier": "validity_head",
    "decoder.ref_point_head": "reference",
    "decoder.query_scale": "scale",
}


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a `ConditionalDetrForObjectDetection` → that of a `SetPredictionCropper`, less
    the backbone.
    """
    converted = {}
    for name, value in state.items():
        name = name.removeprefix("model.")
        if name.startswith("backbone."):
            continue
        in_stack = name.startswith(("encoder.layers.", "decoder.layers."))
        new = _layer(name) if in_stack else _other(name)
        converted["anchors" if new == "anchors.weight" else new] = value
    return converted


def _layer(name: str) -> str:
    """encoder.layers.0.self_attn.q_proj.weight → encoder.0.attention.query.weight, and so on."""
    stack, _, index, *rest = name.split(".")
    inner = ".".join(rest[:-1])
    if stack == "encoder":
        names = {"self_attn": ("attention", _ATTENTION["encoder"])}
        norms = {"self_attn_layer_norm": "norm_attention"}
    else:
        names = {
            "self_attn": ("exchange", _ATTENTION["self_attn"]),
            "encoder_attn": ("look", _ATTENTION["encoder_attn"]),
        }
        norms = {"self_attn_layer_norm": "norm_exchange", "encoder_attn_layer_norm": "norm_look"}
    if rest[0] in names:
        module, parts = names[rest[0]]
        inner = f"{module}.{parts[rest[1]]}"
    else:
        inner = {**_REST, **norms}[inner]
    return f"{stack}.{index}.{inner}.{rest[-1]}"


def _other(name: str) -> str:
    for theirs, ours in _WHOLE.items():
        if name.startswith(f"{theirs}."):
            rest = name.removeprefix(f"{theirs}.")
            if rest.startswith("layers."):  # a perceptron: ReLUs stand between the layers of ours
                _, index, leaf = rest.split(".")
                rest = f"{2 * int(index)}.{leaf}"
            return f"{ours}.{rest}"
    return name
