"""Program: a simulated power market for a cluster. Serves a day of past prices in time-lapse (docs/mock-site.md)."""

import argparse
import logging
import math
import threading
from datetime import UTC, datetime, time
from pathlib import Path
from wsgiref.types import WSGIEnvironment
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.sim.market.price_tape import Player, PriceFileError, Tape, read_tape
from orchestrator.sim.metrics_server import ALL_ADDRESSES, refuse_method, routed, serve
from orchestrator.sim.process import start_in_pod, wait_for_sigterm

log = logging.getLogger(__name__)


class PriceFeed:
    """The document at the moment of the request. The file is read anew when it changed; a bad one is not taken."""

    def __init__(self, path: Path, tape: Tape, player: Player) -> None:
        self._path = path
        self._tape = tape
        self._player = player
        self._seen = _version(path)
        self._lock = threading.Lock()

    def answer(self, environ: WSGIEnvironment) -> object:
        if environ["REQUEST_METHOD"] != "GET":
            refuse_method(environ, "GET")
        with self._lock:
            self._look()
            return self._player.document(self._tape, datetime.now(UTC))

    def _look(self) -> None:
        version = _version(self._path)
        if version == self._seen:
            return
        self._seen = version
        try:
            self._tape = read_tape(self._path)
            log.info("%s: read anew, %d rows", self._path, len(self._tape.real_time))
        except PriceFileError as error:
            log.warning("%s; the prices read before stay", error)


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="price_feed", description=__doc__)
    parser.add_argument("--file", type=Path, required=True, help="CSV of our own format")
    parser.add_argument("--speed", type=_speed, default=60.0, help="at 60, 15 min take 15 s")
    parser.add_argument("--start-at", type=_clock_time, help="HH:MM at which to begin; default: the file's start")
    parser.add_argument(
        "--timezone", type=_zone, default=ZoneInfo("UTC"), help="of --start-at, such as America/Chicago"
    )
    parser.add_argument("--host", default=ALL_ADDRESSES)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(argv)
    try:
        tape = read_tape(options.file)
        from_s = tape.position_of(options.start_at, options.timezone) if options.start_at is not None else 0.0
    except ValueError as error:
        parser.error(str(error))

    start_in_pod("price_feed")
    feed = PriceFeed(options.file, tape, Player(datetime.now(UTC), from_s, options.speed))
    port = serve(routed(None, prices=feed.answer), options.host, options.port)
    log.info("simulated prices of %s at speed %g at port %d", options.file, options.speed, port)
    wait_for_sigterm()
    return 0


def _speed(text: str) -> float:
    value = float(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number over 0")
    return value


def _clock_time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HH:MM") from None


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is not an IANA time zone such as America/Chicago") from None


if __name__ == "__main__":
    raise SystemExit(main())
