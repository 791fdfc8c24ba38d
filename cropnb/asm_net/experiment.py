"""Runs of ASM-Net on one dataset: photos read once, a folder a run, and a result file that others
can read.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from cropnb import checkpoints, datasets, evaluation, files, ledger, metrics, program, training
from cropnb.asm_net.cropper import AsmCropper
from cropnb.asm_net.losses import DELTA, asm_loss
from cropnb.asm_net.model import AsmNet
from cropnb.asm_net.photos import Batch, ScoredPhotos
from cropnb.asm_net.pooling import composition_pool
from cropnb.asm_net.recipe import SAME_RUN, VARIANTS, Profile, Variant
from cropnb.croppers import Cropper
from cropnb.datasets.base import CropDataset, held_out
from cropnb.datasets.scenes import SIZES

METHOD, RESULT_FILE, WEIGHTS_FILE = "asm_net", "result.json", "weights.safetensors"


class Experiment:
    """One dataset, one profile, one device; `run` trains and measures one variant with one seed.

    form: the form that scenes have, "cpc" or "gaicd", which also decides δ; a real dataset has its
        own.
    frozen: train the head only.
    """

    def __init__(
        self,
        dataset: str,
        form: str,
        profile_name: str,
        profile: Profile,
        device: str = "cpu",
        out: str | Path | None = "runs",
        init: str = "imagenet",
        frozen: bool = False,
        progress: bool = True,
    ) -> None:
        self.dataset, self.profile_name, self.init, self.progress = (
            dataset,
            profile_name,
            init,
            progress,
        )
        self.form = form if dataset == "scenes" else dataset
        self.delta = DELTA[self.form]
        if frozen:
            profile = replace(profile, epochs=0, head_epochs=profile.head_epochs or profile.epochs)
        self.profile, self.device = profile, torch.device(device)
        self.out = Path(out) / METHOD if out else None
        self.parts = dict(
            zip(("train", "val", "test"), load_splits(dataset, self.form, profile), strict=True)
        )
        self._read: dict[tuple[str, bool], ScoredPhotos] = {}

    @property
    def stage(self) -> str:
        return "whole" if self.profile.epochs else "frozen"

    def folder(self, variant: str, seed: int) -> Path | None:
        """Where a run is kept; None when nothing is kept."""
        if self.out is None:
            return None
        return (
            self.out
            / f"{self.dataset}-{self.form}-{self.profile_name}-{self.stage}"
            / f"{variant}-seed{seed}"
        )

    def photos(self, part: str, frozen: bool, model: AsmNet) -> ScoredPhotos:
        """The photos of "train", "val" or "test", or what a frozen backbone makes of them; read
        once and kept.
        """
        if (part, frozen) not in self._read:
            data, delta = self.parts[part], self.delta if part == "train" else None
            mark = {
                "data": [data.name, data.form, data.split, len(data), str(data.root)],
                "delta": delta,
            }
            if frozen:
                weights = sum(
                    float(value.double().abs().sum())
                    for value in model.backbone.state_dict().values()
                )
                mark |= {"backbone": self.profile.backbone, "weights": f"{weights:.6e}"}
            cache = self.out and self.out / "photos" / f"{training.fingerprint(mark)}.safetensors"
            self._read[part, frozen] = ScoredPhotos(
                data, delta, model if frozen else None, self.device, cache, self.progress
            )
        return self._read[part, frozen]

    def identity(self, variant: str) -> dict[str, str]:
        """What names a variant's data and model."""
        return {
            "method": METHOD,
            "variant": variant,
            "dataset": self.dataset,
            "form": self.form,
            "init": self.init,
        }

    def config_hash(self, variant: str) -> str:
        """Names all that decides a run but for its seed."""
        chosen = {"profile": self.profile.settings(), "variant": asdict(VARIANTS[variant])}
        return training.fingerprint({**self.identity(variant), **chosen})

    def finished(self, variant: str, seed: int) -> dict | None:
        """The result of a run that ended before, if it was this very run on as many photos."""
        variant = SAME_RUN.get(variant, variant)
        folder = self.folder(variant, seed)
        if folder is None or not (folder / RESULT_FILE).exists():
            return None
        result = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        same = result["config_hash"] == self.config_hash(variant) and result["photos"] == len(
            self.parts["test"]
        )
        return result if same else None

    def run(
        self, variant: str, seed: int, boxes: Mapping[str, CropDataset] | None = None
    ) -> tuple[AsmNet, dict, dict]:
        """Train one variant, or continue it, and measure it on the test photos.

        boxes: datasets with true boxes, on which the best crop of the two-stage search is measured
            too.

        Returns the network, a `training.History` for each stage, and the result that is also
        written to `result.json`: for each test photo `right` and `pairs` (pairs ranked rightly, and
        all), the metrics of the GAICD protocol, and `IoU` and `Disp` below `boxes`; `minutes`,
        `config_hash` and `checkpoint_hash` are what a ledger row needs.
        """
        variant = SAME_RUN.get(variant, variant)
        chosen, profile = VARIANTS[variant], self.profile
        torch.manual_seed(seed)
        weights = None if self.init == "random" else "imagenet"
        model = (
            AsmNet(profile.backbone, chosen.pattern, weights, profile.stride).to(self.device).eval()
        )
        identity = self.identity(variant)
        histories = self._fit(model, chosen, seed, self.folder(variant, seed), identity)
        result = {
            **identity,
            "profile": self.profile_name,
            "settings": profile.settings(),
            "seed": seed,
            "photos": len(self.parts["test"]),
            "minutes": round(sum(history.seconds for history in histories.values()) / 60, 2),
            "device": program.device_name(self.device),
            "commit": ledger.current_commit(),
            "config_hash": self.config_hash(variant),
            "validation": [score for history in histories.values() for score in history.validation],
            **self.measure(model),
            "boxes": {
                name: measure_boxes(model, data, self.progress)
                for name, data in (boxes or {}).items()
            },
        }
        folder = self.folder(variant, seed)
        if folder is not None:
            card = {
                "method": METHOD,
                "variant": variant,
                "pattern": chosen.pattern,
                "backbone": profile.backbone,
            }
            card |= {"stride": profile.stride}
            checkpoints.save_weights(folder / WEIGHTS_FILE, model.state_dict(), card)
            result["checkpoint_hash"] = files.file_hash(folder / WEIGHTS_FILE)
            files.write_atomically(
                folder / RESULT_FILE, (json.dumps(result, indent=1) + "\n").encode()
            )
        return model, histories, result

    def _fit(
        self, model: AsmNet, variant: Variant, seed: int, folder: Path | None, identity: dict
    ) -> dict:
        profile, histories = self.profile, {}
        identity = {**identity, "profile": profile.settings()}
        if profile.head_epochs:
            recipe = training.Recipe(
                profile.head_epochs,
                profile.head_learning_rate,
                profile.head_batch,
                schedule="cosine",
                clip=profile.clip,
                seed=seed,
            )
            histories["head"] = self._train(
                model, model.head, variant, recipe, True, folder, identity
            )
        if profile.epochs:
            model.to(memory_format=torch.channels_last)  # a fifth faster on a CPU
            for unit in model.backbone.units[: profile.stem]:
                unit.requires_grad_(False)
            recipe = training.Recipe(
                profile.epochs,
                profile.learning_rate,
                profile.batch,
                schedule="cosine",
                clip=profile.clip,
                mixed_precision=profile.mixed_precision,
                seed=seed,
            )
            histories["whole"] = self._train(model, model, variant, recipe, False, folder, identity)
        return histories

    def _train(
        self,
        model: AsmNet,
        trained: torch.nn.Module,
        variant: Variant,
        recipe: training.Recipe,
        frozen: bool,
        folder: Path | None,
        identity: dict,
    ) -> training.History:
        photos, validation = self.photos("train", frozen, model), self.photos("val", frozen, model)
        stage = "head" if frozen else "whole"
        return training.train(
            trained,
            step(model, photos, variant, self.delta, mirror=not frozen),
            len(photos),
            recipe,
            folder and folder / stage,
            identity={**identity, "stage": stage, "seed": recipe.seed},
            validate=lambda: pair_accuracy(pair_counts(model, validation, self.delta)),
            progress=self.progress,
        )

    @torch.no_grad()
    def measure(self, model: AsmNet) -> dict[str, list[float]]:
        """`right` and `pairs` of each test photo at δ, and the metrics of the GAICD protocol."""
        model.eval()
        photos = self.photos("test", self.stage == "frozen", model)
        found = photos.by_photo(lambda batch: (crop_scores(model, batch).cpu(), batch.mos.cpu()))
        right, pairs = zip(
            *(metrics.ranking.pair_counts(*values, self.delta) for values in found), strict=True
        )
        table = metrics.ranking_table(*zip(*found, strict=True))
        columns = {"right": torch.stack(right), "pairs": torch.stack(pairs), **table}
        return {name: values.tolist() for name, values in columns.items()}


