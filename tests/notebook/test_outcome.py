"""The box that says what came out of reproducing a paper."""

from pathlib import Path

import pytest

from cropnb import ledger
from cropnb.notebook import came_out

NAME = "both modules beat neither"


def _claim(profile: str, low: float, name: str = NAME) -> ledger.Row:
    return ledger.Row(
        paper="mars",
        table="claim",
        row=name,
        column="IoU",
        dataset="scenes",
        split="test",
        verdict="holds" if low > 0 else "unsettled",
        ours=0.05,
        low=low,
        high=0.1,
        images=500,
        profile=profile,
        seeds=(0, 1),
        command="python -m cropnb.mars",
        differences=[[0.05, 0.05]],
    )


def test_a_profile_is_named_where_two_decide_the_same_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    ledger.record("mars", [_claim("cpu", -0.02), _claim("cpu", 0.01, "ARS-FTM alone helps")])
    assert f"| Unsettled | {NAME} (IoU) |" in came_out("mars")
    ledger.record("mars", _claim("trained", 0.03))
    lines = came_out("mars").splitlines()
    assert f"| Held | ARS-FTM alone helps (IoU); {NAME} (profile trained, IoU) |" in lines
    assert f"| Unsettled | {NAME} (profile cpu, IoU) |" in lines


def test_entries_that_nobody_has_run_wait_with_their_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPNB_RESULTS", str(tmp_path))
    command = "python -m cropnb.mars --profile trained"
    waiting = [
        ledger.Row(
            paper="mars",
            table="Table 3",
            row=row,
            column="IoU",
            dataset="scenes",
            split="test",
            verdict="pending",
            note=f"mars/trained, about 270 minutes of a core, not run yet: {command}",
        )
        for row in ("both", "neither")
    ]
    ledger.record("mars", [_claim("cpu", -0.02), *waiting])
    assert "; mars/trained, about 270 minutes of a core (2 rows) |" in came_out("mars")
