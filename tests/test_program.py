"""What every training program shares: its options, and errors in one line."""

import importlib
import re
from dataclasses import replace

import pytest
import torch

from cropnb.errors import DatasetMissing
from cropnb.gaic.recipe import METHOD
from cropnb.ledger import Row
from cropnb.mars.recipe import METHOD as MARS
from cropnb.runs import Experiment, program
from cropnb.runs.context import Context
from cropnb.runs.devices import device_name


def test_options_reach_the_program_and_set_the_threads():
    before = torch.get_num_threads()
    seen = {}

    def main(chosen, arguments):
        seen.update(vars(chosen), arguments=arguments, threads_used=torch.get_num_threads())
        return 0

    try:
        given = ["--device", "cpu", "--record", "--threads", "1"]
        assert program.run(main, program.parser("vrn"), given) == 0
    finally:
        torch.set_num_threads(before)
    assert (seen["device"], seen["record"], seen["threads_used"], seen["arguments"]) == (
        "cpu",
        True,
        1,
        given,
    )


def test_a_typed_error_is_one_line_and_a_plain_bug_is_not_hidden(capsys):
    def missing(chosen, arguments):
        raise DatasetMissing("no gaicd here")

    def broken(chosen, arguments):
        raise RuntimeError("a bug")

    parser = program.parser("vrn")
    assert program.run(missing, parser, []) == 2
    assert capsys.readouterr().err == "error: no gaicd here\n"
    with pytest.raises(RuntimeError, match="a bug"):
        program.run(broken, parser, [])


@pytest.mark.parametrize(
    ("name", "message"), [("tpu", "no device 'tpu'"), ("cuda:99", "cuda|CUDA")]
)
def test_a_device_that_is_not_there_is_one_line_in_every_program(capsys, name, message):
    def never(chosen, arguments):
        raise AssertionError("it was started")

    assert program.run(never, program.parser("vrn"), ["--device", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


def test_an_unknown_profile_is_refused(capsys):
    with pytest.raises(SystemExit):
        program.main(METHOD, ["--profile", "huge"])
    assert "huge" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "given"),
    [
        ("cropnb.vrn.__main__", ["--threads", "0"]),
        ("cropnb.vrn.__main__", ["--seeds", "-1"]),
        ("cropnb.costs", ["--rounds", "0"]),
        ("cropnb.costs", ["--photos", "0"]),
        ("cropnb.bench", ["--rounds", "none"]),
    ],
)
def test_a_number_that_counts_nothing_is_refused(capsys, monkeypatch, module, given):
    monkeypatch.setattr("sys.argv", [module, *given])
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(module).main()
    assert stopped.value.code == 2
    assert f"argument {given[0]}: {given[1]} is no whole number from" in capsys.readouterr().err


def test_the_device_is_named_with_its_threads():
    assert f"{torch.get_num_threads()} threads" in device_name("cpu")


def test_the_context_of_a_study_is_that_of_the_runs_it_reads_and_needs_no_photo():
    experiment = Experiment(MARS, "fat", profile="full", out=None)
    shared = Context("mars", "scenes", ["--record"], module="cropnb.mars.studies.rows")
    context = program.of_experiment(shared, experiment, [0, 2])
    assert (context.dataset, context.split, context.profile) == ("fat", "val", "full")
    assert (context.seeds, context.device) == ((0, 2), device_name("cpu"))
    assert context.fields()["command"] == "python -m cropnb.mars.studies.rows --record"


def test_the_experiment_of_a_row_is_that_of_its_command():
    fields = {"table": "claim", "row": "a", "column": "SRCC", "split": "test", "verdict": "pending"}
    command = "python -m cropnb.asm_net --form gaicd --profile cpu --frozen --device cuda --record"
    row = Row("asm_net", dataset="scenes", profile="cpu", command=command, **fields)
    experiment = program.experiment_of(row)
    assert (experiment.form, experiment.frozen, experiment.profile_name) == ("gaicd", True, "cpu")
    assert (experiment.out, experiment.device.type) == (None, "cpu")
    plain = program.experiment_of(replace(row, command="python -m cropnb.asm_net.studies.x"))
    assert (plain.form, plain.frozen) == ("cpc", False)
    assert (experiment.test_photos, plain.test_photos) == (None, None)
    wider = program.experiment_of(replace(row, command=command + " --test-photos 1000"))
    assert (wider.test_photos, len(wider.parts["test"])) == (1000, 1000)
    layouts = program.experiment_of(replace(row, dataset="gaicd_layouts", command="python"))
    assert (layouts.form, layouts.dataset) == ("gaicd", "gaicd_layouts")
