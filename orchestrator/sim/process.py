"""What every program of the mock site needs of its process: SIGTERM taken between two steps, and its log on stderr."""

import logging
import os
import signal
import sys
import threading


def hold_sigterm() -> None:
    """Let SIGTERM wait until `sigterm_within` takes it, so that it never comes in the middle of something.

    Call it in the main thread before any other thread starts. A held signal reaches process 1 of a container too,
    which ignores one that it has no handler for.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def sigterm_within(wait_s: float) -> bool:
    """Wait for SIGTERM for `wait_s` on the wall; True as soon as it came."""
    info = signal.sigtimedwait({signal.SIGTERM}, max(wait_s, 0.0))
    # A stop and continue (Ctrl-Z, a laptop that slept) past the timeout brings an empty info instead of None.
    return info is not None and info.si_signo == signal.SIGTERM


def wait_for_sigterm() -> None:
    """Block until SIGTERM comes: for programs whose work is done in other threads."""
    signal.sigwait({signal.SIGTERM})


def start_in_pod(program: str) -> None:
    """The beginning of every program in a pod: SIGTERM is held, the log goes to stderr, no thread dies unnoticed."""
    hold_sigterm()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s {program} %(levelname)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request
    threading.excepthook = _end


def _end(failure: threading.ExceptHookArgs) -> None:
    """End the whole process, so that the kubelet starts it anew: half a program looks alive and does nothing."""
    logging.critical("ended by an error nobody foresaw", exc_info=failure.exc_value)
    os._exit(1)
