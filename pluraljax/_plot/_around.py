"""What is around a panel: a title as wide as the axes, and a legend where somebody wants it."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# True for to the right, "below", or what Matplotlib calls a place inside the axes.
Legend = bool | str

_LEAST_CHARACTERS = 16
# Width of a letter on average, of the size of the font; on the safe side, because legends will make the axes narrower.
_LETTER = 0.66
_BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
_BELOW: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.0, 0.0), "ncols": 2, "borderaxespad": 0.0}
# Points that the numbers and the name of the horizontal axis take below it.
_AXIS_NAME = 38


def put_title(ax: "Axes", lines: Sequence[str]) -> None:
    """Puts a title of several lines above the axes, where `ax.set_title` puts another; what is wider is broken."""
    from matplotlib.font_manager import FontProperties

    points = FontProperties(size="medium").get_size_in_points()
    width = 72 * ax.get_window_extent().width / ax.get_figure(root=True).dpi  # pyright: ignore[reportOptionalMemberAccess]
    room = max(int(width / (_LETTER * points)), _LEAST_CHARACTERS)
    broken = [part for line in lines for part in textwrap.wrap(line, room, break_long_words=False) or [""]]
    ax.set_title("\n".join(broken), loc="center", fontsize="medium")


def put_legend(ax: "Axes", place: Legend, **options: Any) -> None:
    """Puts a legend beside the axes, below them, or inside; constrained layout makes room for it.

    Below narrow axes its entries stand one under the other, so that it does not reach under their neighbours.
    """
    from matplotlib.transforms import ScaledTranslation

    where = {"loc": place} if isinstance(place, str) else _BESIDE
    if place == "below":
        scale = ax.get_figure(root=True).dpi_scale_trans  # pyright: ignore[reportOptionalMemberAccess]
        where = _BELOW | {"bbox_transform": ax.transAxes + ScaledTranslation(0, -_AXIS_NAME / 72, scale)}
    shown = ax.legend(**where, frameon=False, fontsize="small", **options)
    if place == "below" and shown.get_window_extent().width > ax.get_window_extent().width:
        ax.legend(**where | {"ncols": 1}, frameon=False, fontsize="small", **options)
