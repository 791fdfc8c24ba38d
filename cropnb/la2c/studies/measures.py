"""What the tables are about, photo by photo: how near the crops of a trained agent come to the true
boxes, in how many steps, and in how many seconds.
"""

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cropnb import metrics
from cropnb.checkpoints import History
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CropnbError
from cropnb.la2c import rules
from cropnb.la2c.cropper import play
from cropnb.la2c.envs.banks import ImageBank
from cropnb.la2c.envs.batched import Outcome, scene_of
from cropnb.la2c.envs.planning import oracle
from cropnb.la2c.learner import per_episode
from cropnb.la2c.model import Agent
from cropnb.runs import Measurement

STEP_LIMITS = (5, 10, 15, 20, 30, 40)
TIMED = 40  # photos on which the time a photo is taken, one at a time
CURVE = 200  # updates that a point of the learning curve stands for


def columns(outcome: Outcome, bank: ImageBank) -> dict[str, Tensor]:
    """All numbers a photo, (N,) each; on composed scenes also what only they can tell."""
    steps = {"steps": outcome.steps.double(), "stopped": outcome.stopped.double()}
    return {**accuracy(outcome, bank), **against_scenes(outcome, bank), **steps}


def accuracy(outcome: Outcome, bank: ImageBank) -> dict[str, Tensor]:
    """IoU and BDE of each crop with the best-matching true box, (N,) each; of three also with each
    of them.
    """
    truths = [boxes[valid].cpu() for boxes, valid in zip(bank.truths, bank.valid, strict=True)]
    table = _iou_and_bde("", outcome, bank.samples, truths)
    if all(len(boxes) == 3 for boxes in truths):
        table |= _photographers(outcome, bank.samples, truths)
    return table


def against_scenes(outcome: Outcome, bank: ImageBank) -> dict[str, Tensor]:
    """Each photographer's box, the noise-free best box, and the aesthetic score; nothing for real
    photos.
    """
    from cropnb.datasets.scenes import aesthetic_score
    from cropnb.datasets.scenes.forms import make_sample, windows_for

    try:
        scenes = [scene_of(sample) for sample in bank.samples]
    except CropnbError:
        return {}
    truths = [make_sample(one.seed, one.split, one.index, "cuhk_icd").boxes for one in scenes]
    best, scores = [], []
    for scene, sample, box in zip(scenes, bank.samples, outcome.boxes, strict=True):
        windows = windows_for(*sample.size)
        best.append(windows[aesthetic_score(scene, windows).argmax()])
        scores.append(aesthetic_score(scene, box[None].float())[0])
    truth, sizes = torch.stack(best)[:, None].double(), bank.sizes.cpu().double()
    ends = {
        "best box": outcome.boxes,
        "best box, whole photo": torch.cat([torch.zeros_like(sizes), sizes], 1),
        "best box, oracle": oracle(truth, sizes).boxes,
    }
    valid = torch.ones(len(best), 1, dtype=torch.bool)
    return {
        **_photographers(outcome, bank.samples, truths),
        **{name: rules.overlap(boxes, truth, valid, "best") for name, boxes in ends.items()},
        "aesthetic score": torch.stack(scores),
    }


def at_limits(ends: Mapping[int, Outcome], bank: ImageBank) -> dict[str, dict[str, list[float]]]:
    """Limit → the columns of agents that are cut off there."""
    return {
        str(limit): {
            "steps": end.steps.tolist(),
            **{name: values.tolist() for name, values in accuracy(end, bank).items()},
        }
        for limit, end in ends.items()
    }


def seconds(agent: Agent, dataset: CropDataset, how: Mapping[str, object]) -> list[float]:
    """Seconds of cropping, photo after photo, of the first `TIMED`."""
    network = agent.for_inference()
    photos = [dataset[index].photo() for index in range(min(TIMED, len(dataset)))]
    times = []
    for photo in [photos[0], *photos]:  # the first one warms up
        start = time.perf_counter()
        play(network, photo, **how)
        times.append(time.perf_counter() - start)
    return times[1:]


def curves(history: History) -> Measurement:
    """What the episodes went through, a number for every `CURVE` updates."""
    whole = len(history.steps) // CURVE * CURVE
    entropy = history.column("entropy")[:whole].view(-1, CURVE).mean(1)
    lines = {name: per_episode(history, name, CURVE).tolist() for name in ("length", "iou")}
    return Measurement({}, {"curve": {**lines, "entropy": entropy.tolist()}})


def _photographers(
    outcome: Outcome, samples: Sequence[Sample], truths: Sequence[Tensor]
) -> dict[str, Tensor]:
    """IoU and BDE with each of the three true boxes of a photo, (N,) each."""
    table: dict[str, Tensor] = {}
    for number in range(3):
        one = [boxes[number : number + 1] for boxes in truths]
        table |= _iou_and_bde(f" {number + 1}", outcome, samples, one)
    return table


def _iou_and_bde(
    suffix: str, outcome: Outcome, samples: Sequence[Sample], truths: Sequence[Tensor]
) -> dict[str, Tensor]:
    """IoU and BDE with the best-matching true box, (N,) each."""
    pairs = [
        metrics.iou_and_bde(box, boxes, *sample.size)
        for box, boxes, sample in zip(outcome.boxes, truths, samples, strict=True)
    ]
    iou, bde = (torch.stack(values) for values in zip(*pairs, strict=True))
    return {f"IoU{suffix}": iou, f"BDE{suffix}": bde}
