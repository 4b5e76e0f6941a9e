"""A short run of `media_fuzz`, and that it would notice."""

from __future__ import annotations

import time

import media_fuzz
import pytest
from media_fuzz import MAX_HELD, Input, held_bytes, make_input, run, run_index, seeds

from ihproto.media import MediaError, MediaScanner, SegmentFault

INPUTS = 1500


@pytest.mark.parametrize("part", range(10))
def test_broken_and_hostile_files_are_refused_without_an_exception_within_bounds(part: int) -> None:
    for index in range(part, INPUTS, 10):
        case, outcome = run_index(0, index, timed=False)
        again = f"python tests/media_fuzz.py --seed 0 --only {index}"
        assert outcome.failure is None, f"{case.kind}: {outcome.failure}; again: {again}"


def test_an_input_depends_on_its_seed_and_index_alone() -> None:
    assert make_input(3, 7) == make_input(3, 7)
    assert make_input(3, 7) != make_input(4, 7)


def test_the_inputs_are_of_all_containers_and_kinds() -> None:
    kinds = {make_input(0, index).kind for index in range(500)}
    containers = {kind.partition(",")[0] for kind in kinds}
    assert containers == {container for container, _ in seeds()} == {
        "mp4", "mov", "avi", "mkv", "webm", "mpeg-ts", "mpeg-2-ts"
    }  # fmt: skip
    for word in ("mutated", "truncated", "spliced", "crafted", "noise", "continuing"):
        assert any(word in kind for kind in kinds), word


def test_an_exception_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(self: MediaScanner, data: bytes) -> SegmentFault | None:
        raise ZeroDivisionError

    monkeypatch.setattr(MediaScanner, "feed", feed)
    failure = run(Input("", ((b"x",),))).failure
    assert failure is not None
    assert "ZeroDivisionError" in failure


def test_bytes_that_are_held_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(self: MediaScanner, data: bytes) -> SegmentFault | None:
        self._tail += data
        return None

    monkeypatch.setattr(MediaScanner, "feed", feed)
    failure = run(Input("", ((bytes(MAX_HELD),),))).failure
    assert failure is not None
    assert "holds" in failure
    assert held_bytes(MediaScanner()) < 8 * 1024


def test_bytes_that_the_traceback_of_a_kept_exception_holds_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(self: MediaScanner, data: bytes) -> SegmentFault | None:
        try:
            raise MediaError("", 0)
        except MediaError as error:
            self._broken = error
        return None

    monkeypatch.setattr(MediaScanner, "feed", feed)
    failure = run(Input("", ((bytes(MAX_HELD),),))).failure
    assert failure is not None
    assert "holds" in failure


def test_time_that_is_lost_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(self: MediaScanner, data: bytes) -> SegmentFault | None:
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
        return None

    monkeypatch.setattr(MediaScanner, "feed", feed)
    failure = run(Input("", ((b"x",),))).failure
    assert failure is not None
    assert "takes" in failure


def test_an_endless_loop_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(self: MediaScanner, data: bytes) -> SegmentFault | None:
        while True:
            pass

    monkeypatch.setattr(MediaScanner, "feed", feed)
    monkeypatch.setattr(media_fuzz, "ENDLESS", 0.05)
    failure = run(Input("", ((b"x",),))).failure
    assert failure is not None
    assert "still running" in failure
