"""The site file that comes with the program."""

from pathlib import Path


def example_site() -> Path:
    """The example site file: beside the sources in a checkout, inside the package when installed."""
    package = Path(__file__).parents[1]
    files = [folder / "examples" / "texas-100mw.yaml" for folder in (package, package.parent)]
    return next((file for file in files if file.exists()), files[0])
