"""ACC 1/N within a tolerance ε: the reader moves both, and the rows change places."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets
from scipy.stats import binomtest

from cropnb.errors import CropnbError
from cropnb.widgets.base import PageFigure, program

if TYPE_CHECKING:
    from matplotlib.figure import Figure as StillPicture

CERTAIN = ("chance", "oracle")  # computed or right by definition, so without an interval
AMONG = ("first", "any", "worst")
KINDS = ("oracle", "method", "blind", "chance")  # of the curves
_BLACK, _GREY = "#000000", "#8C8C8C"


class ToleranceExplorer(PageFigure):
    """Panels of bars, one for each dataset with axes of its own: what each row scores at ε and N.

    Args:
        panels: title → what `cropnb.audit.curves.read` gives for a dataset: `photos` and `curves`.
        epsilons: (E,) the thresholds of the curves, rising.
        printed: title → (ε, N) → (name, per cent), numbers of a paper that stand in the panel where
            it prints them.
        eps, n, among: where it starts. among: which of several best crops has to be hit, "first",
            "any" or "worst".

    Raises:
        CropnbError: for panels without curves, for curves that don't fit the thresholds, for
            settings out of range.
    """

    _esm = program("tolerance_explorer.js", "ranking_at.js")
    _css = PageFigure._css + (Path(__file__).parent / "tolerance_explorer.css").read_text("utf-8")
    panels = traitlets.List().tag(sync=True)
    epsilons = traitlets.List().tag(sync=True)
    at = traitlets.Int().tag(sync=True)
    n = traitlets.Int().tag(sync=True)
    among = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        panels: Mapping[str, Mapping[str, Any]],
        epsilons: Sequence[float],
        printed: Mapping[str, Mapping[tuple[float, int], tuple[str, float]]] | None = None,
        *,
        eps: float = 0.85,
        n: int = 10,
        among: str = "first",
    ) -> None:
        thresholds = [float(value) for value in epsilons]
        state = {
            "panels": [
                _panel(title, one, len(thresholds), (printed or {}).get(title, {}))
                for title, one in panels.items()
            ],
            "epsilons": thresholds,
            "at": min(range(len(thresholds)), key=lambda index: abs(thresholds[index] - eps))
            if thresholds
            else 0,
            "n": n,
            "among": among,
        }
        if not panels:
            raise CropnbError(
                "there is no panel to show; measure the curves: python -m cropnb.audit --parts "
                "curves"
            )
        super().__init__("ACC 1/N within a tolerance", state)

    @traitlets.validate("at")
    def _check_at(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < len(self.epsilons or [0]):
            raise CropnbError(
                f"there is no threshold number {proposal['value']}; there are {len(self.epsilons)}"
            )
        return proposal["value"]

    @traitlets.validate("n")
    def _check_n(self, proposal: Any) -> int:
        most = (
            len(unpack(self.panels[0]["curves"][0]["first"])[0])
            if self.panels
            else proposal["value"]
        )
        if not 1 <= proposal["value"] <= most:
            raise CropnbError(f"n is {proposal['value']}; the curves go from 1 to {most} crops")
        return proposal["value"]

    @traitlets.validate("among")
    def _check_among(self, proposal: Any) -> str:
        if proposal["value"] not in AMONG:
            raise CropnbError(f"among is {proposal['value']!r}; choose from {', '.join(AMONG)}")
        return proposal["value"]

    def ranking(self, panel: int = 0) -> list[dict[str, Any]]:
        """The rows of a panel as shown now, best first: name, kind and colour; value, interval and
        acc in per cent.
        """
        shown = self.panels[panel]
        photos, rows = shown["photos"], []
        for curve in shown["curves"]:
            hits, acc = unpack(curve[self.among])[self.at][self.n - 1], unpack(curve["acc"])
            row = {key: curve[key] for key in ("name", "kind", "color")}
            row["value"] = 100 * hits / photos
            row["interval"] = None if curve["kind"] in CERTAIN else wilson(hits, photos)
            row["acc"] = 100 * acc[min(self.at, len(acc) - 1)][self.n - 1] / photos if acc else None
            rows.append(row)
        for one in shown["printed"]:
            if one["n"] == self.n and abs(one["epsilon"] - self.epsilons[self.at]) < 1e-9:
                row = {
                    "name": one["name"],
                    "kind": "printed",
                    "color": one["color"],
                    "value": one["value"],
                    "interval": None,
                    "acc": None,
                }
                rows.append(row)
        return sorted(rows, key=lambda row: -row["value"])

    def values(self) -> dict[str, float]:
        """Title and name of each row → its ACC 1/N in per cent."""
        return {
            f"{panel['title']} · {row['name']}": row["value"]
            for index, panel in enumerate(self.panels)
            for row in self.ranking(index)
        }

    def _summary(self) -> str:
        firsts = []
        for index, panel in enumerate(self.panels):
            best = next(
                (row for row in self.ranking(index) if row["kind"] == "blind"),
                self.ranking(index)[0],
            )
            firsts.append(f"{panel['title']}: {best['name']} {best['value']:.1f} %")
        return f"ε = {self.epsilons[self.at]:.2f}, N = {self.n}; " + "; ".join(firsts)

    def static(self) -> "StillPicture":
        """The panels side by side, each with its rows in order."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as StillPicture

        most = max(len(self.ranking(index)) for index in range(len(self.panels)))
        picture = StillPicture(figsize=(9, 1.2 + 0.32 * most), layout="constrained")
        FigureCanvasAgg(picture)
        axes = picture.subplots(1, len(self.panels), squeeze=False)[0]
        for index, (ax, panel) in enumerate(zip(axes, self.panels, strict=True)):
            rows = self.ranking(index)
            for place, row in enumerate(rows):
                look = {"color": row["color"]}
                if row["kind"] in ("printed", "chance"):  # hollow, and hatched
                    hatch = "//////" if row["kind"] == "chance" else None
                    look = {"facecolor": "white", "edgecolor": row["color"], "hatch": hatch}
                ax.barh(place, row["value"], height=0.5, **look)
                if row["interval"]:
                    ax.plot(row["interval"], [place, place], color="black", linewidth=1.4)
                if row["acc"] is not None:
                    ax.plot(
                        [row["acc"]] * 2, [place - 0.35, place + 0.35], color="black", linewidth=2.4
                    )
            ax.set_yticks(
                range(len(rows)),
                [f"{row['name']}  {row['value']:.1f}" for row in rows],
                fontsize=7.5,
            )
            ax.invert_yaxis()
            ax.set_xlim(0, 100)
            ax.set_title(panel["title"].replace(": ", ":\n"), fontsize=9, loc="left")
        picture.supxlabel(
            f"ACC 1/{self.n} at ε = {self.epsilons[self.at]:.2f}, per cent; black bar: Acc "
            f"1/{self.n}",
            fontsize=9,
        )
        return picture


