"""Chromium on the console, served over a fake desk on 127.0.0.1."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import uvicorn

from orchestrator.api import create_app

if TYPE_CHECKING:
    from tests.api.fake_desk import FakeDesk


@dataclass
class Served:
    """The console over a desk, at `url`."""

    url: str
    desk: "FakeDesk"


@pytest.fixture
def fakes() -> ModuleType:
    """The API tests' module with FakeDesk; the tests are no package, so it is loaded by its path."""
    name = "wattshift_fake_desk"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "api" / "fake_desk.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def desk(fakes: ModuleType) -> "FakeDesk":
    made: FakeDesk = fakes.FakeDesk()
    for number in range(12):
        made.decide(fakes.a_decision(made, number))
    return made


@pytest.fixture
def api_key() -> str | None:
    """Overridden by the test that wants a key."""
    return None


@pytest.fixture
async def served(desk: "FakeDesk", api_key: str | None) -> AsyncIterator[Served]:
    app = create_app(desk, api_key=api_key)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it by this flag alone
            await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}", desk)
    desk.hub.close()
    server.should_exit = True
    async with asyncio.timeout(20):
        await task
