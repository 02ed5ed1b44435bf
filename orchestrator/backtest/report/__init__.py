"""A backtest as one HTML file for whoever has to decide on it: opens from disk, loads nothing, prints."""

from orchestrator.backtest.report.page import report_html, write_report

__all__ = ["report_html", "write_report"]
