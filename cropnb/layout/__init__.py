"""The layout network: what can be said of a crop from its geometry and the objects' boxes alone."""

from cropnb.layout.maps import jittered, object_maps
from cropnb.layout.model import LayoutNetwork, load_layout_network, mean_scores

__all__ = ["LayoutNetwork", "jittered", "load_layout_network", "mean_scores", "object_maps"]
