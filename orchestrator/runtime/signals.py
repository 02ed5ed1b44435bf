"""What Ctrl-C and SIGTERM mean: stop in good order."""

import asyncio
import signal


def stop_event() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set, instead of ending the process."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping
