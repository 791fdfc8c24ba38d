"""The rows of the paper's tables, each as the arguments that build it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Variant:
    """The arguments of `Mars`, and the (table, row) places at which the paper prints this network."""

    arguments: dict[str, object] = field(default_factory=dict)
    cells: tuple[tuple[str, str], ...] = ()

    @property
    def places(self) -> str:
        return ", ".join(f"{table}, {row}" for table, row in self.cells)


def _tables() -> dict[str, Variant]:
    main = (
        ("Table 1", "mobilenet_v2 c4_6"),
        ("Table 2", "FC 512 x 1"),
        ("Table 3", "both"),
        ("Table 4", "interpolated"),
        ("Table 5", "101 x 512"),
        ("Table 6", "1/4, 96"),
    )
    found = {"Mars": Variant({}, main)}
    cuts = {
        "mobilenet_v2": ("c3_3", "c4_3", "c5_1"),
        "vgg16": ("c3_3", "c4_1", "c4_3", "pool5"),
        "resnet50": ("c3_4", "c4_3", "c4_6", "c5_1"),
    }
    for backbone, names in cuts.items():
        for cut in names:
            name = f"{backbone} {cut}"
            found[name] = Variant({"backbone": backbone, "cut": cut}, (("Table 1", name),))
    for layers in (0, 2, 3, 4):
        found[f"FC x {layers}"] = Variant(
            {"fc_layers": layers}, (("Table 2", f"FC 512 x {layers}"),)
        )
    found["no ARS-FTM, no ARS-PWP"] = Variant(
        {"ars_ftm": False, "ars_pwp": False}, (("Table 3", "neither"),)
    )
    found["no ARS-FTM"] = Variant({"ars_ftm": False}, (("Table 3", "without ARS-FTM"),))
    found["no ARS-PWP"] = Variant({"ars_pwp": False}, (("Table 3", "without ARS-PWP"),))
    found["scalar ratio"] = Variant({"ratio_input": "scalar"}, (("Table 4", "scalar"),))
    found["nearest embedding"] = Variant({"ratio_input": "nearest"}, (("Table 4", "nearest"),))
    for number in (11, 201, 501):
        found[f"{number} embeddings"] = Variant(
            {"embeddings": number}, (("Table 5", f"{number} x 512"),)
        )
    for dimension in (128, 256, 1024):
        found[f"dimension {dimension}"] = Variant(
            {"embedding_dim": dimension}, (("Table 5", f"101 x {dimension}"),)
        )
    for stride, share in ((16, "1/16"), (8, "1/8"), (2, "1/2"), (1, "1")):
        found[f"resolution {share}"] = Variant(
            {"out_stride": stride}, (("Table 6", f"{share}, 96"),)
        )
    for channels in (32, 64, 128, 256):
        found[f"{channels} channels"] = Variant(
            {"out_channels": channels}, (("Table 6", f"1/4, {channels}"),)
        )
    return found


VARIANTS = _tables()