def crop_scores(model: AsmNet, batch: Batch) -> Tensor:
    """The crop-level scores (B, N) of a batch's crops."""
    return composition_pool(batch.score_map(model), batch.boxes, model.pattern, batch.size)


def step(
    model: AsmNet, photos: ScoredPhotos, variant: Variant, delta: float, mirror: bool
) -> Callable[[list[int], torch.Generator], Mapping[str, Tensor]]:
    """One step of training for `training.train`: the loss of equation 8, the mean over the photos
    of a batch.
    """

    def compute(indices: list[int], draw: torch.Generator) -> Mapping[str, Tensor]:
        mirrored = mirror and bool(torch.randint(2, (1,), generator=draw))
        sums: dict[str, Tensor] = {}
        for batch in photos.batches(indices, mirrored):
            score_map = batch.score_map(model)
            scores = composition_pool(score_map, batch.boxes, model.pattern, batch.size)
            saliency = batch.saliency_at(score_map.shape[-2:])
            parts = asm_loss(
                score_map, scores, batch.mos, saliency, delta, variant.weight, variant.per_pair
            )
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value * (len(batch.mos) / len(indices))
        return sums

    return compute


@torch.no_grad()
def pair_counts(model: AsmNet, photos: ScoredPhotos, delta: float) -> tuple[Tensor, Tensor]:
    """Pairs ranked rightly, and all pairs, of each photo: two tensors (photos,)."""

    def count(batch: Batch) -> tuple[Tensor, Tensor]:
        return metrics.ranking.pair_counts(crop_scores(model, batch), batch.mos, delta)

    right, pairs = zip(*photos.by_photo(count), strict=True)
    return torch.stack(right).cpu(), torch.stack(pairs).cpu()


