"""What became of a paper's claims, with what a verdict stands on: of headline claims in words, by
kind of photos; of others a sign. A single seed, a training that wasn't over, a difference smaller
than is worth having, the one limit of steps at which it was measured.
"""

from collections.abc import Iterable, Mapping, Sequence

from cropnb import ledger
from cropnb.ledger import Row
from cropnb.notebook.source import Markdown, escaped

Kind = tuple[str, ...]  # a claim's name, and the kind of run that decided it
# How the notes of claims say which trainings weren't over; see `cropnb.runs.validation`.
_ENDS = ("still rising at the end: ", "too short to say whether still rising: ")
_SIGNS = {
    "†": "a training behind this claim was still rising at its end: the verdict says which side "
    "learns faster, not which is better",
    "‡": "the validation scores of a training behind this claim are too few to say whether it was "
    "still rising at its end",
}


def decided(
    kinds: Mapping[Kind, Mapping[str, Sequence[Row]]], rows: Sequence[Row], verdicts: Iterable[str]
) -> Markdown:
    """A line for each kind of photos and run: «scenes, FCDB's form (one seed, 200 photos): holds in
    IoU; unsettled in Offset». Columns that say nothing are counted.

    Args:
        kinds: of the headline's claim → verdict → its rows; of what says nothing it is empty.
        rows: all of the paper, among which the same difference may stand at other limits.
        verdicts: in the order in which they are told.
    """
    lines = []
    for (name, *kind), of in kinds.items():
        count = sum(map(len, of.values()))
        there = [verdict for verdict in verdicts if verdict in of]
        parts = [_told(verdict, of[verdict], count) for verdict in there]
        remarks = [_remark(of[verdict], rows) for verdict in there]
        of_all = ""
        if len(remarks) > 1 and len(set(remarks)) == 1:  # once for all of them
            of_all, remarks = _in_brackets(remarks[0]), [""] * len(remarks)
        parts = [text + _in_brackets(remark) for text, remark in zip(parts, remarks, strict=True)]
        where = _where(next(iter(of.values()))[0], [*name.split(", ")[1:], *kind])
        lines.append(f"**{escaped(where)}**{escaped(of_all)}: {escaped('; '.join(parts))}")
    return Markdown("<br>".join(lines))


def told(kind: Kind, rows: Sequence[Row]) -> str:
    """A claim with its kind of run and its columns; a sign behind it, or behind a column alone,
    says that a training wasn't over: see `legend`.
    """
    signs = [_signs(row) for row in rows]
    of_all = signs[0] if len(set(signs)) == 1 else ""
    own = [row.column + ("" if of_all else sign) for row, sign in zip(rows, signs, strict=True)]
    return f"{kind[0]} ({', '.join([*kind[1:], joined(own)])}){of_all}"


def legend(rows: Iterable[Row]) -> Markdown:
    """What the signs say that stand behind these claims; empty where there is none."""
    there = {sign for row in rows for sign in _signs(row)}
    lines = [f"{sign} {text}." for sign, text in _SIGNS.items() if sign in there]
    return Markdown("<br>".join(lines))


def _signs(row: Row) -> str:
    """The signs of the remarks that a claim's note has on the ends of its trainings."""
    remarks = row.note.split("; ")
    ends = zip(_SIGNS, _ENDS, strict=True)
    return "".join(sign for sign, end in ends if any(one.startswith(end) for one in remarks))


def joined(columns: Sequence[str]) -> str:
    """Names of columns, some of which have commas of their own, such as «ε = 0.85, K = 10»."""
    return (" · " if any("," in column for column in columns) else ", ").join(columns)


def _in_brackets(remark: str) -> str:
    return f" ({remark})" if remark else ""


def _told(verdict: str, rows: Sequence[Row], count: int) -> str:
    """A verdict with its columns, of all columns of this kind."""
    if verdict or len(rows) == 1:
        return f"{verdict or 'says nothing'} in {joined([row.column for row in rows])}"
    share = f"all {count}" if len(rows) == count else f"{len(rows)} of {count}"
    return f"says nothing in {share} columns"


def _where(row: Row, conditions: Sequence[str]) -> str:
    """The kind of photos, and under which conditions."""
    kind = ledger.kind(row.dataset)
    of_kind = {kind, f"on {kind}"}
    return ", ".join([kind, *(one for one in conditions if one not in of_kind)])


def _remark(rows: Sequence[Row], others: Sequence[Row]) -> str:
    """What the reader of these verdicts should know beside them."""
    remarks = [remark for row in rows for remark in (*_of_runs(row), *_at_limits(row, others))]
    return "; ".join(dict.fromkeys(remarks))


def _of_runs(row: Row) -> list[str]:
    """That there is one seed, and which trainings were still rising at their end."""
    single = [f"one seed, {row.images} photos"] if len(row.seeds) == 1 else []
    return single + [part for part in row.note.split("; ") if part.startswith(_ENDS)]


def _at_limits(row: Row, others: Sequence[Row]) -> list[str]:
    """At which limit of steps a verdict is, and what it would be at the others."""
    arms = row.note.partition(";")[0]
    alike = ("column", "dataset", "split", "profile")
    limits = [
        one
        for one in others
        if one.table.endswith(f", {arms}")
        and all(getattr(one, name) == getattr(row, name) for name in alike)
    ]
    here = [one.row for one in limits if one.ours == row.ours]
    if not here:
        return []
    bounds = (row.margin or 0.0, row.worth_having, row.below)
    verdicts: dict[str, list[str]] = {}
    for one in limits:
        if one.row != here[-1]:
            verdict = ledger.claim_verdict(one.low, one.high, *bounds)
            verdicts.setdefault(verdict, []).append(one.row)
    same = verdicts.pop(row.verdict, [])
    parts = [f"the same with {', '.join(same)}"] if same else []
    parts += [f"{verdict} with {', '.join(others_at)}" for verdict, others_at in verdicts.items()]
    return ["; ".join([f"with a limit of {here[-1]}", *parts])]
