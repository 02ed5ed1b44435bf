"""The operator's web page: static files, served by the API. Its script library comes from the plotly wheel."""

from pathlib import Path

FOLDER = Path(__file__).parent / "page"
"""Where index.html, its styles and its scripts lie."""
