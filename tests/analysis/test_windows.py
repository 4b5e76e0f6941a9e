import pytest
from hypothesis import given
from hypothesis import strategies as st

from ihproto.analysis import WindowPlanner
from ihproto.events import Window


def test_win_1_windows_of_8_seconds_advance_by_3() -> None:
    planner = WindowPlanner()
    assert planner.planned_until == 0
    assert planner.extend(14.0) == [Window(0, 0, 8), Window(1, 3, 11), Window(2, 6, 14)]
    assert planner.planned_until == 14


def test_a_window_is_planned_once_and_when_its_media_is_complete() -> None:
    planner = WindowPlanner()
    assert planner.extend(0) == []
    assert planner.extend(7.999) == []
    assert planner.extend(8) == [Window(0, 0, 8)]
    assert planner.extend(8) == []
    assert planner.extend(10.9) == []
    assert planner.extend(17) == [Window(1, 3, 11), Window(2, 6, 14), Window(3, 9, 17)]


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (0, None),
        (0.5, Window(0, 0, 0.5, final=True)),
        (7.9, Window(0, 0, 7.9, final=True)),
        (8, None),
        (9, Window(1, 3, 9, final=True)),
        (11, None),
        (12.5, Window(2, 6, 12.5, final=True)),
    ],
)
def test_the_remainder_is_the_next_window_cut_off_where_the_media_ends(media: float, expected: Window | None) -> None:
    planner = WindowPlanner()
    planner.extend(media)
    assert planner.remainder(media) == expected
    assert planner.remainder(media) is None
    assert planner.planned_until == media


def test_windows_may_be_of_any_length() -> None:
    assert WindowPlanner(5, 5).extend(12) == [Window(0, 0, 5), Window(1, 5, 10)]
    assert WindowPlanner(2.0, 0.5).extend(3.0) == [Window(0, 0, 2), Window(1, 0.5, 2.5), Window(2, 1, 3)]


@pytest.mark.parametrize(
    ("length", "advance"), [(8, 0), (8, -1), (8, 9), (0, 0), (-1, -2), (float("nan"), 1), (8, float("nan"))]
)
def test_windows_that_leave_gaps_or_never_end_are_refused(length: float, advance: float) -> None:
    with pytest.raises(ValueError, match="leave gaps or never end"):
        WindowPlanner(length, advance)


@given(steps=st.lists(st.integers(0, 80), max_size=30))
def test_all_media_is_covered_however_it_arrives(steps: list[int]) -> None:
    planner = WindowPlanner()
    windows: list[Window] = []
    media = 0.0
    for step in steps:
        media += step / 8
        windows += planner.extend(media)
        assert len(windows) == (0 if media < 8 else int((media - 8) // 3) + 1)
    assert [(window.index, window.start, window.end) for window in windows] == [
        (index, 3 * index, 3 * index + 8) for index in range(len(windows))
    ]
    assert not any(window.final for window in windows)
    last = planner.remainder(media)
    if last is not None:
        assert last.final
        assert (last.index, last.start) == (len(windows), 3 * len(windows))
        assert last.start < last.end == media
        windows.append(last)
    assert (windows[-1].end if windows else 0) == media
