"""Every parameter count that the paper prints, and which readings are left."""

import pytest

from cropnb import ledger, paper
from cropnb.mars import Mars
from cropnb.mars.recipe import METHOD
from cropnb.mars.studies import parameters
from cropnb.mars.studies.parameters import OURS, Reading, cells, rounds_to


@pytest.fixture(scope="module")
def table():
    return parameters.table()


def test_every_printed_count_is_exact(table):
    assert len(table) == 26
    assert {cell.table for cell, _, _ in table} == {"Table 1", "Table 2", "Table 6"}
    assert [(cell.row, number) for cell, number, fits in table if not fits] == []


def test_the_arithmetic_is_that_of_the_network(table):
    for cell, number, _ in table:
        assert OURS.total(*cell.settings) == number


def test_the_counts_are_of_real_numbers_too():
    model = Mars(cut="c3_3", weights=None)
    assert parameters.count(model) == 993_856
    # not counted
    assert sum(value.numel() for name, value in model.state_dict().items() if "running" in name) > 0


@pytest.mark.parametrize(
    ("wrong", "missed"),
    [
        ({"kernel": 4}, 12),
        ({"kernel": 3}, 6),
        ({"narrowing": "first deconvolution"}, 3),
        ({"second": "none"}, 1),
        ({"resnet": "none"}, 3),
        ({"meta_biases": False}, 4),
        ({"transform_bias": True}, 3),
        ({"embeddings": False}, 4),
        ({"statistics": True}, 1),
        ({"vgg": "usual name"}, 3),
    ],
)
def test_other_readings_miss_cells(wrong, missed):
    reading = Reading(**{**OURS.__dict__, **wrong})
    counts = [(reading.total(*cell.settings), cell.printed) for cell in cells()]
    assert sum(not rounds_to(*pair) for pair in counts) >= missed


def test_without_a_second_layer_only_the_widest_map_misses():
    reading = Reading(**{**OURS.__dict__, "second": "none"})
    counts = [(cell, reading.total(*cell.settings)) for cell in cells()]
    missed = [(cell.row, number) for cell, number in counts if not rounds_to(number, cell.printed)]
    assert missed == [("1/4, 256", 6_147_392)]


@pytest.mark.slow
def test_the_search_leaves_what_the_chapter_says():
    fits = parameters.search(1)
    exact = [fit.reading for fit in fits if not fit.missed]
    assert OURS in exact
    assert len(exact) == 32
    assert len(fits) == 48
    assert {reading.kernel for reading in exact} == {2}
    assert {reading.resnet for reading in exact} == {"1x1"}
    assert {reading.narrowing for reading in exact} == {"1x1 before", "1x1 where needed"}
    assert not any(reading.transform_bias or reading.statistics for reading in exact)


def test_rows_are_recorded_as_exact(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    assert parameters.main(["--record"]) == 0
    assert "26 of 26 cells are exact" in capsys.readouterr().out
    rows = ledger.read("mars")
    assert len(rows) == 26
    assert {row.verdict for row in rows} == {"exact"}
    row = ledger.one("mars", table="Table 1", row="resnet50 c4_6", column="Param")
    assert (row.ours, row.paper_value) == (144.0441, 144.0)
    assert row.command == "python -m cropnb.mars.studies.parameters --record"


def test_the_search_prints_what_the_readings_share(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    without = Reading(**{**OURS.__dict__, "second": "none"})
    monkeypatch.setattr(parameters, "readings", lambda: iter([OURS, without]))
    assert parameters.main(["--search"]) == 0
    printed = capsys.readouterr().out
    assert "1 readings miss no cell" in printed
    assert "  second is 1x1 or none" in printed
    assert not list(tmp_path.iterdir())


def test_every_own_row_of_tables_1_to_6_can_be_built():
    tables = paper.read("mars").tables
    printed = {
        (name, row)
        for name, table in tables.items()
        if not name.startswith("Table 7")
        for row in table.own
    }
    assert {cell for variant in METHOD.variants.values() for cell in variant.cells} == printed


def test_equations_name_functions():
    import importlib

    content = paper.read("mars")
    assert [equation["number"] for equation in content.equations] == list(range(1, 9))
    for equation in content.equations:
        parts = equation["function"].split(".")
        function = importlib.import_module(".".join(parts[:3]))
        for part in parts[3:]:
            function = getattr(function, part)
        assert f"(Eq. {equation['number']})" in function.__doc__
