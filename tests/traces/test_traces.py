"""Traces of jobs: what is read, and what makes no sense and is told with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.adapters.traces.nonsense import TraceError
from orchestrator.adapters.traces.trace import JobTrace, read_trace

HEADER = "timestamp,duration,num_gpus,gpu_time,cluster\n"
SWF_HEADER = "; Version: 2.2\n; MaxProcs: 128\n; UnixStartTime: 1700000000\n; TimeZoneString: America/Chicago\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., JobTrace]:
    def read_content(content: str | bytes, name: str = "trace.csv", most_gpus: int = 64) -> JobTrace:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_trace(path, most_gpus)

    return read_content


def swf_line(
    number: int, submit: str = "0", run: str = "3600", procs: str = "8", asked: str = "8", status: str = "1"
) -> str:
    return f"{number} {submit} 5 {run} {procs} -1 -1 {asked} -1 -1 {status} 1 1 1 1 -1 -1 -1\n"


def kinds(trace: JobTrace) -> dict[str, tuple[int, tuple[tuple[int, str], ...]]]:
    return {kind.problem: (kind.count, kind.places) for kind in trace.nonsense}


def test_phillys_csv_is_read_in_order_of_submission(read: Callable[..., JobTrace]) -> None:
    trace = read(
        HEADER + "2017-10-09 07:01:55,66.0,1,66.0,11cb48\n2017-10-09 06:13:03,2951.0,8,2951.0,6214e9\n"
        "2017-10-09 07:01:56,7.5,2,15.0,11cb48\n"
    )
    assert trace.layout == "csv"
    assert trace.run_s.tolist() == [2951.0, 66.0, 7.5]
    assert trace.gpus.tolist() == [8, 1, 2]
    assert (trace.submitted_s - trace.submitted_s[0]).tolist() == [0.0, 2932.0, 2933.0]
    assert trace.submitted_s[0] % 86_400 == 6 * 3600 + 13 * 60 + 3
    assert kinds(trace) == {"not in order of time, so sorted": (1, ((3, "2017-10-09 06:13:03"),))}


@pytest.mark.parametrize(
    ("row", "problem", "value"),
    [
        ("2017-10-09 06:00:00,-5,1,1,a", "a negative run time", "-5"),
        ("2017-10-09 06:00:00,0,1,1,a", "no run time", "0"),
        ("2017-10-09 06:00:00,nan,1,1,a", "a run time that is no number", "nan"),
        ("2017-10-09 06:00:00,,1,1,a", "a run time that is no number", ""),
        ("2017-10-09 06:00:00,inf,1,1,a", "a run time that is no number", "inf"),
        ("2017-10-09 06:00:00,1e12,1,1,a", "a run time of more than a year", "1e12"),
        ("2017-10-09 06:00:00,60,0,1,a", "no GPUs", "0"),
        ("2017-10-09 06:00:00,60,-2,1,a", "a negative number of GPUs", "-2"),
        ("2017-10-09 06:00:00,60,1.5,1,a", "a number of GPUs that is no whole number", "1.5"),
        ("2017-10-09 06:00:00,60,many,1,a", "a number of GPUs that is no whole number", "many"),
        ("2017-10-09 06:00:00,60,65,1,a", "more GPUs than there are", "65"),
        ("2017-10-09 06:00:00,60,1e300,1,a", "more GPUs than there are", "1e300"),
        ("yesterday,60,1,1,a", "a time of submission that cannot be read", "yesterday"),
        ("2017-10-09,60,1,1,a", "a time of submission that cannot be read", "2017-10-09"),
        ("2017-13-41 06:00:00,60,1,1,a", "a time of submission that cannot be read", "2017-13-41 06:00:00"),
        ("2017-10-09 05:00:00,60,1,60,a", "the same as an earlier row", "2017-10-09 05:00:00,60,1,60,a"),
        ("2017-10-09 06:00:00,60,1", "another number of cells than the header's 5", "2017-10-09 06:00:00,60,1"),
        (
            "2099-10-09 06:00:00,60,1,1,a",
            "submitted more than 60 days before or after most jobs",
            "2099-10-09 06:00:00",
        ),
    ],
)
def test_a_row_without_sense_is_left_out_and_told(
    read: Callable[..., JobTrace], row: str, problem: str, value: str
) -> None:
    trace = read(HEADER + "2017-10-09 05:00:00,60,1,60,a\n2017-10-09 05:00:01,60,1,60,a\n" + row + "\n")
    assert len(trace) == 2
    assert trace.rows == 3
    assert kinds(trace) == {problem: (1, ((4, value),))}


def test_nonsense_is_counted_by_kind_with_its_first_places(read: Callable[..., JobTrace]) -> None:
    rows = "".join(f"2017-10-09 05:00:{second:02d},-{second + 1},1,1,a\n" for second in range(9))
    trace = read(HEADER + "2017-10-09 05:00:00,60,1,60,a\n" + rows)
    (kind,) = trace.nonsense
    assert str(kind) == (
        "9 rows left out: a negative run time (line 3: '-1', line 4: '-2', line 5: '-3', ...); "
        "allowed: seconds above 0, up to 31622400 (a year)"
    )


def test_a_list_of_pods_is_read(read: Callable[..., JobTrace]) -> None:
    trace = read("name,num_gpu,gpu_milli,creation_time,deletion_time\na,1,1000,0,7200\nb,0,0,5,9\nc,8,1000,60,3660\n")
    assert (trace.layout, trace.run_s.tolist(), trace.gpus.tolist()) == ("openb", [7200.0, 3600.0], [1, 8])
    assert kinds(trace) == {"no GPUs": (1, ((3, "0"),))}


def test_standard_workload_format_is_read(read: Callable[..., JobTrace]) -> None:
    content = (
        SWF_HEADER
        + swf_line(1)
        + swf_line(2, submit="60", procs="-1", asked="16", status="0")
        + swf_line(3, submit="30.5", run="0.4", procs="128", status="5")
    )
    trace = read(content, "log.swf")
    assert (trace.layout, trace.machine, trace.rows) == ("swf", 128, 3)
    assert trace.gpus.tolist() == [8, 128, 16]
    assert trace.run_s.tolist() == [3600.0, 0.4, 3600.0]
    assert trace.submitted_s[0] == 1_700_000_000 - 6 * 3600  # local time in Chicago


@pytest.mark.parametrize(
    ("line", "problem", "value"),
    [
        (swf_line(2, run="-1"), "a negative run time", "-1"),
        (swf_line(2, procs="-1", asked="-1"), "a negative number of processors", "-1"),
        (swf_line(2, procs="0", asked="0"), "no processors", "0"),
        (swf_line(2, procs="129"), "more processors than there are", "129"),
        (swf_line(1), "a job number given before", "1"),
        (swf_line(2, status="3"), "a part of a job (status 2 to 4)", "3"),
        (swf_line(2, submit="-7"), "a time of submission that cannot be read", "-7"),
        ("2 0 5 3600\n", "another number of fields than 18", "2 0 5 3600"),
    ],
)
def test_a_line_of_a_log_without_sense_is_left_out_and_told(
    read: Callable[..., JobTrace], line: str, problem: str, value: str
) -> None:
    trace = read(SWF_HEADER + swf_line(1) + line, "log.swf")
    assert len(trace) == 1
    assert kinds(trace) == {problem: (1, ((6, value),))}


@pytest.mark.parametrize(
    ("old", "new", "problem", "place"),
    [
        ("MaxProcs: 128", "MaxProcs: -3", "a MaxProcs that no machine has, so it is not known", (2, "-3")),
        ("MaxProcs: 128", "MaxProcs: 2,048", "a MaxProcs that no machine has, so it is not known", (2, "2,048")),
        ("MaxProcs: 128", "MaxProcs: 0\n; MaxNodes: 9", "a MaxProcs that no machine has, so MaxNodes", (2, "0")),
        ("1700000000", "banana", "a UnixStartTime that cannot be, so the log is taken to begin", (3, "banana")),
        ("1700000000", "-1", "a UnixStartTime that cannot be, so the log is taken to begin", (3, "-1")),
        ("America/Chicago", "Mars/Base", "a TimeZoneString of no time zone, so its clocks", (4, "Mars/Base")),
    ],
)
def test_a_header_of_a_log_without_sense_is_told_with_its_line(
    read: Callable[..., JobTrace], old: str, new: str, problem: str, place: tuple[int, str]
) -> None:
    trace = read(SWF_HEADER.replace(old, new) + swf_line(1), "log.swf")
    assert len(trace) == 1
    (kind,) = trace.nonsense
    assert kind.problem.startswith(problem)
    assert kind.places == (place,)
    assert str(kind).startswith("1 header lines left out: a ")
    assert "; allowed: " in str(kind)
    assert trace.machine == (9 if "MaxNodes" in new else None if "MaxProcs" in new else 128)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "trace.csv", "is empty; allowed: a header line and rows"),
        (HEADER, "trace.csv", "has a header and no rows"),
        ("a,b\n1,2\n", "trace.csv", r"header 'a,b' is not the header of a trace; allowed: timestamp,duration,num_gpus"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "trace.csv", r":1: .* is not UTF-8"),
        (b"\x1f\x8b\x08\x00\xff", "log.swf", r":1: .* is not UTF-8"),
        ("", "log.swf", "is empty; allowed: lines of 18 numbers"),
        (
            HEADER + '2017-10-09 06:00:00,5,1,1,a\n"2017-10-09 06:00:00,5,1,1,a\n' + "2017,5,1,1,a\n" * 9,
            "trace.csv",
            ":3: is",
        ),
        ("; Version: 2\n", "log.swf", "has no job that can be used"),
        (
            HEADER + "2017-10-09 06:00:00,-5,1,1,a\n",
            "trace.csv",
            r":2: '-5' a negative run time \(1 rows\); allowed: seconds",
        ),
        ("the quick brown fox\n", "log.swf", r":1: 'the quick brown fox' another number of fields than 18"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_is_refused(
    read: Callable[..., JobTrace], content: str | bytes, name: str, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        read(content, name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for name in ("trace.csv", "log.swf"):
        with pytest.raises(TraceError, match="does not exist"):
            read_trace(tmp_path / name, 8)
    with pytest.raises(TraceError, match="is a directory"):
        read_trace(tmp_path, 8)


def test_phillys_trace_is_read_as_it_is() -> None:
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "jobs" / "philly_2017.csv"
    if not path.exists():
        pytest.skip("the folder of real data, ../shared/data beside the project, is not here")
    trace = read_trace(path, 1728)
    assert (trace.rows, len(trace)) == (82_247, 82_182)
    assert {problem: count for problem, (count, _) in kinds(trace).items()} == {
        "the same as an earlier row": 65,
        "not in order of time, so sorted": 82_177,
    }


CELLS = st.one_of(
    st.text(alphabet='0123456789-+.einfa :T,;_"\t', max_size=12),
    st.sampled_from(["2017-10-09 06:00:00", "60", "1", "1e308", "-0", "0x10", "4102444801", "\x00", "\u0661"]),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,duration,num_gpus\n" + "\n".join(",".join(row) for row in rows) + "\n")
    log = tmp_path / "log.swf"
    log.write_text("\n".join(f"1 {row[0]} 0 {row[1]} {row[2]} 0 0 {row[2]} 0 0 1 0 0 0 0 0 0 0" for row in rows))
    for file in (path, log):
        try:
            trace = read_trace(file, 64)
        except TraceError as error:
            message = str(error)
        else:
            message = f"{file}: {len(trace)} jobs"
            assert (trace.run_s > 0.0).all()
            assert (trace.gpus > 0).all()
            assert len(trace) <= trace.rows
        assert file.name in message
