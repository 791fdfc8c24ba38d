"""What every training program shares: its options, and errors in one line."""

import pytest
import torch

from cropnb import program
from cropnb.errors import DatasetMissing


def test_options_reach_the_program_and_set_the_threads():
    before = torch.get_num_threads()
    seen = {}

    def main(chosen, arguments):
        seen.update(vars(chosen), arguments=arguments, threads_used=torch.get_num_threads())
        return 0

    try:
        given = ["--profile", "cpu", "--seeds", "0", "2", "--threads", "1"]
        assert program.run(main, program.options("vrn", ["smoke", "cpu"]), given) == 0
    finally:
        torch.set_num_threads(before)
    assert (seen["profile"], seen["seeds"], seen["threads_used"], seen["arguments"]) == (
        "cpu",
        [0, 2],
        1,
        given,
    )


def test_a_typed_error_is_one_line_and_a_plain_bug_is_not_hidden(capsys):
    def missing(chosen, arguments):
        raise DatasetMissing("no gaicd here")

    def broken(chosen, arguments):
        raise RuntimeError("a bug")

    parser = program.options("vrn", ["smoke"])
    assert program.run(missing, parser, []) == 2
    assert capsys.readouterr().err == "error: no gaicd here\n"
    with pytest.raises(RuntimeError, match="a bug"):
        program.run(broken, parser, [])


def test_an_unknown_profile_is_refused(capsys):
    with pytest.raises(SystemExit):
        program.options("vrn", ["smoke"]).parse_args(["--profile", "huge"])
    assert "huge" in capsys.readouterr().err


def test_the_device_is_named_with_its_threads():
    assert f"{torch.get_num_threads()} threads" in program.device_name("cpu")
