"""Runs of the set predictor on one dataset: features computed once, a folder a run, predictions
kept for the tables.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file

from cropnb import checkpoints, datasets, files, ledger, program, training
from cropnb.errors import CheckpointError
from cropnb.set_prediction.data import CropPhotos, FrozenFeatures
from cropnb.set_prediction.fitting import EPOCH_COLUMNS, Found, fit, predict, prepare
from cropnb.set_prediction.model import SetPredictionCropper
from cropnb.set_prediction.recipe import VARIANTS, Profile

RESULT_FILE, WEIGHTS_FILE, PREDICTIONS_FILE = (
    "result.json",
    "weights.safetensors",
    "predictions.safetensors",
)
ANCHORS_FILE = "anchors.safetensors"
METHOD = "set_prediction"


class Experiment:
    """One dataset, one profile, one device; `run` trains one variant with one seed and keeps what
    it predicts.

    form: of the scenes, where the dataset is "scenes"; of a real dataset it is its own.
    """

    def __init__(
        self,
        dataset: str,
        profile_name: str,
        profile: Profile,
        form: str = "gaicd",
        device: str = "cpu",
        out: str | Path | None = "runs",
        progress: bool = True,
    ) -> None:
        self.dataset, self.profile_name, self.profile, self.progress = (
            dataset,
            profile_name,
            profile,
            progress,
        )
        self.device = torch.device(device)
        self.parts = datasets.splits(
            dataset, form, profile.train_photos, profile.validation_photos, profile.test_photos
        )
        self.form = self.parts[0].form
        self.out = Path(out) / METHOD / f"{dataset}-{self.form}-{profile_name}" if out else None
        self._photos: dict[tuple[int, bool], CropPhotos] = {}
        self._frozen: dict[int, FrozenFeatures] = {}

    def photos(self, part: int, at_least: bool = False) -> CropPhotos:
        """Training (0), validation (1) or test photos (2). at_least: good crops from the threshold
        on.
        """
        if (part, at_least) not in self._photos:
            # Training photos are resized at each step where their size is drawn, the others once.
            whole = self.profile.backbone_rate is not None and part == 0
            side = None if whole else self.profile.test_side
            self._photos[part, at_least] = CropPhotos(self.parts[part], side, self.device, at_least)
        return self._photos[part, at_least]

    def frozen(self, model: SetPredictionCropper, part: int) -> FrozenFeatures | None:
        """Maps of the backbone as it starts, the same for every variant and seed; None where it is
        trained.
        """
        if self.profile.backbone_rate is not None:
            return None
        if part not in self._frozen:
            cache = (
                self.out / f"features-{('train', 'val', 'test')[part]}.safetensors"
                if self.out
                else None
            )
            self._frozen[part] = FrozenFeatures(
                model, self.photos(part), part == 0, self.progress, cache
            )
        return self._frozen[part]

    def folder(self, variant: str, seed: int) -> Path | None:
        """Where a run is kept; None when nothing is kept."""
        return self.out / f"{variant.replace('w/o', 'without')}-seed{seed}" if self.out else None

    def run(
        self, name: str, seed: int, init: str = "imagenet", max_steps: int | None = None
    ) -> tuple[SetPredictionCropper, dict, list[Found]]:
        """Train one variant, or continue it. Returns the model, its result and its predictions for
        the test photos.

        The result holds what a ledger row needs, the losses by epoch, and under `epochs` the scores
        (epochs, 2, columns) of the validation and the test photos after each epoch. `max_steps`
        stops early, for a run in pieces.
        """
        variant = VARIANTS[name]
        torch.manual_seed(seed)
        model = self.profile.build("imagenet" if init == "imagenet" else None).to(self.device)
        folder = self.folder(name, seed)
        identity = {"method": METHOD, "dataset": self.dataset, "form": self.form, "init": init}
        checks = [
            (self.photos(part, variant.at_least), self.frozen(model, part)) for part in (1, 2)
        ]
        history, trainee = fit(
            model,
            variant,
            self.photos(0, variant.at_least),
            checks,
            self.profile,
            seed,
            folder,
            identity,
            self.frozen(model, 0),
            self.progress,
            max_steps,
        )
        batch = self.profile.batch_size
        config = {**identity, "variant": asdict(variant), "profile": asdict(self.profile)}
        result = {
            **identity,
            "variant": name,
            "profile": asdict(self.profile),
            "seed": seed,
            "photos": len(self.parts[2]),
            "minutes": round(history.seconds / 60, 2),
            "device": program.device_name(self.device),
            "commit": ledger.current_commit(),
            "config_hash": training.fingerprint(config),
            "loss": [
                float(part.mean())
                for part in history.column("loss").split(-(-len(self.parts[0]) // batch))
            ],
            "epoch_columns": EPOCH_COLUMNS,
            "epochs": trainee.epochs[trainee.epochs[..., 0].isfinite().all(-1)].tolist(),
        }
        found = predict(model, *checks[1])
        if folder is not None:
            checkpoints.save_weights(
                folder / WEIGHTS_FILE, model.state_dict(), {"method": METHOD, "variant": name}
            )
            result["checkpoint_hash"] = files.file_hash(folder / WEIGHTS_FILE)
            keep = {"corners": torch.stack([f.corners for f in found])}
            keep["validity"] = torch.stack([f.validity for f in found])
            checkpoints.save_weights(
                folder / PREDICTIONS_FILE, keep, {"method": METHOD, "variant": name}
            )
            moved = {"starts": trainee.starts, "crops": trainee.crops}
            checkpoints.save_weights(
                folder / ANCHORS_FILE, moved, {"method": METHOD, "variant": name}
            )
            files.write_atomically(
                folder / RESULT_FILE, (json.dumps(result, indent=1) + "\n").encode()
            )
        return model, result, found

    def start(self, name: str, seed: int, init: str = "imagenet") -> SetPredictionCropper:
        """The model that a run starts from."""
        torch.manual_seed(seed)
        model = self.profile.build("imagenet" if init == "imagenet" else None).to(self.device)
        return prepare(model, self.photos(0, VARIANTS[name].at_least), self.profile).eval()

    def trained(self, name: str, seed: int) -> SetPredictionCropper:
        """The model of a finished run."""
        path = self.folder(name, seed) / WEIGHTS_FILE
        model = self.profile.build(None).to(self.device)
        checkpoints.load_into(model, checkpoints.load_weights(path, METHOD)[0], path)
        return model.eval()

    def kept(self, name: str, seed: int) -> tuple[dict, list[Found]]:
        """Result and predictions of a run that is finished. CheckpointError when there is none."""
        folder = self.folder(name, seed)
        if folder is None or not (folder / PREDICTIONS_FILE).exists():
            raise CheckpointError(
                f"{name}, seed {seed}: no finished run in {folder}; train it first"
            )
        kept = load_file(folder / PREDICTIONS_FILE)
        result = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        return result, [Found(*one) for one in zip(kept["corners"], kept["validity"], strict=True)]
