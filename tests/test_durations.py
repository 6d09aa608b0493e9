import pytest

from mho.config.durations import duration_text, parse_durations


def test_the_usual_times():
    assert parse_durations("1s,1h,1d,30d,1y") == (1.0, 3600.0, 86_400.0, 2_592_000.0, 31_536_000.0)
    assert parse_durations(" 2.5 min, 7, 1e3s") == (150.0, 7.0, 1000.0)


@pytest.mark.parametrize("text", ["", "1w", "h", "1s,,2s", "one", "-1s", "1 s s"])
def test_what_is_not_a_time_is_refused(text):
    with pytest.raises(ValueError, match="is not a time; write a number"):
        parse_durations(text)


@pytest.mark.parametrize("seconds", [0.5, 1, 59, 90, 3600, 86_400, 2 * 86_400, 2.592e6, 31_536_000, 3.1536e8])
def test_the_text_says_the_time(seconds):
    number, unit = duration_text(seconds).split(" ")
    short = {"day": "d", "days": "d", "year": "y", "years": "y"}.get(unit, unit)
    assert parse_durations(number + short)[0] == pytest.approx(seconds, rel=5e-3)


def test_one_and_many():
    assert [duration_text(s) for s in (86_400, 172_800, 31_536_000, 63_072_000)] == [
        "1 day",
        "2 days",
        "1 year",
        "2 years",
    ]
