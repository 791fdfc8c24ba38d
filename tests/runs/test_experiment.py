"""A run: decided by its settings, trained once, measured once, and whole whatever happens."""

import errno
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from cropnb import checkpoints, files, ledger
from cropnb.datasets.base import CropDataset, Sample
from cropnb.errors import CheckpointError, CropnbError, DatasetMissing
from cropnb.runs import (
    Column,
    Experiment,
    Measurement,
    Method,
    Place,
    Profile,
    Stage,
    option,
    program,
    record,
    results,
)
from cropnb.runs.context import Context
from cropnb.training import Recipe


@dataclass(frozen=True)
class TinyProfile(Profile):
    epochs: int = 2


class Tiny(Method):
    """Learns the mean of four numbers; one of them is a photo."""

    name, main = "tiny", "plain"
    variants = {"plain": 0.0, "shifted": 1.0}
    profiles = {"smoke": TinyProfile(4, 2, 3), "longer": TinyProfile(4, 2, 3, epochs=3)}
    columns = {"error": Column(100, higher_is_better=False)}
    claim_columns = ("error",)
    epochs = ("last", "best")
    measured = 0

    def parts(self, experiment):
        sizes = ("train", 4), ("val", 2), ("test", experiment.profile.test_photos)
        return {
            part: CropDataset(
                "scenes",
                part,
                "gaicd",
                None,
                [Sample(f"{part}{i}", 9, 9, torch.zeros(1, 4)) for i in range(size)],
            )
            for part, size in sizes
        }

    def build(self, experiment, run):
        return nn.Linear(1, 1)

    def stages(self, experiment, run, model) -> Iterator[Stage]:
        target = torch.arange(4.0)[:, None]

        def loss(batch, rng):
            noise = torch.rand(len(batch), 1, generator=rng)
            return {"loss": (model(noise) - target[batch]).square().mean()}

        recipe = Recipe(experiment.profile.epochs, 0.1, seed=run.seed)
        yield Stage("only", model, loss, 4, recipe, validate=lambda: 0.0)

    def measure(self, experiment, run, model):
        Tiny.measured += 1
        shift = self.variants[run.variant]
        photos = len(experiment.parts["test"])
        values = [model.bias.item() + shift + photo for photo in range(photos)]
        return Measurement({"error": values}, {"note": "d"}, {"kept": torch.tensor(values)})

    def places(self, experiment, variant):
        return [Place("Table 1", variant)]


def experiment(tmp_path, **changes):
    return Experiment(Tiny(), out=tmp_path, progress=False, **changes)


def test_a_run_is_trained_and_measured_once(tmp_path):
    trial = experiment(tmp_path)
    before = Tiny.measured
    model, histories, result = trial.train("plain", 0)
    assert Tiny.measured == before + 2  # the last epoch and the best
    assert len(histories["only"].steps) == 8
    assert trial.train("plain", 0)[2] == result == trial.finished("plain", 0)
    assert Tiny.measured == before + 2
    assert result.photos == len(result.columns["error"]) == 3
    assert result.details == {"note": "d"}
    assert torch.equal(trial.trained("plain", 0).weight, model.weight)
    assert trial.tensors("plain", 0)["kept"].tolist() == pytest.approx(result.columns["error"])


def test_other_test_photos_measure_a_trained_run_and_train_nothing(tmp_path):
    trial, wider = experiment(tmp_path), experiment(tmp_path, test_photos=5)
    model, histories, result = trial.train("plain", 0)
    run = trial.run("plain", 0)
    state = run.folder / "only" / checkpoints.RUN_FILE
    weights, before = state.read_bytes(), Tiny.measured
    assert wider.run("plain", 0) == run
    assert wider.finished("plain", 0) is None  # it wasn't measured on five
    again, resumed, second = wider.train("plain", 0)
    assert Tiny.measured == before + 2
    assert state.read_bytes() == weights
    assert resumed["only"].steps == histories["only"].steps
    assert torch.equal(again.weight, model.weight)
    assert (result.photos, second.photos) == (3, 5)
    assert second.config_hash == result.config_hash
    assert second.columns["error"][:3] == result.columns["error"]
    assert [len(one.tensors("plain", 0)["kept"]) for one in (trial, wider)] == [3, 5]
    # Both results stay, each for its number of photos.
    assert trial.finished("plain", 0) == result
    assert wider.finished("plain", 0) == second
    # In the other order the network is the same.
    first = experiment(tmp_path / "other", test_photos=5)
    assert first.train("plain", 0)[2].columns == second.columns
    assert experiment(tmp_path / "other").train("plain", 0)[2].columns == result.columns
    assert torch.equal(first.trained("plain", 0).weight, model.weight)
    assert experiment(tmp_path, test_photos=3).test_photos is None  # as many as the profile says


