"""What all commands say of input that they cannot work with."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from orchestrator.runtime.client.terminal import refuse


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Input that cannot be worked with ends in its own words and exit code 2, never in a traceback."""
    from orchestrator.adapters.prices.faults import DataFileError
    from orchestrator.adapters.store import StoreError
    from orchestrator.adapters.traces.nonsense import TraceError
    from orchestrator.api.guard import KeyRequiredError
    from orchestrator.backtest.jobs.from_trace import ScalingError
    from orchestrator.backtest.market import MarketError
    from orchestrator.backtest.records.parquet import RecordsError
    from orchestrator.runtime.backtest.backtest_inputs import BacktestError
    from orchestrator.runtime.backtest.processes import ProcessError
    from orchestrator.runtime.demo.day import DayError
    from orchestrator.runtime.demo.devices import DevicesError
    from orchestrator.runtime.demo.run_folder import RunFolderError
    from orchestrator.runtime.http_server import PortError
    from orchestrator.runtime.serve import NoDriverError
    from orchestrator.settings import SettingsError

    try:
        yield
    except (BacktestError, MarketError, ProcessError, RecordsError, ScalingError, TraceError) as problem:
        refuse(problem)
    except (DataFileError, DayError, KeyRequiredError, NoDriverError, PortError) as problem:
        refuse(problem)
    except (DevicesError, RunFolderError, SettingsError, StoreError) as problem:
        refuse(problem)


def check_writable(file: Path | None, option: str = "--json") -> None:
    """Said at the start: at the end of a day is too late."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        refuse(f"{option} {file}: a file is needed, in a folder that is there")
