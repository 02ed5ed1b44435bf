"""Settings and fixtures for all tests."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from hypothesis import settings
from playwright.async_api import Browser, async_playwright

settings.register_profile("any-machine", deadline=None)  # no test depends on how fast the machine is
settings.load_profile("any-machine")

_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        message = f"no Chromium: none of {', '.join(names)} is on the PATH (scripts/install-chromium.sh installs it)"
        if os.environ.get("WATTSHIFT_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(_FLAGS)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=found, headless=True, args=flags)
        yield launched
        await launched.close()
