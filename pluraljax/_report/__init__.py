"""Tables and figures of a scan: reads stores, never solvers."""

from typing import TYPE_CHECKING, Any

from ._conclusion import conclusion as conclusion

if TYPE_CHECKING:
    from ._write import write_report

__all__ = ["conclusion", "write_report"]


def __getattr__(name: str) -> Any:
    # Figures need Matplotlib; a sentence does not.
    if name != "write_report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._write import write_report

    return write_report
