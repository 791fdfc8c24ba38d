"""What each epoch of a training reaches, for the chapter and the audit."""

from collections.abc import Sequence

import torch

from cropnb import metrics
from cropnb.runs import Measurement
from cropnb.set_prediction.cropper import COUNTS, CropPredictions, predict, set_accuracy
from cropnb.set_prediction.labels import CropPhotos, Features
from cropnb.set_prediction.losses import EPOCH_COLUMNS, Trainee
from cropnb.training import History


def validate(
    trainee: Trainee, checks: Sequence[tuple[CropPhotos, Features]], epoch_steps: int
) -> float:
    """AP on the validation photos; what the epoch reached is noted in the trainee."""
    epoch, within = divmod(int(trainee.steps), epoch_steps)
    scores = [epoch_scores(predict(trainee.model, *check), check[0]) for check in checks]
    if not within:  # a run that stops early is looked at within an epoch, too
        trainee.scores[epoch - 1] = torch.tensor(scores)  # (2, columns)
        trainee.look(epoch, *checks[0])
    return scores[0][0]


def record(trainee: Trainee, epoch_steps: int, history: History) -> Measurement:
    """What the finished epochs reached, their mean loss, and how the anchors moved."""
    details = {
        "epoch_columns": EPOCH_COLUMNS,
        "epochs": trainee.scores[: int(trainee.steps) // epoch_steps].tolist(),
        "loss": [float(part.mean()) for part in history.column("loss").split(epoch_steps)],
    }
    return Measurement({}, details, {"starts": trainee.starts, "crops": trainee.crops})


def epoch_scores(predictions: Sequence[CropPredictions], photos: CropPhotos) -> list[float]:
    """The columns that are looked at after each epoch, 0…1."""
    precision = metrics.average_precision(predictions, photos.truths, 0.85, 10)
    hits = (set_accuracy(predictions, photos, count, 0.85).mean() for count in COUNTS)
    return [precision, *map(float, hits)]