def color_of(name: str, kind: str) -> str:
    """A row's colour: of the method with which its name begins (`asm_net, its own search`), black
    for people's own order, grey for what never looks at a photo.
    """
    from cropnb.notebook.comparison import METHOD_COLORS

    if kind not in ("method", "printed"):
        return _BLACK if kind == "oracle" else _GREY
    return METHOD_COLORS.get(name.partition(",")[0].replace(" ", "_"), _BLACK)


def pack(rows: Sequence[Sequence[float]] | None) -> str:
    """A table of numbers as text, without which a notebook gives each of them a line. None becomes
    empty.
    """
    return ";".join(",".join(f"{value:g}" for value in row) for row in rows or ())


def unpack(text: str) -> list[list[float]]:
    """The table of a text by `pack`."""
    return [[float(value) for value in row.split(",")] for row in text.split(";")] if text else []


def wilson(hits: float, photos: int) -> list[float]:
    """Wilson's 95 % interval of a share, in per cent."""
    interval = binomtest(round(hits), photos).proportion_ci(method="wilson")
    return [100 * float(interval.low), 100 * float(interval.high)]


def _panel(
    title: str, measured: Mapping[str, Any], thresholds: int, printed: Mapping
) -> dict[str, Any]:
    curves = [dict(curve) for curve in measured["curves"]]
    if not curves:
        raise CropnbError(
            f"the panel {title!r} has no curves; python -m cropnb.audit --parts curves --record"
        )
    for curve in curves:
        if curve["kind"] not in KINDS or any(len(curve[among]) != thresholds for among in AMONG):
            raise CropnbError(
                f"the curve {curve['name']!r} of {title!r} doesn't fit {thresholds} thresholds"
            )
    for curve in curves:
        curve |= {key: pack(curve[key]) for key in (*AMONG, "acc")}
        curve["color"] = color_of(curve["name"], curve["kind"])
    rows = [
        {"epsilon": eps, "n": n, "name": name, "value": value, "color": color_of(name, "printed")}
        for (eps, n), (name, value) in printed.items()
    ]
    return {"title": title, "photos": int(measured["photos"]), "curves": curves, "printed": rows}
