"""The environment for Gymnasium: one episode, or many that are computed together.

Gymnasium is imported here and nowhere else, so that training and inference do without it.
"""

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from cropnb.datasets.base import CropDataset
from cropnb.errors import CropnbError
from cropnb.la2c import rules
from cropnb.la2c.envs.banks import ImageBank
from cropnb.la2c.envs.batched import BatchedCropEnv


class ActionError(CropnbError, gymnasium.error.InvalidAction):
    """An action that the environment doesn't have."""


class EpisodeError(CropnbError, gymnasium.error.ResetNeeded):
    """A step in an episode that has ended, or that was never begun."""


class _Rules:
    """Spaces and settings, the same for both environments."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}

    def _set_up(
        self, dataset: CropDataset | ImageBank, count: int, render_mode: str | None, options: dict
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise CropnbError(f"render_mode is None or 'rgb_array', not {render_mode!r}")
        self.render_mode = render_mode
        self.batch = BatchedCropEnv(dataset, count, **options)
        shape = (3, self.batch.size, self.batch.size)
        self._observations = spaces.Box(0, 255, shape, np.uint8)
        self._actions = spaces.Discrete(len(self.batch.actions))
        self.ended = np.ones(count, dtype=bool)  # until the first reset

    def _start(
        self, rows: np.ndarray, generators: list[np.random.Generator], options: dict | None
    ) -> None:
        """Begin episodes, each on a photo from its own generator, or on `options["photo"]`."""
        photos, number = len(self.batch.bank), (options or {}).get("photo")
        if number is not None and not 0 <= int(number) < photos:
            raise CropnbError(
                f"photo {number} was asked for, and there are {photos}: 0…{photos - 1}"
            )
        chosen = [int(g.integers(photos)) if number is None else int(number) for g in generators]
        device = self.batch.photo.device
        self.batch.start(torch.as_tensor(rows, device=device), torch.tensor(chosen, device=device))
        self.ended[rows] = False

    def _infos(self, moved: np.ndarray) -> dict[str, np.ndarray]:
        batch = self.batch
        return {
            "box": batch.boxes().float().cpu().numpy(),
            "iou": batch.iou.cpu().numpy().copy(),
            "photo": batch.photo.cpu().numpy().copy(),
            "step": batch.taken.cpu().numpy().copy(),
            "moved": moved,
        }

    def _checked(self, actions: object, count: int) -> torch.Tensor:
        try:
            return rules.check_actions(np.asarray(actions), count, self.batch.actions).to(
                self.batch.photo.device
            )
        except (CropnbError, TypeError) as error:
            raise ActionError(str(error)) from error


class CropEnv(_Rules, gymnasium.Env):
    """One photo at a time, cropped action by action.

    Observation (3, size, size) bytes: the current crop, resized as Pillow's antialiased bilinear.
    An episode starts on the whole photo, drawn at random or `reset(options={"photo": index})`.
    Stopping terminates it, `step_limit` actions truncate it. `info`: `box` (4,) in pixels of the
    photo, `iou`, `photo` (index), `step` (actions taken), `moved` (false where the action stopped,
    or was impossible: out of the photo, or a side below the smallest).

    Args:
        dataset: as of `cropnb.la2c.BatchedCropEnv`.
        options: its actions, reward, truths, step_limit, size, resolution and device.

    Raises:
        ActionError: an action that there isn't.
        EpisodeError: a step in an ended episode.
        CropnbError: as `BatchedCropEnv`.
    """

    def __init__(
        self, dataset: CropDataset | ImageBank, *, render_mode: str | None = None, **options: Any
    ) -> None:
        self._set_up(dataset, 1, render_mode, options)
        self.observation_space, self.action_space = self._observations, self._actions

    def reset(
        self, *, seed: int | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode: the observation and `info`.

        Raises:
            CropnbError: `options` ask for a photo that there isn't.
        """
        super().reset(seed=seed)
        self._start(np.zeros(1, dtype=int), [self.np_random], options)
        return self._observation(), self._info(False)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One action: observation, reward, terminated, truncated and `info`.

        Raises:
            EpisodeError: the episode has ended, or was never begun.
            ActionError: an action that there isn't.
        """
        if self.ended[0]:
            raise EpisodeError("the episode has ended; call reset() first")
        result = self.batch.act(self._checked(np.asarray(action)[None], 1))
        self.ended[0] = bool(result.ended)
        return (
            self._observation(),
            float(result.reward),
            bool(result.terminated),
            bool(result.truncated),
            self._info(bool(result.moved)),
        )

    def render(self) -> np.ndarray | None:
        """The whole photo (H, W, 3) with the crop's frame, in `rgb_array` mode.

        Raises:
            EpisodeError: no episode was begun yet.
        """
        if self.render_mode is None:
            return None
        if self.ended[0] and not self.batch.taken[0]:
            raise EpisodeError("nothing to show before the first reset()")
        sample = self.batch.bank.samples[int(self.batch.photo[0])]
        picture = np.array(sample.photo())
        x1, y1, x2, y2 = (round(value) for value in self.batch.boxes()[0].tolist())
        dimmed = picture // 3
        dimmed[y1:y2, x1:x2] = picture[y1:y2, x1:x2]
        return dimmed

    def _observation(self) -> np.ndarray:
        return self.batch.observe()[0].cpu().numpy()

    def _info(self, moved: bool) -> dict[str, Any]:
        infos = self._infos(np.array([moved])).items()
        return {name: value[0] if value.ndim > 1 else value[0].item() for name, value in infos}


class CropVectorEnv(_Rules, VectorEnv):
    """Many `CropEnv` computed together: step for step what Gymnasium's `SyncVectorEnv` of them
    gives, only faster.

    Photos and boxes stay on the device, and all observations are cut in one batched call.
    `autoreset_mode` is "NextStep" as there by default (the step after an end only begins anew), or
    "SameStep", which puts the last observation and info of an ended episode into
    `infos["final_obs"]` and `infos["final_info"]`.

    An action of an episode that is only begun anew is ignored, as Gymnasium does.

    Raises:
        ActionError: an action that there isn't.
        EpisodeError: a step before the first `reset`.
        CropnbError: as `BatchedCropEnv`, or another `autoreset_mode`.
    """

    def __init__(
        self,
        dataset: CropDataset | ImageBank,
        num_envs: int,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self._set_up(dataset, num_envs, render_mode, options)
        self.num_envs, self.autoreset_mode = num_envs, AutoresetMode(autoreset_mode)
        if self.autoreset_mode is AutoresetMode.DISABLED:
            raise CropnbError(
                "autoreset_mode is NextStep or SameStep; episodes of a batch always begin anew"
            )
        self.metadata = {**_Rules.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = self._observations, self._actions
        self.observation_space = batch_space(self._observations, num_envs)
        self.action_space = batch_space(self._actions, num_envs)
        self._rngs: list[np.random.Generator] = [np.random.default_rng() for _ in range(num_envs)]
        self._begun = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes; environment i is seeded with seed + i, or with the i-th of a list.

        Raises:
            CropnbError: a list with another number of seeds than environments, or `options` ask
                for a photo that there isn't.
        """
        seeds = (
            [seed + i for i in range(self.num_envs)]
            if isinstance(seed, int)
            else seed or [None] * self.num_envs
        )
        if len(seeds) != self.num_envs:
            raise CropnbError(
                f"{len(seeds)} seeds for {self.num_envs} environments; give one each, or one number"
            )
        for index, value in enumerate(seeds):
            if value is not None:
                self._rngs[index] = gymnasium.utils.seeding.np_random(value)[0]
        self._start(np.arange(self.num_envs), self._rngs, options)
        self._begun = True
        return self._observation(), self._masked(self._infos(np.zeros(self.num_envs, dtype=bool)))

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One action in each environment: observations, rewards, terminations, truncations and
        infos.

        Raises:
            EpisodeError: before the first `reset`.
            ActionError: an action that there isn't, or not one for each environment.
        """
        if not self._begun:
            raise EpisodeError("call reset() before the first step()")
        chosen = self._checked(actions, self.num_envs)
        waiting = self.ended.copy()  # ended with the last step, so this one only begins them anew
        result = self.batch.act(chosen)
        reward, terminated, truncated, moved = (
            part.cpu().numpy()
            for part in (result.reward.double(), result.terminated, result.truncated, result.moved)
        )
        reward, terminated = np.where(waiting, 0.0, reward), terminated & ~waiting
        truncated, moved = truncated & ~waiting, moved & ~waiting
        ended, infos = terminated | truncated, {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            infos = self._final(ended, moved)
            moved = moved & ~ended
        again = waiting if self.autoreset_mode is AutoresetMode.NEXT_STEP else ended
        self.ended = (
            ended if self.autoreset_mode is AutoresetMode.NEXT_STEP else np.zeros_like(ended)
        )
        if again.any():
            rows = np.flatnonzero(again)
            self._start(rows, [self._rngs[row] for row in rows], None)
        return (
            self._observation(),
            reward,
            terminated,
            truncated,
            {**infos, **self._masked(self._infos(moved))},
        )

    def render(self) -> None:
        """Nothing: look at single episodes with `CropEnv`."""

    def close_extras(self, **kwargs: Any) -> None:
        """Nothing is open."""

    def _observation(self) -> np.ndarray:
        return self.batch.observe().cpu().numpy()

    def _final(self, ended: np.ndarray, moved: np.ndarray) -> dict[str, Any]:
        rows = np.flatnonzero(ended)
        observations = np.full(self.num_envs, None, dtype=object)
        crops = self.batch.observe(torch.as_tensor(rows, device=self.batch.photo.device))
        for row, crop in zip(rows, crops.cpu().numpy(), strict=True):
            observations[row] = crop
        infos = {
            name: np.where(ended.reshape(-1, *[1] * (v.ndim - 1)), v, 0).astype(v.dtype)
            for name, v in self._infos(moved).items()
        }
        return {
            "final_obs": observations,
            "_final_obs": ended.copy(),
            "final_info": self._masked(infos, ended),
            "_final_info": ended.copy(),
        }

    def _masked(
        self, infos: dict[str, np.ndarray], mask: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Beside each value the mask of environments that gave one, as Gymnasium has it."""
        mask = np.ones(self.num_envs, dtype=bool) if mask is None else mask
        return {
            key: part
            for name, value in infos.items()
            for key, part in ((name, value), (f"_{name}", mask.copy()))
        }
