"""Tables and figures of a scan: reads stores, never solvers."""

from ._write import write_report as write_report
