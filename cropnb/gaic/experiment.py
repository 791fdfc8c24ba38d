"""Runs of GAIC and VRN on one dataset: data prepared once, a folder a run, and a result file that
others can read.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import datasets, ledger, program, training
from cropnb.gaic.fitting import Fit, Loss, Profile, fit, freeze
from cropnb.gaic.views import FrozenFeatures, ScoredViews, evaluate

RESULT_FILE, WEIGHTS_FILE = "result.json", "weights.safetensors"
Build = Callable[[], nn.Module]


class Experiment:
    """One dataset, one profile, one device; `run` trains and measures one variant with one seed."""

    def __init__(
        self,
        method: str,
        dataset: str,
        profile_name: str,
        profile: Profile,
        device: str = "cpu",
        out: str | Path | None = "runs",
        progress: bool = True,
    ) -> None:
        self.method, self.dataset, self.profile_name, self.profile = (
            method,
            dataset,
            profile_name,
            profile,
        )
        self.device, self.progress = torch.device(device), progress
        self.out = Path(out) / method if out else None
        self.training, self.validation, self.test = (
            ScoredViews(part, self.device, progress)
            for part in datasets.splits(
                dataset,
                "gaicd",
                profile.train_photos,
                profile.validation_photos,
                profile.test_photos,
            )
        )
        self._frozen: dict[str, FrozenFeatures] | None = None

    def folder(self, variant: str, seed: int) -> Path | None:
        """Where a run is kept; None when nothing is kept."""
        if self.out is None:
            return None
        stage = "whole" if self.profile.epochs else "frozen"
        return self.out / f"{self.dataset}-{self.profile_name}-{stage}" / f"{variant}-seed{seed}"

    def run(
        self, variant: str, build: Build, loss: Loss, seed: int, init: str = "imagenet"
    ) -> tuple[nn.Module, Fit, dict]:
        """Train one variant, or continue it, and measure it on the test photos.

        Returns the model, its histories and the result that is also written to `result.json`:
        `last` holds the protocol's metrics of the last epoch for each photo, `best` those of the
        epoch that did best on the validation photos, `minutes`, `config_hash` and `checkpoint_hash`
        what a ledger row needs.
        """
        torch.manual_seed(seed)
        model = build().to(self.device)
        folder = self.folder(variant, seed)
        identity = {
            "method": self.method,
            "variant": variant,
            "dataset": self.dataset,
            "init": init,
        }
        frozen = self.frozen(model) if self.profile.head_epochs else None
        done = fit(
            model,
            loss,
            self.training,
            self.validation,
            self.profile,
            seed,
            folder,
            identity,
            frozen,
            self.progress,
        )
        last = self.measure(model)
        stages = [stage for stage in (done.head, done.whole) if stage]
        result = {
            **identity,
            "profile": asdict(self.profile),
            "seed": seed,
            "photos": len(self.test),
            "minutes": round(sum(stage.seconds for stage in stages) / 60, 2),
            "device": program.device_name(self.device),
            "commit": ledger.current_commit(),
            "config_hash": training.fingerprint({**identity, "profile": asdict(self.profile)}),
            "validation": [score for stage in stages for score in stage.validation],
            "last": {name: values.tolist() for name, values in last.items()},
        }
        if folder is not None:
            best_file = folder / ("whole" if done.whole else "head") / training.BEST_FILE
            trained = {name: value.clone() for name, value in model.state_dict().items()}
            training.save_weights(
                folder / WEIGHTS_FILE, trained, {"method": self.method, "variant": variant}
            )
            result["checkpoint_hash"] = training.file_hash(folder / WEIGHTS_FILE)
            training.load_into(model, training.load_weights(best_file)[0], best_file)
            result["best"] = {name: values.tolist() for name, values in self.measure(model).items()}
            training.load_into(model, trained, folder)
            ledger.write_atomically(
                folder / RESULT_FILE, (json.dumps(result, indent=1) + "\n").encode()
            )
        return model, done, result

    def frozen(self, model: nn.Module) -> dict[str, FrozenFeatures]:
        """Features of the backbone as it starts, the same for every variant and seed of this
        experiment.
        """
        if self._frozen is None:
            self._frozen = freeze(model, self.training, self.validation, self.progress)
            # the backbone stays as it is, so the test photos' features do too
            if not self.profile.epochs:
                self._frozen["test"] = FrozenFeatures(
                    model.features, self.test, False, self.progress
                )
        return self._frozen

    def measure(self, model: nn.Module) -> dict[str, Tensor]:
        """The protocol's metrics on the test photos, (photos,) each."""
        kept = (self._frozen or {}).get("test") or (
            lambda index: model.features(self.test.photo(index))
        )
        model.eval()
        with torch.inference_mode():
            return evaluate(
                lambda index: model.view_scores(kept(index), [self.test.boxes(index)]), self.test
            )
