"""A fake desk, and clients that speak to the API over it without a socket."""

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import httpx
import pytest

from orchestrator.api import create_app

if TYPE_CHECKING:
    from tests.api.fake_desk import FakeDesk

Client = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def _load() -> ModuleType:
    """The tests are no package, so what they share is loaded by its path."""
    name = "wattshift_fake_desk"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("fake_desk.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def fakes() -> ModuleType:
    """The module with FakeDesk and what it is made of."""
    return _load()


@pytest.fixture
def desk(fakes: ModuleType) -> "FakeDesk":
    made: FakeDesk = fakes.FakeDesk()
    return made


@pytest.fixture
def connect(desk: "FakeDesk") -> Client:
    """Opens a client: `async with connect(api_key=..., base_url=..., desk=...) as client`."""

    @asynccontextmanager
    async def open_client(
        api_key: str | None = None, base_url: str = "http://127.0.0.1:8080", desk: "FakeDesk" = desk
    ) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(create_app(desk, api_key=api_key), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
            yield client

    return open_client


@pytest.fixture
async def client(connect: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with connect() as opened:
        yield opened