def test_what_a_training_left_is_read_whatever_was_measured(tmp_path):
    wider = experiment(tmp_path, test_photos=5)
    usual = experiment(tmp_path)
    assert usual.validation("plain", 0) is None
    result = wider.train("plain", 0)[2]
    assert usual.finished("plain", 0) is None
    assert usual.validation("plain", 0) == wider.validation("plain", 0) == result.validation
    weights = usual.run("plain", 0).folder / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    again = usual.train("plain", 0)[2]
    assert weights.stat().st_mtime_ns == before  # their hash is on record
    assert again.checkpoint_hash == result.checkpoint_hash != ""
    (weights.parent / "result-5.json").write_text("{")
    assert usual.validation("plain", 0) == result.validation
    (weights.parent / "result.json").unlink()
    with pytest.raises(CheckpointError, match="cut short"):
        usual.validation("plain", 0)


def test_without_what_a_training_goes_on_from_nothing_is_trained_twice(tmp_path):
    trial = experiment(tmp_path)
    trial.train("plain", 0)
    shutil.rmtree(trial.run("plain", 0).folder / "only")  # as it comes from a borrowed GPU
    with pytest.raises(CheckpointError, match="trained on another machine"):
        experiment(tmp_path, test_photos=5).train("plain", 0)
    with pytest.raises(CropnbError, match="at least one photo"):
        experiment(tmp_path, test_photos=0)


@pytest.mark.parametrize(
    "changes", [{"profile": "longer"}, {"init": "random"}, {"frozen": True}, {"dataset": "gaicd"}]
)
def test_whatever_changes_a_result_changes_the_folder(tmp_path, changes):
    first, second = experiment(tmp_path), experiment(tmp_path, **changes)
    assert first.run("plain", 0).folder != second.run("plain", 0).folder


def test_seed_variant_and_constants_are_part_of_a_run(tmp_path, monkeypatch):
    trial = experiment(tmp_path)
    run = trial.run("plain", 0)
    others = [trial.run("plain", 1), trial.run("shifted", 0)]
    assert run.config_hash == others[0].config_hash != others[1].config_hash
    assert len({run.folder, *(other.folder for other in others)}) == 3
    monkeypatch.setattr(Tiny, "constants", {"stretch": 0.1})
    assert trial.run("plain", 0).config_hash != run.config_hash
    monkeypatch.setattr(Tiny, "constants", {})
    monkeypatch.setattr(Tiny, "variants", {"plain": 0.5})
    assert trial.run("plain", 0).config_hash != run.config_hash


