"""Runs of one method on one dataset: what they share is prepared once, and each is trained,
measured and kept in a folder of its own.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cropnb import checkpoints, datasets, files, ledger, training
from cropnb.datasets.base import CropDataset
from cropnb.errors import CheckpointError, CropnbError, DatasetMissing
from cropnb.runs import results
from cropnb.runs.devices import device_name, torch_device
from cropnb.runs.features import FeatureCache, cache_key
from cropnb.runs.identity import Run, identity_of, plain, slug
from cropnb.runs.method import Measurement, Method, Profile, Stage
from cropnb.runs.results import Result

WEIGHTS_FILE, TENSORS_FILE = "weights.safetensors", "measured.safetensors"
STARTS = ("imagenet", "random")  # of a backbone


class Experiment:
    """One method, dataset, profile and device: `train` makes one run of it, or reads it.

    Args:
        method: whose variants are trained.
        dataset: "scenes", a dataset on this disk, or several, such as "scenes+taught", see
            `datasets.splits`; the profile's numbers of photos are those of each.
        form: of the scenes and others that take any; a real dataset has its own.
        profile: the name of one of the method's profiles, or a profile of one's own.
        init: how the backbone starts: "imagenet" or "random".
        frozen: train the head only.
        test_photos: how many photos of the test part are measured, where it isn't as many as the
            profile says. It changes no training: a run that is trained is measured once more, and
            has a result for each number.
        out: the folder of all runs; None keeps nothing.
        deadline: of every training and of the features that it needs, on the clock of
            `time.monotonic`; see `training.train`.
        measured_by: of the features that measuring needs, a later one.

    Raises:
        CropnbError: a name that the method doesn't have, a GPU that isn't there, or no test photo.
    """

    def __init__(
        self,
        method: Method,
        dataset: str = "scenes",
        form: str | None = None,
        profile: str | Profile = "smoke",
        *,
        device: str = "cpu",
        init: str = "imagenet",
        frozen: bool = False,
        test_photos: int | None = None,
        out: str | Path | None = "runs",
        progress: bool = True,
        deadline: float | None = None,
        measured_by: float | None = None,
    ) -> None:
        self.method, self.dataset, self.init, self.frozen = method, dataset, init, frozen
        any_form = datasets.takes_form(dataset)
        own_form = datasets.FORMS.get(datasets.tested(dataset), datasets.tested(dataset))
        self.form = form or method.forms[0] if any_form else own_form
        check_choice("init", init, STARTS)
        if any_form:
            check_choice("form", self.form, method.forms)
        if isinstance(profile, str):
            check_choice("profile", profile, method.profiles)
        self.profile_name = profile if isinstance(profile, str) else "custom"
        self._given = None if isinstance(profile, str) else profile
        self.profile: Profile = self._given or method.profile(self)
        self.device, self.progress = torch_device(device), progress
        self.deadline, self.measured_by = deadline, measured_by
        if test_photos is not None and test_photos < 1:
            raise CropnbError(f"test_photos is {test_photos}: measure at least one photo")
        usual = test_photos == self.profile.test_photos
        self.test_photos = None if usual else test_photos
        self.out = Path(out) if out is not None else None
        self._parts: Mapping[str, CropDataset] | None = None
        self._prepared: dict[str, Any] = {}
        self._features: dict[str, FeatureCache] = {}
        self._features_by = deadline

    @property
    def parts(self) -> Mapping[str, CropDataset]:
        """The data of "train", "test" and mostly "val", drawn or read when first asked for."""
        if self._parts is None:
            self._parts = self._profile_parts
            if self.test_photos is not None:
                wider = copy.copy(self)
                wider.profile = replace(self.profile, test_photos=self.test_photos)
                part = self.method.eval_split(self)
                self._parts = {**self._parts, part: self.method.parts(wider)[part]}
        return self._parts

    @cached_property
    def _profile_parts(self) -> Mapping[str, CropDataset]:
        """The parts as the profile says, whatever is measured."""
        return self.method.parts(self)

    @property
    def result_files(self) -> tuple[str, str]:
        """What a run's result and tensors are called in its folder."""
        number = "" if self.test_photos is None else f"-{self.test_photos}"
        names = (Path(results.RESULT_FILE), Path(TENSORS_FILE))
        result, tensors = (f"{name.stem}{number}{name.suffix}" for name in names)
        return result, tensors

    def photos(self, part: str) -> Any:
        """A part as the method's network reads it, prepared when first asked for."""
        if part not in self._prepared:
            self._prepared[part] = self.method.prepare(self, part)
        return self._prepared[part]

    def features(
        self,
        part: str,
        network: nn.Module,
        look: Callable[[int, int], Sequence[Tensor]],
        *,
        views: int = 1,
        described: Mapping[str, object] | None = None,
        size: object = None,
        dtype: torch.dtype = torch.float16,
    ) -> FeatureCache:
        """What a network that doesn't move makes of the photos of a part; see `FeatureCache`.

        Computed once for all variants and seeds, and on disk once for all methods.

        Args:
            network: in evaluation mode; its weights are part of the cache's name.
            look: (photo, view) → maps.
            described: how views are made, as constants.
            size: how photos are resized.
            dtype: `torch.uint8` for photos and other bytes; their network is `nn.Identity()`.

        Raises:
            OutOfTime: the deadline has passed; what is computed is kept where runs are kept.
        """
        data = self.parts[part]
        names = [data.name, data.split, *(sample.name for sample in data.samples[:])]
        # Of the unusual constants some change maps and some don't: all of them stand in the name.
        changed = plain(self.method.unusual())
        kind = {"views": views, "dtype": str(dtype), **(described or {}), **changed}
        key = cache_key(network, names, kind, size)
        if key not in self._features:
            folder = self.out / "features" / key if self.out else None
            self._features[key] = FeatureCache(
                look,
                len(data),
                views,
                folder,
                progress=self.progress,
                dtype=dtype,
                deadline=self._features_by,
            )
        return self._features[key]

    def run(self, variant: str, seed: int) -> Run:
        """What a run is."""
        check_choice("variant", variant, self.method.variants)
        identity = identity_of(self, variant)
        folder = None
        if self.out is not None:
            kind = f"{self.dataset}-{self.form}-{self.profile_name}{'-frozen' * self.frozen}"
            name = f"{slug(variant)}-{training.fingerprint(identity)[:8]}-seed{seed}"
            folder = self.out / self.method.name / kind / name
        return Run(variant=variant, seed=seed, identity=identity, folder=folder)

    def result_path(self, variant: str, seed: int) -> Path:
        """Where a run's result is, or will be; `CropnbError` where nothing is kept."""
        folder = self.run(variant, seed).folder
        if folder is None:
            raise CropnbError("nothing of these runs is kept: give a folder with `out`")
        return folder / self.result_files[0]

    def finished(self, variant: str, seed: int) -> Result | None:
        """The result of a run that was trained and measured before, or None.

        Raises:
            CheckpointError: its result file is cut short, or it was measured on other photos than
                there are now. Where none of them is on this disk the result stands as it is.
        """
        result = self._read(self.run(variant, seed))
        return result and self.method.completed(self, result)

    def validation(self, variant: str, seed: int) -> Sequence[float] | None:
        """The validation scores of a finished run, on however many photos it was measured; None for
        one that is still to be trained.

        Raises:
            CheckpointError: its result file is cut short.
        """
        folder = self.run(variant, seed).folder
        result = results.any_of(folder) if folder else None
        return result and result.validation

    def _read(self, run: Run) -> Result | None:
        """What a run's folder holds, compared with the data; no photo is decoded."""
        result = results.read(run.folder, self.result_files[0]) if run.folder else None
        if result is None:
            return None
        try:
            data = self.parts[self.method.eval_split(self)]
        except DatasetMissing:  # a result may be read where its photos aren't
            return result
        results.check_photos(run.folder, result, data.split, len(data))
        return result

    def model(self, run: Run) -> nn.Module:
        """The network of a run as training starts."""
        torch.manual_seed(run.seed)
        return self.method.build(self, run).to(self.device)

    def trained(self, variant: str, seed: int) -> nn.Module:
        """The network of a finished run; `CheckpointError` when there is none."""
        run = self.run(variant, seed)
        model = self.model(run)
        path = (run.folder or Path("no folder")) / WEIGHTS_FILE
        checkpoints.load_into(model, checkpoints.load_weights(path, self.method.name)[0], path)
        return model.eval()

    def tensors(self, variant: str, seed: int) -> dict[str, Tensor]:
        """What a finished run kept beside its result; `CheckpointError` when there is none."""
        path = (self.run(variant, seed).folder or Path("no folder")) / self.result_files[1]
        return checkpoints.load_weights(path, self.method.name)[0]

    def train(
        self, variant: str, seed: int, max_steps: int | None = None
    ) -> tuple[nn.Module, dict[str, checkpoints.History], Result]:
        """Train one variant, or continue it, and measure it.

        Another process that trains the same run is waited for, and its result is read.

        Args:
            max_steps: of each stage; stops early, and such a run is not measured as finished.

        Returns:
            The network, a history for each stage, and the result.
        """
        run = self.run(variant, seed)
        if run.folder is None:
            return self._train(run, max_steps)
        files.make_folder(run.folder)
        with files.locked(run.folder, f"{run.folder} is in use by another process: waiting"):
            return self._train(run, max_steps)

    def _train(
        self, run: Run, max_steps: int | None
    ) -> tuple[nn.Module, dict[str, checkpoints.History], Result]:
        """The same, with the folder held."""
        self._features_by = self.deadline
        result = self._read(run) if max_steps is None else None
        model, histories, stage = self.model(run), {}, None
        if result is None:
            self._check_trained_here(run)
        # What trains decides: a run is the same whatever is measured afterwards.
        parts = self._profile_parts.items()
        data = {part: [len(photos), photos.split] for part, photos in parts}
        for stage in self.method.stages(self, run, model):
            histories[stage.name] = training.train(
                stage.trained,
                stage.loss,
                stage.size,
                stage.recipe,
                run.folder and run.folder / stage.name,
                identity={**run.identity, "stage": stage.name, "data": data},
                validate=stage.validate,
                progress=self.progress,
                max_steps=max_steps,
                optimizer=stage.optimizer,
                best=stage.best,
                deadline=self.deadline,
            )
        if result is not None:
            path = run.folder / WEIGHTS_FILE
            state, _ = checkpoints.load_weights(path, self.method.name)
            checkpoints.load_into(model, state, path)
            return model.eval(), histories, result
        finished = max_steps is None
        return model, histories, self._measure(run, model, histories, stage, finished)

    def _measure(
        self,
        run: Run,
        model: nn.Module,
        histories: Mapping[str, checkpoints.History],
        stage: Stage,
        finished: bool,
    ) -> Result:
        """Measure the epochs that the method names; of a finished run keep weights and result."""
        measured, states = {}, {}
        self._features_by = self.measured_by
        for epoch in self.method.epochs:
            if epoch == "best" and run.folder is not None and stage.validate is not None:
                path = run.folder / stage.name / checkpoints.BEST_FILE
                checkpoints.load_into(
                    stage.best or stage.trained, checkpoints.load_weights(path)[0], path
                )
            states[epoch] = {name: value.clone() for name, value in model.state_dict().items()}
            model.eval()
            measured[epoch] = self.method.measure(self, run, model)
        first = self.method.epochs[0]
        model.load_state_dict(states[first])
        noted = stage.record(histories[stage.name]) if stage.record else Measurement({})
        tensors = {**measured[first].tensors, **noted.tensors}
        eval_split = self.parts[self.method.eval_split(self)]
        result = Result(
            method=self.method.name,
            variant=run.variant,
            dataset=self.dataset,
            form=self.form,
            profile=self.profile_name,
            init=self.init,
            frozen=self.frozen,
            seed=run.seed,
            split=eval_split.split,
            photos=len(eval_split),
            minutes=round(sum(history.seconds for history in histories.values()) / 60, 2),
            device=device_name(self.device),
            commit=ledger.current_commit(),
            config_hash=run.config_hash,
            settings={name: run.identity[name] for name in ("profile", "variant")},
            validation=[score for history in histories.values() for score in history.validation],
            columns=_lists(measured[first].columns),
            best=_lists(measured["best"].columns) if first != "best" and "best" in measured else {},
            details={**measured[first].details, **noted.details},
        )
        if run.folder is None or not finished:
            return result
        card = {"method": self.method.name, "variant": run.variant, **self.method.card(result)}
        if results.any_of(run.folder) is None:  # else they lie there, with a hash that is on record
            checkpoints.save_weights(run.folder / WEIGHTS_FILE, model.state_dict(), card)
        if tensors:
            checkpoints.save_weights(run.folder / self.result_files[1], tensors, card)
        weights = files.file_hash(run.folder / WEIGHTS_FILE)
        result = Result(**{**asdict(result), "checkpoint_hash": weights})
        result.write(run.folder, self.result_files[0])
        return result

    def _check_trained_here(self, run: Run) -> None:
        """CheckpointError for a run with weights that no training could go on from."""
        if run.folder is None or not (run.folder / WEIGHTS_FILE).exists():
            return
        if not list(run.folder.glob(f"*/{checkpoints.RUN_FILE}")):
            raise CheckpointError(
                f"{run.folder} was trained on another machine and isn't measured on these photos; "
                "measure it there, or remove the folder, and the run is made anew"
            )


def _lists(columns: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {
        name: values.tolist() if isinstance(values, Tensor) else list(values)
        for name, values in columns.items()
    }


def check_choice(kind: str, name: str, choices: Sequence[str] | Mapping[str, object]) -> None:
    """Raise `CropnbError` for a name that isn't there, with those that are."""
    if name not in choices:
        raise CropnbError(f"no {kind} {name!r}: there are {', '.join(map(str, choices))}")
