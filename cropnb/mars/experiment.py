"""Runs of Mars on one dataset: photos prepared once, features once a backbone, a folder a run, a
result file each.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from cropnb import checkpoints, datasets, files, ledger, program, training
from cropnb.mars import recipe
from cropnb.mars.fitting import Data, Profile, fit, judge, measure, search_threshold
from cropnb.mars.model import Mars
from cropnb.mars.photos import FrozenFeatures, Looks, RatioPhotos
from cropnb.mars.rows import WEIGHTS_FILE, card, folder_name
from cropnb.training import History

RESULT_FILE = "result.json"
COLUMNS = ("IoU", "Offset", "BDE")


class Experiment:
    """One dataset, one profile, one device; `run` trains and measures one variant with one seed."""

    def __init__(
        self,
        dataset: str,
        profile_name: str,
        profile: Profile,
        device: str = "cpu",
        out: str | Path | None = "runs",
        progress: bool = True,
    ) -> None:
        self.dataset, self.profile_name = dataset, profile_name
        self.profile = recipe.for_dataset(profile, dataset)
        self.device, self.progress = torch.device(device), progress
        self.out = Path(out) / "mars" / f"{dataset}-{profile_name}" if out else None
        self._parts: tuple[Data, Data, Data] | None = None
        self._frozen_for: tuple[str, str] | None = None

    @property
    def parts(self) -> tuple[Data, Data, Data]:
        """Training, validation and test part; drawn or read when first asked for."""
        if self._parts is None:
            wanted = (
                self.profile.train_photos,
                self.profile.validation_photos,
                self.profile.test_photos,
            )
            found = []
            for number, part in enumerate(datasets.splits(self.dataset, "fat", *wanted)):
                photos = RatioPhotos(part, self.progress)
                looks = (
                    Looks(len(photos), self.profile.looks, self.profile.octaves)
                    if not number
                    else Looks(len(photos))
                )
                found.append(Data(photos, looks))
            self._parts = tuple(found)
        return self._parts

    @property
    def judged(self) -> str:
        """What the ablations are measured on: of FAT the 1 000 training photos that are held out
        (Tables 1 to 6).
        """
        return "val" if self.dataset == "fat" else "test"

    def folder(self, variant: str, seed: int) -> Path | None:
        """Where a run is kept; None when nothing is kept."""
        return self.out / f"{folder_name(variant)}-seed{seed}" if self.out else None

    def identity(self, variant: str, init: str) -> dict[str, object]:
        return {"method": "mars", "variant": variant, "dataset": self.dataset, "init": init}

    def result(self, variant: str, seed: int, init: str = "imagenet") -> dict | None:
        """What a finished run of this very configuration left, or None."""
        folder = self.folder(variant, seed)
        if folder is None or not (folder / RESULT_FILE).exists():
            return None
        found = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        return found if found["config_hash"] == self._hash(variant, init) else None

    def _hash(self, variant: str, init: str) -> str:
        return training.fingerprint(
            {**self.identity(variant, init), "profile": asdict(self.profile)}
        )

    def run(
        self, variant: str, seed: int, init: str = "imagenet"
    ) -> tuple[Mars, list[History], dict]:
        """Train one variant, or continue it, and measure it.

        Returns the model, its histories and the result that is also written to `result.json`: the
        columns of the tables with one value a photo, θ and what each θ gave, and what a ledger row
        needs. Measured on `judged`.
        """
        torch.manual_seed(seed)
        model = recipe.build(variant, self.profile, None if init == "random" else "imagenet").to(
            self.device
        )
        folder, identity = self.folder(variant, seed), self.identity(variant, init)
        train_part, validation, test = self.parts
        if self.profile.head_epochs:
            self._freeze(model, init)
        histories = fit(
            model, train_part, validation, self.profile, seed, folder, identity, self.progress
        )
        if self.profile.epochs:  # the backbone has moved on, and what was kept of it is stale
            train_part, validation, test = (Data(part.photos, part.looks) for part in self.parts)
        threshold, grid = search_threshold(model, train_part, self.profile.threshold_photos)
        judged = validation if self.judged == "val" else test
        found = measure(model, judged, threshold)
        columns = dict(zip(COLUMNS, (found.overlap, found.offset, found.displacement), strict=True))
        result = {
            **identity,
            "arguments": recipe.arguments(variant, self.profile),
            "profile": self.profile_name,
            "seed": seed,
            "photos": len(judged.photos),
            "annotations": len(judged.photos.owner),
            "minutes": round(sum(history.seconds for history in histories) / 60, 2),
            "device": program.device_name(self.device),
            "commit": ledger.current_commit(),
            "config_hash": self._hash(variant, init),
            "validation": [score for history in histories for score in history.validation],
            "threshold": threshold,
            "thresholds": grid,
            "nothing above": found.empty.double().mean().item(),
            "columns": {name: found.a_photo(values).tolist() for name, values in columns.items()},
        }
        if folder is not None:
            checkpoints.save_weights(folder / WEIGHTS_FILE, model.state_dict(), card(result))
            result["checkpoint_hash"] = files.file_hash(folder / WEIGHTS_FILE)
            files.write_atomically(
                folder / RESULT_FILE, (json.dumps(result, indent=1) + "\n").encode()
            )
        return model, histories, result

    def centred(self) -> dict[str, list[float]]:
        """The same columns for the largest centred window of each required ratio, which sees no
        photo.
        """
        photos = self.parts[("train", "val", "test").index(self.judged)].photos
        sizes, ratio = photos.sizes[photos.owner], photos.aspects
        sides = torch.stack(
            [
                torch.minimum(sizes[:, 0], sizes[:, 1] * ratio),
                torch.minimum(sizes[:, 1], sizes[:, 0] / ratio),
            ],
            1,
        )
        boxes = torch.cat([(sizes - sides) / 2, (sizes + sides) / 2], dim=1)
        found = judge(photos, boxes)
        columns = zip(COLUMNS, (found.overlap, found.offset, found.displacement), strict=True)
        return {name: found.a_photo(values).tolist() for name, values in columns}

    def _freeze(self, model: Mars, init: str) -> None:
        key = (model.backbone.name, *model.backbone.cuts)
        if self._frozen_for != key:  # features of one backbone at a time: they are large
            for part, name in zip(self.parts, ("train", "val", "test"), strict=True):
                file = None
                # features of a random start are of one seed only
                if self.out and init == "imagenet":
                    said = (
                        self.dataset,
                        name,
                        len(part.photos),
                        part.looks.number,
                        self.profile.octaves,
                        *key,
                    )
                    file = self.out / f"features-{name}-{training.fingerprint(said)}.safetensors"
                part.frozen = None
                part.frozen = FrozenFeatures(model, part.photos, part.looks, self.progress, file)
            self._frozen_for = key