def test_an_option_is_part_of_a_run_only_where_it_is_taken(tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class Before:
        size: int = 1

    @dataclass(frozen=True)
    class After(Before):
        bound: str = option("none")

    trial, hashes = experiment(tmp_path), []
    for variant in (Before(), After(), After(bound="norm")):
        monkeypatch.setattr(Tiny, "variants", {"plain": variant})
        hashes.append(trial.run("plain", 0).config_hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_names_that_are_not_there_are_answered_with_those_that_are(tmp_path):
    for changes in ({"profile": "no"}, {"form": "no"}, {"init": "no"}):
        with pytest.raises(CropnbError, match=r"no \w+ 'no': there are"):
            experiment(tmp_path, **changes)
    with pytest.raises(CropnbError, match="no variant 'no': there are plain, shifted"):
        experiment(tmp_path).run("no", 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_one_clear_line(tmp_path):
    with pytest.raises(CropnbError, match="no CUDA GPU here"):
        experiment(tmp_path, device="cuda")


def test_a_result_file_cut_short_is_named_and_the_run_is_kept(tmp_path):
    trial = experiment(tmp_path)
    result = trial.train("plain", 0)[2]
    path = trial.run("plain", 0).folder / results.RESULT_FILE
    path.write_text(path.read_text()[:-30])
    with pytest.raises(CheckpointError, match=r"cut short .*remove it"):
        trial.finished("plain", 0)
    path.write_text(json.dumps({"method": "tiny", "later": 1}))
    with pytest.raises(CheckpointError, match="another version"):
        trial.train("plain", 0)
    path.unlink()
    again = trial.train("plain", 0)[2]  # measured again; nothing is trained
    assert again.columns == result.columns


def test_a_run_folder_of_another_version_is_refused(tmp_path):
    trial = experiment(tmp_path)
    trial.train("plain", 0)
    folder = trial.run("plain", 0).folder
    other = trial.run("plain", 1).folder
    folder.rename(other)  # a run of seed 0 where seed 1 is looked for
    (other / results.RESULT_FILE).unlink()
    with pytest.raises(CheckpointError, match="another recipe, model, data or version"):
        trial.train("plain", 1)


@pytest.mark.parametrize("change", ["one photo less", "another split"])
def test_a_result_of_other_photos_is_refused_and_its_folder_named(tmp_path, monkeypatch, change):
    trial = experiment(tmp_path)
    trial.train("plain", 0)
    folder = trial.run("plain", 0).folder
    shutil.rmtree(folder / "only")  # as a result lies that came home from a borrowed machine
    parts = Tiny().parts(trial)
    if change == "one photo less":
        parts["test"].samples.pop()
    else:
        parts["test"].split = "val"
    monkeypatch.setattr(Tiny, "parts", lambda self, experiment: parts)
    monkeypatch.setattr(Tiny, "stages", None)  # nothing is trained
    for ask in (experiment(tmp_path).finished, experiment(tmp_path).train):
        with pytest.raises(CheckpointError, match=f"{folder.name} was measured on 3 photos of"):
            ask("plain", 0)


def test_a_result_can_be_read_where_its_photos_are_not(tmp_path, monkeypatch):
    result = experiment(tmp_path).train("plain", 0)[2]

    def gone(self, experiment):
        raise DatasetMissing("none of the photos is on this disk")

    monkeypatch.setattr(Tiny, "parts", gone)
    assert experiment(tmp_path).finished("plain", 0) == result


def test_other_data_below_the_same_settings_are_refused(tmp_path, monkeypatch):
    trial = experiment(tmp_path)
    trial.train("plain", 0)
    (trial.run("plain", 0).folder / results.RESULT_FILE).unlink()
    parts = Tiny().parts(trial)
    parts["val"].samples.pop()
    monkeypatch.setattr(Tiny, "parts", lambda self, experiment: parts)
    with pytest.raises(CheckpointError, match="data"):
        experiment(tmp_path).train("plain", 0)


def _train(folder, barrier, queue):
    class Slow(Tiny):
        def build(self, experiment, run):
            time.sleep(1)  # in which the other one comes to the folder
            return super().build(experiment, run)

        def measure(self, experiment, run, model):
            queue.put("measured")
            return super().measure(experiment, run, model)

    barrier.wait(30)
    trial = Experiment(Slow(), out=folder, progress=False)
    queue.put(trial.train("plain", 0)[2].columns["error"])


def test_of_two_runs_of_one_identity_the_second_waits_and_reads(tmp_path, capfd):
    context = multiprocessing.get_context("fork")
    queue, barrier = context.Queue(), context.Barrier(2)
    both = [context.Process(target=_train, args=(tmp_path, barrier, queue)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    answers = [queue.get(timeout=5) for _ in range(4)]
    assert answers.count("measured") == 2  # of one process: its last and its best epoch
    first, second = (answer for answer in answers if answer != "measured")
    assert first == second
    folder = experiment(tmp_path).run("plain", 0).folder
    assert capfd.readouterr().err.count(f"{folder} is in use by another process: waiting\n") == 1


def test_a_run_that_stops_early_goes_on_with_the_same_bits(tmp_path):
    whole = experiment(tmp_path / "a").train("plain", 0)[0]
    trial = experiment(tmp_path / "b")
    trial.train("plain", 0, max_steps=3)
    assert trial.finished("plain", 0) is None
    parted = trial.train("plain", 0)[0]
    assert torch.equal(whole.weight, parted.weight)


def test_rows_stand_where_the_method_says_in_the_columns_unit(tmp_path):
    trial = experiment(tmp_path)
    runs = {"plain": [trial.train("plain", seed)[2] for seed in (0, 1)]}
    (row,) = record.rows(Context("tiny", "scenes", []), trial, runs)
    assert (row.table, row.row, row.column) == ("Table 1", "plain", "error")
    values = torch.tensor([run.columns["error"] for run in runs["plain"]])
    assert row.ours == pytest.approx(100 * float(values.mean()), abs=1e-3)
    assert row.seeds == (0, 1)
    assert "the epoch best on validation gives" in row.note
    frozen = experiment(tmp_path, frozen=True)
    (row,) = record.rows(Context("tiny", "scenes", []), frozen, runs)
    assert row.row == "plain, frozen backbone"


def test_a_row_stands_on_the_photos_that_have_its_number(tmp_path):
    trial = experiment(tmp_path)
    whole = [trial.train("plain", seed)[2] for seed in (0, 1)]
    gap = [*whole[1].columns["error"]]
    gap[1] = float("nan")  # as of a photo that asks for none of some ratios
    runs = {"plain": [whole[0], replace(whole[1], columns={"error": gap})]}
    (row,) = record.rows(Context("tiny", "scenes", []), trial, runs)
    values = torch.tensor([run.columns["error"] for run in whole])
    there = [place for place in range(values.shape[1]) if place != 1]
    assert row.images == len(there)
    assert row.ours == pytest.approx(100 * float(values[:, there].mean()), abs=1e-3)


def test_the_program_reads_what_is_finished_and_records_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path / "results"))
    given = ["--variants", "plain", "shifted", "--device", "cpu", "--record"]
    arguments = [*given[:1], *given[1:], "--out", str(tmp_path / "runs")]
    assert program.main(Tiny(), ["--finished", *arguments]) == 2
    assert "no run of plain, shifted is finished" in capsys.readouterr().err
    assert program.main(Tiny(), arguments) == 0
    assert program.main(Tiny(), ["--finished", *arguments]) == 0
    (row, other) = ledger.read("tiny")
    assert row.command == f"python -m cropnb.tiny {' '.join(given)}"
    assert {row.row, other.row} == {"plain", "shifted"}


@pytest.mark.parametrize("writes", range(5))  # of best, state, weights, tensors and result
def test_a_full_disk_is_one_line_and_status_2_and_nothing_is_lost(
    tmp_path, monkeypatch, capsys, writes
):
    sync, count = files.os.fsync, iter(range(100))

    def full(handle):
        if next(count) >= writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    arguments = ["--variants", "plain", "--device", "cpu", "--out"]
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        assert program.main(Tiny(), [*arguments, str(tmp_path / "full")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]  # after those of the progress bar
    assert line.startswith(f"error: {tmp_path / 'full'}")
    ending = "can't be written (No space left on device); free space, or choose another folder"
    assert line.endswith(ending)
    for folder in ("full", "unbroken"):
        assert program.main(Tiny(), [*arguments, str(tmp_path / folder)]) == 0
    again, unbroken = (experiment(tmp_path / folder) for folder in ("full", "unbroken"))
    results = [one.finished("plain", 0) for one in (again, unbroken)]
    assert len({repr(replace(result, minutes=0.0, commit="")) for result in results}) == 1
    for file in ("weights.safetensors", "only/run.safetensors", "only/best.safetensors"):
        paths = [one.run("plain", 0).folder / file for one in (again, unbroken)]
        first, second = (checkpoints.read_tensors(path)[0] for path in paths)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first), file


def test_profiles_of_ones_own_are_custom(tmp_path):
    own = replace(Tiny.profiles["smoke"], epochs=1)
    trial = experiment(tmp_path, profile=own)
    assert trial.profile_name == "custom"
    assert len(trial.train("plain", 0)[1]["only"].steps) == 4


def test_a_run_on_joined_datasets_is_one_of_its_own_and_so_are_its_rows(tmp_path):
    trial, plain = experiment(tmp_path, dataset="scenes+taught"), experiment(tmp_path)
    assert trial.form == plain.form == "gaicd"
    assert trial.run("plain", 0).folder.parent != plain.run("plain", 0).folder.parent
    with pytest.raises(CropnbError, match="no form 'cpc'"):
        experiment(tmp_path, dataset="scenes+taught", form="cpc")
    results = program.measure(trial, ["plain"], [0])
    rows = record.rows(program.context(trial, results, []), trial, results)
    assert {row.dataset for row in rows} == {"scenes+taught"}
    assert {ledger.kind(row.dataset) for row in rows} == {"scenes+taught"}
