"""Runs of LA2C on one dataset: photos prepared once, a folder a run, and a result file that others
can read.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from cropnb import checkpoints, datasets, files, ledger, metrics, training
from cropnb.datasets.base import CropDataset
from cropnb.la2c import learner, rules
from cropnb.la2c.analysis import oracle
from cropnb.la2c.features import FeatureAlbum, calibrate
from cropnb.la2c.game import Game, scene_of
from cropnb.la2c.model import Agent
from cropnb.la2c.observe import Album
from cropnb.la2c.play import Outcome, play, play_all
from cropnb.la2c.recipe import VARIANTS, Profile
from cropnb.program import device_name

RESULT_FILE, WEIGHTS_FILE = "result.json", "weights.safetensors"
STEP_LIMITS = (5, 10, 15, 20, 30, 40)
TIMED = 40  # photos on which the time a photo is taken, one at a time
TOGETHER = 128  # photos that are cropped side by side in an evaluation
# training photos that give the batch statistics of a backbone that starts at random
CALIBRATED = 64


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
        self.dataset, self.profile_name, self.profile = dataset, profile_name, profile
        self.device, self.progress = torch.device(device), progress
        self.out = Path(out) / "la2c" / f"{dataset}-{profile_name}" if out else None
        sizes = (profile.train_photos, profile.validation_photos, profile.test_photos)
        training_form, test_form = (
            (profile.form, "fcdb") if dataset == "scenes" else (dataset, dataset)
        )
        learned, checked, _ = datasets.splits(dataset, training_form, *sizes)
        self.parts: dict[str, CropDataset] = {
            "train": learned,
            "val": checked,
            "test": datasets.splits(dataset, test_form, *sizes)[2],
        }
        self._bases: dict[str, Agent] = {}
        self._albums: dict[tuple[str, str], Album] = {}

    def base(self, init: str) -> Agent:
        """An agent whose backbone every run of this start begins with."""
        if init not in self._bases:
            torch.manual_seed(0)
            weights = None if init == "random" else "imagenet"
            self._bases[init] = Agent(weights=weights, shared=self.profile.shared).to(self.device)
            if weights is None:
                calibrate(self._bases[init].backbone, self.parts["train"].samples[:CALIBRATED])
        return self._bases[init]

    def album(self, part: str, init: str) -> Album:
        """The photos of one part, or their feature maps, made once and kept in the folder of the
        runs.
        """
        key = (part, init if self.profile.shared else "")
        if key not in self._albums:
            photos = self.parts[part]
            if not self.profile.shared:
                self._albums[key] = Album(photos, str(self.device))
            else:
                views = self.profile.views if part == "train" else 0
                names = [
                    *_start(init).values(),
                    [sample.name for sample in photos.samples[:]],
                    *([views] if views else []),
                ]
                file = f"{part}-{init}-{training.fingerprint(names)}.safetensors"
                keep = self.out.parent / "features" / file if self.out else None
                self._albums[key] = FeatureAlbum(
                    photos, self.base(init), str(self.device), keep, self.progress, views
                )
        return self._albums[key]

    def game(self, part: str, variant: str, init: str, episodes: int, **changes: object) -> Game:
        """The rules of a variant on the photos of one part."""
        chosen, grid = VARIANTS[variant], self.base(init).grid
        settings = {
            "actions": chosen.actions,
            "reward": chosen.reward,
            "step_limit": self.profile.step_limit,
        }
        settings["truths"] = self.profile.match
        size = grid if self.profile.shared else self.profile.size
        return Game(self.album(part, init), episodes, size=size, **{**settings, **changes}).to(
            self.device
        )

    def arguments(self, variant: str) -> dict[str, object]:
        """What an agent of this variant is built with, as it stands in its card."""
        chosen = VARIANTS[variant]
        actions = rules.ACTIONS[chosen.actions]
        mirror = {"mirror": actions.mirror()} if self.profile.symmetric else {}
        narrow = {"narrow": self.profile.narrow} if self.profile.narrow else {}
        return {"actions": len(actions), "shared": self.profile.shared, "neck": self.profile.neck,
                **narrow, **mirror, **chosen.agent}  # fmt: skip

    def agent(self, variant: str, init: str, seed: int) -> Agent:
        """A new agent: the backbone of its start, heads of its seed."""
        torch.manual_seed(seed)
        made = Agent(weights=None, dropout=self.profile.dropout, **self.arguments(variant))
        made.backbone.load_state_dict(self.base(init).backbone.state_dict())
        if self.profile.shared:
            made.backbone.requires_grad_(False)
        return made.to(self.device)

    def run(
        self, variant: str, seed: int, init: str = "imagenet"
    ) -> tuple[Agent, learner.History, dict]:
        """Train one variant, or continue it, and measure the agent of the best validation score on
        the test photos.
        """
        init = VARIANTS[variant].init or init
        recipe = VARIANTS[variant].recipe(self.profile.recipe, seed)
        folder = self.out / f"{variant.replace(' ', '-')}-seed{seed}" if self.out else None
        agent = self.agent(variant, init, seed)
        world = self.game("train", variant, init, recipe.environments)
        check = self.game("val", variant, init, TOGETHER, reward="iou_sign")
        about = {
            "method": "la2c",
            "variant": variant,
            "dataset": self.dataset,
            **_start(init),
            "photos": len(self.parts["train"]),
        }
        # What is switched off is no part of a run's identity, so that a new switch leaves older
        # runs as they are.
        switched = asdict(replace(self.profile, recipe=recipe)).items()
        setting = {
            **about,
            "profile": {name: value for name, value in switched if value not in (False, 0.0)},
        }
        history = learner.train(
            agent,
            world,
            recipe,
            folder,
            identity=setting,
            validate=lambda: mean_overlap(play_all(agent, check), check),
            progress=self.progress,
        )
        if folder is not None:
            best = folder / checkpoints.BEST_FILE
            checkpoints.load_into(agent, checkpoints.load_weights(best)[0], best)
            checkpoints.save_weights(
                folder / WEIGHTS_FILE, agent.state_dict(), {"method": "la2c", "variant": variant}
            )
            known = _known(folder / RESULT_FILE, training.fingerprint(setting))
            if known is not None:
                return agent, history, known
        result = {
            **about,
            "seed": seed,
            "profile": self.profile_name,
            "photos": len(self.parts["test"]),
            "agent": self.arguments(variant),
            "rules": {"actions": VARIANTS[variant].actions, "step_limit": self.profile.step_limit,
                      "size": self.profile.size},
            "minutes": round(history.seconds / 60, 2),
            "device": device_name(self.device),
            "commit": ledger.current_commit(),
            "config_hash": training.fingerprint(setting),
            "checkpoint_hash": files.file_hash(folder / WEIGHTS_FILE) if folder else "",
            "validation": history.validation,
            "curve": {name: learner.per_episode(history, name, 200).tolist() for name in ("length", "iou")},
            "entropy": _means(history.column("entropy"), 200),
            **self.measure(agent, variant, init),
        }  # fmt: skip
        if folder is not None:
            files.write_atomically(
                folder / RESULT_FILE, (json.dumps(result, indent=1) + "\n").encode()
            )
        return agent, history, result

    def measure(self, agent: Agent, variant: str, init: str) -> dict[str, object]:
        """What the test photos say, lists over photos: accuracy and steps, also for every step
        limit, and seconds.
        """
        chosen = rules.ACTIONS[VARIANTS[variant].actions]
        game = self.game("test", variant, init, TOGETHER, reward="iou_sign")
        limits = sorted({*STEP_LIMITS, self.profile.step_limit})
        ends = play_all(agent, game, step_limits=limits)
        found = ends[self.profile.step_limit]
        fused = agent.for_inference()
        samples = [
            self.parts["test"][index] for index in range(min(TIMED, len(self.parts["test"])))
        ]
        seconds = []
        for sample in [samples[0], *samples]:
            photo = sample.photo()
            start = time.perf_counter()
            play(
                fused,
                photo,
                actions=chosen,
                step_limit=self.profile.step_limit,
                size=self.profile.size,
            )
            seconds.append(time.perf_counter() - start)
        return {
            "test": {**_lists(accuracy(found, game.album)), **_lists(self.against_scenes(found, game))},
            "steps": found.steps.tolist(),
            "stopped": found.stopped.tolist(),
            "limits": {str(limit): {"steps": end.steps.tolist(), **_lists(accuracy(end, game.album))}
                       for limit, end in ends.items()},
            "seconds": seconds[1:],  # the first photo warms up
        }  # fmt: skip

    def against_scenes(self, found: Outcome, game: Game) -> dict[str, Tensor]:
        """What only composed scenes can tell: each photographer's box, the noise-free best box, the
        aesthetic score.
        """
        if self.dataset != "scenes":
            return {}
        return {**photographers(found, game.album), **noise_free(found, game)}


def _start(init: str) -> dict[str, object]:
    """What tells one start of the backbone from another."""
    return {"init": init} | ({"calibrated": CALIBRATED} if init == "random" else {})


def _known(file: Path, config_hash: str) -> dict | None:
    """What a finished run of this configuration measured."""
    if not file.exists():
        return None
    result = json.loads(file.read_text("utf-8"))
    return result if result["config_hash"] == config_hash else None


def mean_overlap(found: Outcome, game: Game) -> float:
    """The mean over photos of the IoU that the game pays for."""
    album = game.album
    return float(
        rules.overlap(found.boxes, album.truths.cpu(), album.valid.cpu(), game.truths).mean()
    )


def accuracy(found: Outcome, album: Album) -> dict[str, Tensor]:
    """IoU and BDE of each crop with the best-matching true box, (N,) each; of three also with each
    of them.
    """
    columns: dict[str, list] = {}
    for index, box in enumerate(found.boxes):
        truths, size = album.truths[index][album.valid[index]].cpu(), album.sizes[index].tolist()
        pairs = {"": truths} | (
            {f" {n}": truths[n - 1 : n] for n in (1, 2, 3)} if len(truths) == 3 else {}
        )
        for suffix, boxes in pairs.items():
            overlap, shift = metrics.iou_and_bde(box, boxes, *size)
            columns.setdefault(f"IoU{suffix}", []).append(overlap)
            columns.setdefault(f"BDE{suffix}", []).append(shift)
    return {name: torch.stack(values) for name, values in columns.items()}


def photographers(found: Outcome, album: Album) -> dict[str, Tensor]:
    """IoU and BDE with the box of each of the three photographers of the same scenes, in the form
    of CUHK-ICD.
    """
    from cropnb.datasets.scenes.forms import make_sample

    columns: dict[str, list] = {}
    for sample, box in zip(album.samples, found.boxes, strict=True):
        scene = scene_of(sample)
        drawn = make_sample(scene.seed, scene.split, scene.index, "cuhk_icd").boxes
        for number, truth in enumerate(drawn, 1):
            overlap, shift = metrics.iou_and_bde(box, truth[None], *sample.size)
            columns.setdefault(f"IoU {number}", []).append(overlap)
            columns.setdefault(f"BDE {number}", []).append(shift)
    return {name: torch.stack(values) for name, values in columns.items()}


def noise_free(found: Outcome, game: Game) -> dict[str, Tensor]:
    """IoU with the noise-free best box, of the crop, of the whole photo and of the greedy oracle on
    LA2C's lattice.
    """
    from cropnb.datasets.scenes import aesthetic_score
    from cropnb.datasets.scenes.forms import windows_for

    best, scores = [], []
    for sample, box in zip(game.album.samples, found.boxes, strict=True):
        windows = windows_for(*sample.size)
        best.append(windows[aesthetic_score(scene_of(sample), windows).argmax()])
        scores.append(aesthetic_score(scene_of(sample), box[None].float())[0])
    truth, valid = torch.stack(best)[:, None].double(), torch.ones(len(best), 1, dtype=torch.bool)
    sizes = game.album.sizes.cpu().double()
    whole = torch.cat([torch.zeros_like(sizes), sizes], 1)
    ends = {
        "best box": found.boxes,
        "best box, whole photo": whole,
        "best box, oracle": oracle(truth, sizes).boxes,
    }
    overlaps = {name: rules.overlap(boxes, truth, valid, "best") for name, boxes in ends.items()}
    return {**overlaps, "aesthetic score": torch.stack(scores)}


def _lists(columns: Mapping[str, Tensor]) -> dict[str, list[float]]:
    return {
        name: [round(value, 5) for value in values.tolist()] for name, values in columns.items()
    }


def _means(values: Tensor, window: int) -> list[float]:
    whole = len(values) // window * window
    return values[:whole].view(-1, window).mean(1).tolist()
