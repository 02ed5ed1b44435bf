"""How good the forecasts were that a backtest's plans were made on."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np

from orchestrator.backtest.play import Period
from orchestrator.backtest.result import ForecastSkill
from orchestrator.forecast.price_history import price_track
from orchestrator.forecast.price_model import fit_model
from orchestrator.forecast.skill import forecast_skill

HOURS = (1, 2, 4, 8, 12, 24)


def skill_of(period: Period, progress: Callable[[int], None] = lambda done: None) -> tuple[ForecastSkill, ...]:
    """By hours ahead, of forecasts made once an hour; none where less than a month of prices is known."""
    history = period.history
    track = price_track(
        history.start,
        history.step,
        history.real_time_usd_per_mwh,
        history.day_ahead_usd_per_mwh,
        ZoneInfo(period.site.timezone),
    )
    an_hour = max(track.steps_a_day // 24, 1)
    ours = forecast_skill(track, fit_model(track), history.end, HOURS, every=an_hour).get("ours")
    progress(len(period.market))
    if ours is None or ours.pinball is None or np.isnan(ours.mae).any():
        return ()
    count = max(history.end - 29 * track.steps_a_day, 0) // an_hour
    return tuple(
        ForecastSkill(float(hours), float(mae), float(pinball), count)
        for hours, mae, pinball in zip(HOURS, ours.mae, ours.pinball, strict=True)
    )
