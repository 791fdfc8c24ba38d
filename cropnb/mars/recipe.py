"""What Mars is trained on and how: every row of Tables 1 to 6, and the profiles."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cropnb import backbones, datasets, ledger
from cropnb.mars.cropper import THRESHOLD
from cropnb.mars.losses import (
    Features,
    from_cache,
    from_photos,
    predict_crops,
    search_threshold,
    step_loss,
)
from cropnb.mars.model import LEFT_OUT, VARIANTS, Mars, cut_features
from cropnb.mars.photos import LONG_SIDE, RatioPhotos
from cropnb.mars.studies import rows
from cropnb.runs import (
    Column,
    Experiment,
    Measurement,
    Method,
    Place,
    Result,
    Run,
    Stage,
)
from cropnb.runs import Profile as Base
from cropnb.runs.context import Context
from cropnb.runs.method import NORMALISATION
from cropnb.training import Loss, Recipe

MEASURED = ("IoU", "Offset")  # of Tables 1 to 6
UNSEEN = "IoU, 2:3 and 3:2"  # where photos ask for them


@dataclass(frozen=True)
class Profile(Base):
    """How much is trained; epochs of 0 leave a stage out."""

    head_epochs: int = 0  # on features of the backbone as it starts
    head_learning_rate: float = 1e-3
    epochs: int = 0  # the whole network
    learning_rate: float = 1e-4
    backbone_learning_rate: float | None = None  # None: the same
    trained_from: str | None = None  # "c3_3": the units up to this cut stay as they are
    bfloat16: bool = False  # what is trained of the backbone computes in it
    batch_size: int = 32  # annotations, each with its photo
    decay: float = 1e-4  # of the base model
    meta_decay: float = 1e-3  # of embeddings and meta-learners
    views: int = 2  # of each photo; see `photos.Augmentations`
    octaves: float = 0.2
    neurons: int = 512  # of the meta-learners
    cells: int | None = None  # of a photo's feature map in one step; see `losses.step_loss`
    schedule: str = "cosine"
    threshold_photos: int = 300  # training photos on which θ is searched
    mixed_precision: bool = False


# What a CPU trains of the network in minutes: the first units, which cost most, stay.
_TRAINED = Profile(
    train_photos=2400,
    validation_photos=60,
    test_photos=500,
    epochs=8,
    learning_rate=1e-3,
    backbone_learning_rate=5e-4,
    trained_from="c3_3",
    neurons=256,
    cells=32,
    threshold_photos=100,
)


_FULL = Profile(None, 1000, None, epochs=50, schedule="warm-up cosine", mixed_precision=True)


class MarsMethod(Method):
    """The rows of Tables 1 to 6, trained alike."""

    name, main = "mars", "Mars"
    variants = VARIANTS
    groups = {
        table: [name for name, variant in VARIANTS.items() if table in dict(variant.cells)]
        for table, _ in VARIANTS[main].cells
    }
    forms = ("fat",)
    columns = {
        "IoU": Column(worth_having=0.005),
        "Offset": Column(higher_is_better=False, worth_having=1.0),  # pixels
        "BDE": Column(higher_is_better=False, worth_having=0.002),
    }
    remark = (
        "Mars crops to a required ratio. Without one it takes the photo's own, whose largest "
        "window is the whole photo, and so stays below the middle 90 % on FCDB's photographs there."
    )
    claim_columns = MEASURED
    usual = {
        **NORMALISATION,
        "cropnb.mars.photos.LONG_SIDE": 256,
        "cropnb.mars.photos.MULTIPLE": 32,
        "cropnb.mars.photos.BAND": 0.1,
        "cropnb.mars.model.WIDEST": 512,
        "cropnb.mars.model.LEFT_OUT": (2 / 3, 3 / 2),
        "cropnb.mars.ratio.LOWEST": 0.5,
        "cropnb.mars.ratio.HIGHEST": 2.0,
        "cropnb.mars.losses.THRESHOLDS": tuple(step / 20 for step in range(1, 20)),
        "cropnb.mars.cropper.THRESHOLD": 0.4,
    }
    pending_notes = {
        "Speed": "a speed on the authors' GPU; ratios between rows are in the table «seconds, as a "
        "ratio» where measured",
        "Param": "arithmetic: python -m cropnb.mars.studies.parameters --record",
    }
    # Scenes ask for nine ratios only, so each photo has several views, stretched by up to a fifth
    # of an octave: that fills the gaps between the nine.
    profiles = {
        "smoke": Profile(24, 12, 24, head_epochs=10, neurons=64, cells=32, threshold_photos=24),
        "cpu": Profile(
            800, 60, 500, head_epochs=6, views=3, neurons=256, cells=32, threshold_photos=100
        ),
        # Arms that are compared all compute in bfloat16, and a step's loss is the same to three
        # digits. How many times as fast a step is where a CPU has it, the ledger's row «Mars,
        # training from c3_3 on in bfloat16» says.
        "trained": replace(_TRAINED, bfloat16=True),
        # With photographs, which are about as many as these scenes; these weights ship.
        "photographs": replace(_TRAINED, validation_photos=150, epochs=7, bfloat16=True),
        "full": _FULL,
        # Table 7's networks (Sec. 4.3) learn from all training photos of FAT, so none is left to
        # validate on, and the last epoch is taken.
        "retrained": replace(_FULL, validation_photos=0),
    }

    def profile(self, experiment: Experiment) -> Profile:
        """As it is on scenes; on a real dataset without stretching, as the paper trains."""
        profile = super().profile(experiment)
        if experiment.frozen:
            epochs = profile.head_epochs or profile.epochs
            profile = replace(profile, epochs=0, head_epochs=epochs)
        if not datasets.takes_form(experiment.dataset):
            return replace(profile, octaves=0.0)
        # More scenes there aren't.
        return replace(profile, validation_photos=min(profile.validation_photos, 500))

    def settings(self, experiment: Experiment, variant: str) -> Mapping[str, object]:
        """The network's arguments, and the ratios that are left out of training, where there are
        any.
        """
        chosen = self.variants[variant]
        left_out = {"left_out": chosen.left_out} if chosen.left_out else {}
        return {"variant": {**chosen.arguments, **left_out}}

    def arguments(self, experiment: Experiment, variant: str) -> dict[str, object]:
        """Those of `Mars` for one row of the tables, with the profile's neurons."""
        return {**self.variants[variant].arguments, "neurons": experiment.profile.neurons}

    def build(self, experiment: Experiment, run: Run) -> Mars:
        """Mars with the modules that the row of the ablation has."""
        weights = "imagenet" if experiment.init == "imagenet" else None
        return Mars(**self.arguments(experiment, run.variant), weights=weights)

    def prepare(self, experiment: Experiment, part: str) -> RatioPhotos:
        """Training photos in several views, the others as they are."""
        profile = experiment.profile
        views = (profile.views, profile.octaves) if part == "train" else (1, 0.0)
        return RatioPhotos(experiment.parts[part], *views, progress=experiment.progress)

    def features(
        self, experiment: Experiment, model: Mars, part: str, trained: bool | None = None
    ) -> Features:
        """The feature maps of a part's photos, computed at each call as far as the backbone is
        trained. Those of its frozen units are computed once.

        Args:
            trained: whether the backbone is trained; by default whether the profile trains it.
        """
        photos, profile = experiment.photos(part), experiment.profile
        trained = bool(profile.epochs) if trained is None else trained
        if trained and profile.trained_from is None:
            return from_photos(model, photos, experiment.device)
        if trained:
            stem, trunk = backbones.split(model.backbone, profile.trained_from, profile.bfloat16)
        else:
            stem = backbones.to_channels_last(backbones.fuse_for_inference(model.backbone))
            trunk = None

        def look(index: int, view: int) -> tuple[Tensor, Tensor]:
            photo = photos.photo(index, view)
            size = torch.tensor([photo.shape[-1], photo.shape[-2]]).view(2, 1, 1)
            return cut_features(stem, photo[None].to(experiment.device))[0], size

        cache = experiment.features(
            part,
            stem,
            look,
            views=photos.augmentations.views,
            described={"octaves": profile.octaves, "sizes": "second level"},
            size=f"long side {LONG_SIDE}",
        )
        return from_cache(model, cache, trunk, experiment.device)

    def stages(self, experiment: Experiment, run: Run, model: Mars) -> Iterator[Stage]:
        """All but the backbone on features that stay, then everything; a profile may leave out
        either.
        """
        profile = experiment.profile
        if profile.head_epochs:
            model.backbone.requires_grad_(False)
            yield self._stage(experiment, run, model, "head")
            model.backbone.requires_grad_(True)
        if profile.epochs:
            yield self._stage(experiment, run, model, "whole")

    def _stage(self, experiment: Experiment, run: Run, model: Mars, name: str) -> Stage:
        """The training of the head, or of the whole network."""
        profile, whole = experiment.profile, name == "whole"
        photos = experiment.photos("train")
        features = self.features(experiment, model, "train", trained=whole)
        rate = profile.learning_rate if whole else profile.head_learning_rate
        allowed = photos.without(self.variants[run.variant].left_out)  # (A, views)
        annotations = allowed.any(1).nonzero().squeeze(1)

        return Stage(
            name=name,
            trained=model,
            loss=_step(model, photos, features, profile.cells, allowed),
            size=len(annotations),
            recipe=Recipe(
                epochs=profile.epochs if whole else profile.head_epochs,
                learning_rate=rate,
                batch_size=profile.batch_size,
                schedule=profile.schedule,
                mixed_precision=profile.mixed_precision,
                seed=run.seed,
            ),
            validate=self._validation(experiment, model, whole),
            optimizer=optimizer(model, profile, rate, profile.backbone_learning_rate or rate),
        )

    def _validation(
        self, experiment: Experiment, model: Mars, whole: bool
    ) -> Callable[[], float] | None:
        """IoU on validation photos, where there are any."""
        if "val" not in experiment.parts:
            return None
        photos = experiment.photos("val")
        features = self.features(experiment, model, "val", trained=whole)

        def validate() -> float:
            boxes, _ = predict_crops(model, photos, features)[THRESHOLD]
            return photos.compare(boxes)["IoU"].mean().item()

        return validate

    def eval_split(self, experiment: Experiment) -> str:
        """Of FAT the 1 000 training photos that are held out (Tables 1 to 6), where there are."""
        held_out = experiment.dataset == "fat" and experiment.profile.validation_photos
        return "val" if held_out else "test"

    def measure(self, experiment: Experiment, run: Run, model: Mars) -> Measurement:
        """IoU and BDE at the threshold that served best on training photos, each photo's mean over
        its ratios.
        """
        part, profile = self.eval_split(experiment), experiment.profile
        threshold, means = search_threshold(
            model,
            experiment.photos("train"),
            self.features(experiment, model, "train"),
            profile.threshold_photos,
        )
        photos = experiment.photos(part)
        features = self.features(experiment, model, part)
        boxes, empty = predict_crops(model, photos, features, [threshold])[threshold]
        compared = photos.compare(boxes)
        columns = {name: photos.per_photo(values) for name, values in compared.items()}
        if datasets.takes_form(experiment.dataset):  # nine ratios, and these two are among them
            columns[UNSEEN] = photos.per_photo_of(compared["IoU"], LEFT_OUT)
        return Measurement(
            columns=columns,
            details={
                "arguments": self.arguments(experiment, run.variant),
                "threshold": threshold,
                "thresholds": {f"{value:g}": mean for value, mean in means.items()},
                "nothing above": empty.double().mean().item(),
                "annotations": len(photos.owner),
            },
        )

    def blind(self, experiment: Experiment) -> Mapping[str, Sequence[float]]:
        """The largest centred window of each required ratio."""
        photos = experiment.photos(self.eval_split(experiment))
        columns = photos.compare(photos.centred())
        return {name: photos.per_photo(values).tolist() for name, values in columns.items()}

    def card(self, result: Result) -> dict[str, object]:
        """How the network is built, its threshold, and what it was trained on."""
        trained = {name: getattr(result, name) for name in ("dataset", "profile", "seed")}
        return trained | {name: result.details[name] for name in ("arguments", "threshold")}

    def places(self, experiment: Experiment, variant: str) -> list[Place]:
        """The cells of Tables 1 to 6 that print the variant, or a table of what none prints;
        nowhere where all photos were learned from: Table 7 asks these networks in its own way.
        """
        cells = self.variants[variant].cells
        if not experiment.profile.validation_photos:
            return []
        if not cells:
            return [Place("ratios left out of training", variant, (UNSEEN, *MEASURED))]
        return [Place(table, row, MEASURED) for table, row in cells]

    def note(self, results: Sequence[Result]) -> str:
        """The threshold, and how many maps lay below it everywhere."""
        return rows.note(results)

    def further_rows(
        self, context: Context, experiment: Experiment, results: Mapping[str, list[Result]]
    ) -> list[ledger.Row]:
        """What the largest centred window reaches."""
        annotations = len(experiment.photos(self.eval_split(experiment)).owner)
        return rows.centred(context, annotations, self.blind(experiment), MEASURED)


