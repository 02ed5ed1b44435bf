"""What power costs, one file a kind of charge; `domain/charge.py` says what each of them answers.

A kWh becomes dollars here and nowhere else: in `cost_usd` of these files. `accounting/power_cost.py` adds up those of a
site, and is what metering and settlement (by `accounting/charge_lines.py`), the always-on yardstick, the backtest's
rows, the plan and dispatch call.

A new charge is a file here and its section in `settings/sections/site.py`; nothing else knows a charge by its name.
"""
