"""The report as text: what stands in it, that it stands alone, and that nothing of a file becomes markup."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from orchestrator.backtest.clairvoyant import note_of
from orchestrator.backtest.report import report_html
from orchestrator.backtest.report.bands import price_bands
from orchestrator.backtest.report.data import chart_data
from orchestrator.backtest.report.events import price_events
from orchestrator.backtest.report.headline import beside, period, scope, sentences, shown_strategy
from orchestrator.backtest.report.markup import number, percent, signed
from orchestrator.backtest.result import COLUMNS, BacktestResult, MarketSeries, Source, StrategySeries
from orchestrator.backtest.summary import document
from orchestrator.domain.site.site import Site
from tests.backtest.ercot_year import PRICES, ercot_year
from tests.backtest.made_up import a_market, with_series

SECTIONS = (
    "strategies",
    "capture",
    "profit",
    "power",
    "events",
    "bands",
    "months",
    "promises",
    "starts",
    "planning",
    "data",
    "method",
    "again",
)
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Reader(HTMLParser):
    """Elements with their attributes, tables as text by caption, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            return
        self.words.append(data)
        if "caption" in self._open:
            self._caption += data
        elif "td" in self._open or "th" in self._open:
            self._rows[-1][-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def page(result: BacktestResult) -> str:
    return report_html(result)


def without_plotly(page: str) -> str:
    """plotly.js has addresses in it, of maps that this page draws none of."""
    start, end = page.index("<script>"), page.index("</script>")
    assert end - start > 1_000_000
    return page[:start] + page[end + len("</script>") :]


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="chart-data">(.*?)</script>', page)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


def test_all_parts_are_there(page: str) -> None:
    read = Reader(without_plotly(page))
    assert [attrs["id"] for tag, attrs in read.elements if tag == "section"] == list(SECTIONS)
    ids = [attrs["id"] for _, attrs in read.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"] for tag, attrs in read.elements if tag == "a"} <= {f"#{key}" for key in ids}
    assert sum(tag == "h1" for tag, _ in read.elements) == 1
    assert ("html", {"lang": "en"}) in read.elements


def test_it_stands_alone(page: str) -> None:
    read = Reader(without_plotly(page))
    assert "http:" not in without_plotly(page)
    assert "https:" not in without_plotly(page)
    assert "url(" not in without_plotly(page)
    loading = {"src", "srcset", "data", "poster", "action", "background"}
    assert [(tag, attrs) for tag, attrs in read.elements if loading & attrs.keys() or tag in ("link", "iframe")] == []
    policy = [attrs["content"] for _, attrs in read.elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1
    assert str(policy[0]).startswith("default-src 'none'")


def test_plotly_is_in_it_once_and_ends_no_script(page: str) -> None:
    assert page.count("plotly.js v") == 1
    assert page.count("</script") == page.count("<script") == 3


def test_a_year_of_quarter_hours_stays_small(result: BacktestResult) -> None:
    market = a_market(datetime(2024, 1, 1, 6, tzinfo=UTC), 35_136)
    columns: dict[str, Any] = {name: np.full(35_136, 1234.5) for name in COLUMNS}
    strategies = tuple(replace(strategy, series=StrategySeries(**columns)) for strategy in result.strategies)
    page = report_html(replace(result, market=market, strategies=strategies))
    assert len(without_plotly(page)) < 1_000_000


@pytest.mark.skipif(not PRICES.exists(), reason=f"{PRICES.name}: no such data beside the checkout")
def test_a_real_year_makes_a_report(site: Site) -> None:
    read = Reader(without_plotly(report_html(ercot_year(site))))
    events = rows(read, "The dearest hours")
    assert [row[0] for row in events[1:3]] == ["Wed 8 May 2024, 19:30", "Tue 20 Aug 2024, 19:15"]
    assert len(rows(read, "plan, by month")) == 1 + 12 + 1


def rows(read: Reader, caption: str) -> list[list[str]]:
    return next(rows for name, rows in read.tables.items() if name.startswith(caption))


def test_the_strategies_table_has_the_documents_figures(result: BacktestResult, page: str) -> None:
    figures = document(result)["strategies"]
    shown = rows(Reader(page), "What each strategy earned")[1:]
    assert [row[0] for row in shown] == list(figures)
    for row, of in zip(shown, figures.values(), strict=True):
        assert row[1] == number(of["profit_usd"])
        assert row[3:] == [
            number(of["revenue_usd"]["mining"]),
            number(of["revenue_usd"]["hpc"]),
            number(of["energy_cost_usd"]),
            number(of["sla_penalty_usd"]),
            number(of["energy_mwh"]),
            number(of["paid_usd_per_mwh"], 2),
        ]
    before = figures["always-on"]["profit_usd"]
    assert [row[2] for row in shown] == [
        "\u2013",
        *(signed(figures[name]["profit_usd"] - before) for name in ("threshold=80", "plan")),
    ]


def test_the_other_tables_have_the_documents_figures(result: BacktestResult, page: str) -> None:
    figures, read = document(result), Reader(page)
    plan = figures["strategies"]["plan"]
    by_month = rows(read, "plan, by month")
    assert [row[8] for row in by_month[1:]] == [
        *(number(month["profit_usd"]) for month in plan["months"].values()),
        number(plan["profit_usd"]),
    ]
    assert [row[0] for row in by_month[1:]] == ["Feb 2024 *", "Mar 2024 *", "All"]
    shares = rows(read, "Share of the bound")
    assert [row[2] for row in shares[1:]] == [percent(of["capture"], 2) for of in figures["strategies"].values()]
    starts = rows(read, "Racks woken")
    assert starts[3][1:5] == [number(count) for count in plan["starts_by_fleet"].values()]
    assert starts[3][6] == number(plan["interruptions"])
    promised = rows(read, "plan: jobs by how they ended")
    for row in promised[1:]:
        of = plan["sla"][row[0]]
        assert row[1] == of["class"]
        ended = [of[key] for key in ("on_time", "late", "withdrawn", "failed", "open")]
        assert row[2:8] == [number(count) for count in (sum(ended), *ended)]
        assert row[8] == percent(of["on_time"] / sum(ended), 2)
        best_effort = of["class"] == "best-effort"
        assert row[9] == ("\u2013" if best_effort else percent(of["on_time"] / (of["on_time"] + of["late"]), 2))
    for row in rows(read, "plan: what jobs paid and cost")[1:]:
        of = plan["sla"][row[0]]
        assert row[1:4] == [
            number(of["interruptions"]),
            f"{of['most_interruptions_in_an_hour']} of {of['interruptions_per_hour']}",
            number(of["windows_over_budget"]),
        ]
        assert row[4:] == [number(of[key]) for key in ("billed_gpu_hours", "penalty_usd", "unpaid_power_usd")]
    planned = rows(read, "Plans made")
    assert planned[1] == ["plan", "480", "1", "1.12\u00a0%", "30", "42", "97"]


def test_charts_are_drawn_from_the_figures(result: BacktestResult, page: str) -> None:
    data, figures = data_of(page), document(result)["strategies"]
    for name, usd in data["profit"]["usd"].items():
        assert usd[0] == 0
        assert usd[-1] == pytest.approx(figures[name]["profit_usd"], abs=0.51)
        assert len(usd) == len(data["profit"]["end_s"])
    days = data["days"]
    assert days["date"] == [f"2024-02-{day}" for day in (27, 28, 29)] + [f"2024-03-0{day}" for day in (1, 2, 3)]
    market, plan = result.market, result.strategy("plan").series
    assert days["price"][1] == pytest.approx(market.settled_usd_per_mwh[96:192].mean(), abs=0.006)
    assert days["highest"][3] == 1800.0
    assert days["mining"][5] == pytest.approx(plan.mining_grid_kw[480:].mean(), abs=0.6)
    assert sum(data["bands"]["hours"]) == pytest.approx(len(market) / 4)


def alike(result: BacktestResult, market: MarketSeries) -> BacktestResult:
    """The plan alone in another market, drawing as many kW in mining as the interval's number."""
    columns: dict[str, Any] = {name: np.zeros(len(market)) for name in COLUMNS}
    columns["mining_grid_kw"] = np.arange(len(market), dtype=np.float64)
    plan = replace(result.strategy("plan"), series=StrategySeries(**columns))
    start = datetime.fromtimestamp(int(market.start_s[0]), UTC)
    return replace(result, market=market, strategies=(plan,), start=start, end=start + len(market) * market.step)


def test_a_day_on_which_clocks_go_back_has_25_hours(result: BacktestResult) -> None:
    market = a_market(datetime(2024, 11, 2, 5, tzinfo=UTC), 96 + 100 + 96)
    data = chart_data(alike(result, market), ())
    assert data["days"]["date"] == ["2024-11-02", "2024-11-03", "2024-11-04"]
    assert data["days"]["mining"] == [round(47.5), round(96 + 49.5), round(196 + 47.5)]
    assert [(offset_s, name) for _, offset_s, name in data["zone"]] == [(-5 * 3600, "CDT"), (-6 * 3600, "CST")]
    assert data["zone"][1][0] == datetime(2024, 11, 3, 7, tzinfo=UTC).timestamp()


def test_more_than_a_year_of_quarter_hours_is_averaged(result: BacktestResult) -> None:
    market = replace(a_market(datetime(2024, 1, 1, 6, tzinfo=UTC), 3 * 20_000), step=timedelta(minutes=5))
    market = replace(market, start_s=market.start_s[0] + 300 * np.arange(60_000))
    drawn = chart_data(alike(result, market), ())["intervals"]
    assert drawn["step_s"] == 900
    starts = np.frombuffer(base64.b64decode(drawn["start_s"]), dtype="<u4")
    mining = np.frombuffer(base64.b64decode(drawn["mining"]["of"]), dtype="<u2") / 65_535 * drawn["mining"]["most"]
    assert starts.tolist() == market.start_s[::3].tolist()
    assert mining == pytest.approx(np.arange(60_000).reshape(-1, 3).mean(axis=1), abs=0.5)


def test_the_dearest_hours_are_found_with_both_prices(result: BacktestResult) -> None:
    events = price_events(result.market)
    data = chart_data(result, events)["events"]
    middle = len(result.market) // 2
    assert events[0].hour.start in range(middle, middle + 3)
    assert events[0].mean_usd_per_mwh == 1800.0
    assert data[0]["name"] == "Fri 1 Mar 2024, 00:00"
    assert max(data[0]["decided"]) == 5000.0
    assert max(data[0]["price"]) == 1800.0
    plan = result.strategy("plan").series
    assert data[0]["shown"]["mining"] == [round(float(kw), 1) for kw in plan.mining_grid_kw[events[0].rows]]
    starts = [result.market.start_s[event.hour.start] for event in events]
    assert all(abs(a - b) >= 30 * 3600 for a in starts for b in starts if a != b)


def test_bands_take_every_interval_once(result: BacktestResult) -> None:
    bands = price_bands(result.market)
    assert sorted(row for band in bands for row in band.rows.tolist()) == list(range(len(result.market)))
    assert bands[0].name == "below 0"
    assert bands[-1].name == "\u2265 1,000"


NASTY = "<img src=x onerror=alert(1)>\"'&</script><b>"


def test_text_of_files_is_shown_as_text(result: BacktestResult) -> None:
    site = replace(
        result.site,
        name=NASTY,
        tenants=tuple(replace(tenant, name=f"{NASTY}{at}") for at, tenant in enumerate(result.site.tenants)),
        fleets=tuple(replace(fleet, name=f"{NASTY}{at}") for at, fleet in enumerate(result.site.fleets)),
    )
    strategies = tuple(
        replace(
            strategy,
            name=f"{strategy.name}{NASTY}",
            assumptions=(NASTY,),
            outcomes=tuple(
                replace(outcome, tenant=tenant.name)
                for outcome, tenant in zip(strategy.outcomes, site.tenants, strict=True)
            ),
        )
        for strategy in result.strategies
    )
    source = Source(NASTY, NASTY, NASTY)
    odd = replace(
        result,
        site=site,
        strategies=strategies,
        prices=(source,),
        hashprice=source,
        weather=source,
        trace=source,
        warnings=(NASTY,),
        assumptions=(NASTY,),
        versions={NASTY: NASTY},
        command=NASTY,
        bound_note=NASTY,
    )
    page = report_html(odd)
    read = Reader(without_plotly(page))
    assert [tag for tag, _ in read.elements if tag in ("img", "b")] == []
    assert [attrs for _, attrs in read.elements if any(name.startswith("on") for name in attrs)] == []
    assert page.count("</script") == 3
    assert read.text.count("<img src=x onerror=alert(1)>") > 30
    assert data_of(page)["shown"].endswith(NASTY)


def test_it_says_what_was_simulated_wrong_and_run(result: BacktestResult, page: str) -> None:
    text = Reader(page).text
    assert "Devices and time are simulated" in text
    assert result.warnings[0] in text
    assert result.assumptions[0] in text
    assert "Seed 7. wattshift 0.4.0, python 3.11.9." in text
    assert result.command in text
    assert "In 1 of them the final price was not the first one published, at most by 3,200.00 USD/MWh" in text


def words(result: BacktestResult) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", line) for line in sentences(result)).replace("\u00a0", " ")


def scaled(result: BacktestResult, **profits: float) -> BacktestResult:
    """Strategies that earn just these amounts, by mining."""
    made = []
    for name, usd in profits.items():
        strategy = result.strategy("plan")
        nothing = np.zeros(len(result.market))
        mining = nothing.copy()
        mining[0] = usd
        series = with_series(
            strategy,
            mining_revenue_usd=np.maximum(mining, 0.0),
            hpc_revenue_usd=nothing,
            energy_cost_usd=np.maximum(-mining, 0.0),
            credits_usd=nothing,
        ).series
        made.append(replace(strategy, name=name.replace("_", "-"), series=series))
    return replace(result, strategies=tuple(made))


def test_the_headline_says_what_was_earned_beside_what(result: BacktestResult) -> None:
    odd = replace(
        scaled(result, always_on=2e6, greedy=2_950_000.0, plan=3e6, perfect_prices=3_012_345.0), bound_usd=3_030_303.0
    )
    text = words(odd)
    assert (
        "Run by plan, texas-100mw earned 3.00 million USD after energy, 99.0 % of the bound on what it could have"
        in text
    )
    assert (
        "That is 50,000 USD (1.7 %) more than greedy, the best of the others; 1.00 million USD (50.0 %) more than "
        "always-on." in text
    )
    assert "Knowing prices in advance would have added 12,345 USD." in text
    assert "It kept every cap." in text


def test_the_headline_does_not_gloss_over(result: BacktestResult) -> None:
    worse = scaled(result, always_on=2e6, greedy=-5.0, plan=-1_500.0)
    plan = worse.strategy("plan")
    guaranteed = result.site.tenants[0].name
    broken = replace(
        plan,
        seconds_above_cap=90.0,
        outcomes=tuple(
            replace(
                outcome,
                on_time=8,
                late=2,
                withdrawn=5,
                failed=1,
                open=4,
                interruptions=3 if outcome.tenant == guaranteed else 0,
            )
            for outcome in plan.outcomes
        ),
    )
    text = words(replace(worse, strategies=(*worse.strategies[:2], broken), bound_usd=-10.0))
    assert "texas-100mw lost 1,500 USD after energy. That is 2.00 million USD" in text
    assert "less than always-on, the best of the others; 1,495 USD less than greedy." in text
    assert "It was above a cap for 90 s in all." in text
    assert "24 of 60 jobs handed in were done, by their deadline if they had one (40.0 %); 6 were late, " in text
    assert "15 withdrawn by their tenants and 12 unfinished at the end of the period, 3 failed by themselves." in text
    always_on = result.strategy("plan").outcomes  # as `scaled` made them
    withdrawn, still_open = sum(of.withdrawn for of in always_on), sum(of.open for of in always_on)
    assert f"Under always-on {withdrawn} were withdrawn and {still_open} unfinished." in text
    assert "Guaranteed jobs were interrupted 3 times." in text


def test_a_small_edge_over_the_best_of_the_others_is_told_first(result: BacktestResult) -> None:
    odd = scaled(result, always_on=-68_814_589.0, threshold=7_707_377.0, greedy=8_959_586.0, plan=8_969_426.0)
    assert (
        "That is 9,840 USD (0.11 %) more than greedy, the best of the others; 77.78 million USD more than always-on "
        "and 1.26 million USD more than threshold." in words(odd)
    )
    page = Reader(report_html(odd)).text
    assert "More than greedy +9,840 USD, the best of the others" in page
    assert "More than always-on +77,784,015 USD" in page
    behind = scaled(result, greedy=100_000.0, plan=99_000.0)
    assert "That is 1,000 USD (1.0 %) less than greedy." in words(behind)


def test_it_says_what_the_figures_are_not(result: BacktestResult) -> None:
    text = Reader(report_html(result)).text
    assert "One period of 6 days and one seed are no year" in text
    assert "HPC jobs are made of the trace jobs.csv, scaled to this site's GPUs by the factor under Data." in text
    year = replace(result, end=result.start + timedelta(days=366), trace=None)
    assert scope(year) == [
        "This is one period and one seed: other years and other draws of jobs give other figures.",
        "HPC jobs are simulated.",
    ]


def test_notes_on_the_data_are_not_called_faults(result: BacktestResult) -> None:
    told = ("prices.csv: 96 rows used", "trace: 8512 jobs made")
    text = Reader(report_html(replace(result, warnings=told))).text
    assert "wrong" not in text
    assert "What of them was used, filled, corrected or assumed is under Data" in text
    assert all(line in text for line in told)


@pytest.mark.parametrize(
    ("uncertainty", "says"),
    [
        (0.01, "within the site's limits less 1 % for the uncertainty of its meters."),
        (0.0, "within the site's limits in full: its meters are taken to be exact."),
    ],
)
def test_it_says_within_what_the_bound_holds(result: BacktestResult, uncertainty: float, says: str) -> None:
    site = replace(result.site, grid=replace(result.site.grid, measurement_uncertainty=uncertainty))
    odd = replace(result, site=site, bound_note=note_of(site))
    text = Reader(report_html(odd)).text
    assert says in text
    assert f"Bound: {note_of(site)}." in text
    assert document(odd)["measurement_uncertainty"] == uncertainty


def test_promised_work_that_cost_more_than_it_paid_is_told(result: BacktestResult) -> None:
    plan = result.strategy("plan")
    lost = {"guaranteed": 500_000.0, "flexible": 177_000.0, "best-effort": 9_000.0}
    outcomes = tuple(
        replace(outcome, unpaid_power_usd=lost[result.site.tenant(outcome.tenant).sla]) for outcome in plan.outcomes
    )
    text = Reader(report_html(replace(result, strategies=(replace(plan, outcomes=outcomes),)))).text
    assert "Work that was promised and cost more than it paid: 677,000 USD under plan." in text
    assert "the bound need not start such a job at all" in text


def test_which_strategy_it_is_about(result: BacktestResult) -> None:
    def chosen(*names: str) -> tuple[str, str | None]:
        odd = scaled(result, **{name.replace("-", "_"): 1.0 for name in names})
        shown, other = shown_strategy(odd), beside(odd)
        assert shown is not None
        return shown.name, other.name if other is not None else None

    assert chosen("plan", "greedy", "always-on") == ("plan", "always-on")
    assert chosen("always-on", "greedy") == ("greedy", "always-on")
    assert chosen("greedy", "plan", "perfect-prices") == ("plan", "greedy")
    assert chosen("perfect-prices", "greedy") == ("greedy", None)
    assert chosen("always-on") == ("always-on", None)
    assert chosen("perfect-prices") == ("perfect-prices", None)


def test_periods_are_named_in_the_sites_days(result: BacktestResult) -> None:
    zone = ZoneInfo("America/Chicago")

    def named(start: datetime, end: datetime) -> str:
        return period(replace(result, start=start.astimezone(UTC), end=end.astimezone(UTC)))

    year = datetime(2024, 1, 1, tzinfo=zone)
    assert named(year, year.replace(year=2025)) == "1 January to 31 December 2024"
    assert named(year, year + timedelta(days=1)) == "1 January 2024"
    assert named(year, year.replace(year=2026)) == "1 January 2024 to 31 December 2025"
    assert named(year, year + timedelta(hours=6)) == "1 January 2024, 00:00 to 1 January 2024, 06:00"


def odd_results(result: BacktestResult) -> Iterator[BacktestResult]:
    """One strategy, no bound; nothing at all; one interval; prices of nothing; a hole; a change of clocks."""
    plan = result.strategy("plan")
    yield replace(result, strategies=(plan,), bound_usd=None, trace=None, warnings=(), skill=(), command="")
    yield replace(result, strategies=())
    for start, count in ((datetime(2024, 3, 1, tzinfo=UTC), 1), (datetime(2024, 11, 2, tzinfo=UTC), 300)):
        market = a_market(start, count)
        columns: dict[str, Any] = {name: np.zeros(count) for name in COLUMNS}
        empty = StrategySeries(**columns)
        yield replace(
            result,
            market=replace(market, settled_usd_per_mwh=np.zeros(count)),
            strategies=(replace(plan, series=empty, outcomes=(), planner=None),),
            bound_usd=0.0,
            start=start,
            end=start + count * market.step,
        )
    start_s = result.market.start_s.copy()
    start_s[300:] += 7200
    yield replace(result, market=replace(result.market, start_s=start_s))


@pytest.mark.parametrize("case", range(5))
def test_odd_results_make_a_report_too(result: BacktestResult, case: int) -> None:
    odd = list(odd_results(result))[case]
    page = report_html(odd)
    read = Reader(without_plotly(page) if "chart-data" in page else page)
    assert ("section", {"id": "method", "aria-labelledby": "method-title"}) in read.elements
    assert "nan" not in read.text.lower().split()
    assert "inf" not in read.text.lower().split()


def test_numbers_are_written_for_people() -> None:
    assert number(1234567.4) == "1,234,567"
    assert number(-1234.5, 1) == "\u22121,234.5"
    assert number(-0.2) == "0"
    assert number(None) == "\u2013"
    assert signed(12.0) == "+12"
    assert signed(-12.0) == "\u221212"
    assert signed(0.3) == "0"
    assert percent(0.98765) == "98.8\u00a0%"