def _step(
    model: Mars, photos: RatioPhotos, features: Features, number: int | None, allowed: Tensor
) -> Loss:
    """A step of training: each annotation with one view, at random among the allowed (A, views)."""
    annotations = allowed.any(1).nonzero().squeeze(1)

    def step(batch: Sequence[int], rng: torch.Generator) -> Mapping[str, Tensor]:
        chosen = annotations[torch.tensor(batch)]  # (B,)
        views = torch.randint(photos.augmentations.views, (len(batch),), generator=rng)
        if not allowed.all():
            shares = torch.rand(len(batch), allowed.shape[1], generator=rng)  # (B, views)
            views = shares.masked_fill(~allowed[chosen], -1).argmax(1)
        return step_loss(
            model, photos, features, annotations=chosen, views=views, number=number, rng=rng
        )

    return step


def optimizer(model: Mars, profile: Profile, rate: float, backbone_rate: float) -> torch.optim.Adam:
    """Adam with a weight decay for the base model and another for embeddings and meta-learners
    (Sec. 4.1).
    """
    backbone, meta = list(model.backbone.parameters()), model.meta_parameters()
    apart = {id(parameter) for parameter in (*backbone, *meta)}
    head = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    groups = [
        {"params": backbone, "lr": backbone_rate, "weight_decay": profile.decay},
        {"params": head, "weight_decay": profile.decay},
        {"params": meta, "weight_decay": profile.meta_decay},
    ]
    for group in groups:
        group["params"] = [parameter for parameter in group["params"] if parameter.requires_grad]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=rate, fused=True)


METHOD = MarsMethod()
