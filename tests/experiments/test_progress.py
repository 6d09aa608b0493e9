import io

from mho.experiments.progress import Bar, PlainLines, Progress, counting, for_terminal


def test_lines_say_the_last_step_and_no_more_than_one_each_interval():
    stream = io.StringIO()
    with PlainLines(stream, every=1e9).stage("chips", total=4, done=1) as step:
        for i in range(3):
            step.advance(f"chip {i}")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("chips: 4/4")
    assert lines[0].endswith("chip 2")


def test_lines_at_every_step():
    stream = io.StringIO()
    with PlainLines(stream, every=0).stage("epochs", total=2) as step:
        step.advance()
        step.advance()
    assert [line.split("  ")[0] for line in stream.getvalue().splitlines()] == ["epochs: 1/2", "epochs: 2/2"]


def test_lines_tell_the_time_that_is_left(monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr("mho.experiments.progress.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    with PlainLines(stream, every=0).stage("cells", total=7, done=4) as step:
        for _ in range(3):
            step.advance("x")
    assert stream.getvalue().splitlines() == [
        "cells: 5/7  10 s  20 s left  x",
        "cells: 6/7  20 s  10 s left  x",
        "cells: 7/7  30 s  x",
    ]


def test_quiet_writes_nothing(capsys):
    with Progress().stage("chips", total=1) as step:
        step.advance("x")
    Progress().note("y")
    assert capsys.readouterr().out == ""


def test_the_bar_counts_from_what_was_done(capsys):
    with Bar().stage("chips", total=3, done=1) as step:
        step.advance()
        step.advance("last [detail]")
    assert "3/3" in capsys.readouterr().out


def test_no_bar_when_it_is_not_a_terminal():
    assert isinstance(for_terminal(), PlainLines)


def test_work_that_reports_done_and_total_is_a_stage() -> None:
    stream = io.StringIO()
    with counting(PlainLines(stream, every=0.0), "tests") as report:
        assert stream.getvalue() == ""
        report(1, 2)
        report(2, 2)
    assert [line.split("  ")[0] for line in stream.getvalue().splitlines()] == ["tests: 1/2", "tests: 2/2"]