def pair_accuracy(counts: tuple[Tensor, Tensor]) -> float:
    """The share of all pairs of a dataset that is ranked rightly, as Section 4.3 counts."""
    right, pairs = counts
    return float(right.sum() / pairs.sum())


def measure_boxes(
    model: AsmNet, data: CropDataset, progress: bool = True
) -> dict[str, list[float]]:
    """IoU and displacement of the best crop of the two-stage search, one value a photo (Tables 2
    and 3).
    """
    cropper = Cropper(AsmCropper(model, {}, next(model.parameters()).device))
    found = evaluation.measure(cropper, data, required=False, progress=progress)
    return {"IoU": found["IoU"].tolist(), "Disp": found["BDE"].tolist()}


def load_splits(
    name: str, form: str, profile: Profile
) -> tuple[CropDataset, CropDataset, CropDataset]:
    """Training, validation and test part.

    The profile's numbers of photos are the most that are taken: a split with fewer gives all that
    it has. CPC has no test photos: Section 4.3 measures on the 2 000 of its validation part. Here
    these are the test part, and what a run looks at meanwhile is held out from the training photos.
    """
    sizes = profile.train_photos, profile.validation_photos, profile.test_photos
    if name == "scenes":
        sizes = [
            wanted and min(wanted, there)
            for wanted, there in zip(sizes, SIZES[form].values(), strict=True)
        ]
    if name != "cpc":
        return datasets.splits(name, form, *sizes)
    whole, test = (
        datasets.load(name, "train").with_photos(),
        datasets.load(name, "val").with_photos(),
    )
    aside = held_out([sample.name for sample in whole.samples], profile.validation_photos)
    ours = [sample for sample in whole.samples if sample.name not in aside][: profile.train_photos]
    checked = [sample for sample in whole.samples if sample.name in aside]
    return (
        CropDataset(name, "train", whole.form, whole.root, ours),
        CropDataset(name, "train, held out", whole.form, whole.root, checked),
        CropDataset(name, "val", whole.form, whole.root, test.samples[: profile.test_photos]),
    )
