"""Expected failures: checks that are known not to pass, each with the reason, so that only news breaks a build.

The list is a TOML file of check ids::

    [expected-failures]
    "CFG-5.unknown-member" = "Ticket 123: answers ih6002 until the next release."

An entry whose check passes is stale, which makes the verdict `violations`: the list never hides more than it says.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from ihproto_conformance.verdict import Result, Status

_TABLE = "expected-failures"


class ExpectedError(Exception):
    """A list of expected failures that cannot be used; the text says where, why, and what cures it."""


def load_expected(path: Path, known_ids: Collection[str]) -> Mapping[str, str]:
    """Read a list of expected failures.

    Args:
        path: The file.
        known_ids: The ids of all checks that there are, whether they are run or not.

    Returns:
        Ids and reasons, in the order of the file.

    Raises:
        ExpectedError: If it cannot be read, is not TOML, holds anything else than the one table, names a check that
            there is not, or gives no reason.
    """
    table = _read(path).get(_TABLE, {})
    if not isinstance(table, dict):
        raise ExpectedError(f"{path}: {_TABLE!r} is no table; begin it with the line [{_TABLE}]")
    for id_, reason in table.items():
        if isinstance(reason, dict) and f"{id_}.{next(iter(reason), '')}" in known_ids:
            raise ExpectedError(f"{path}: {id_!r} became a table, because a dot divides names; put the id in quotes")
        if id_ not in known_ids:
            raise ExpectedError(f"{path}: there is no check {id_!r}; {_hint(id_, known_ids)}")
        if not isinstance(reason, str) or not reason.strip():
            raise ExpectedError(f"{path}: {id_!r} has no reason; say in a sentence why it may fail, and until when")
    return MappingProxyType({id_: reason.strip() for id_, reason in table.items()})


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ExpectedError(f"{path} cannot be read ({error.strerror}); name a file that can") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ExpectedError(
            f"{path} is not TOML: {error}; each line after [{_TABLE}] is an id in quotes, an equals sign, "
            "and a reason in quotes"
        ) from None
    for key in fields:
        if key != _TABLE:
            raise ExpectedError(f"{path}: {key!r} has no meaning here; ids stand below the line [{_TABLE}]")
    return fields


def _hint(id_: str, known_ids: Collection[str]) -> str:
    # Whoever got the clause right sees all of its checks; whoever did not, the ids that look alike.
    clause_id = id_.partition(".")[0].upper()
    nearest = [known for known in known_ids if known.partition(".")[0] == clause_id]
    nearest = nearest or difflib.get_close_matches(id_, list(known_ids), cutoff=0.5)
    return f"the nearest ids are {', '.join(nearest)}" if nearest else "no id is like it; take ids from a report"


def apply(
    results: Iterable[Result], expected: Mapping[str, str], chosen_ids: Collection[str]
) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """Mark what was expected to fail, and find what was expected in vain.

    Args:
        results: What became of the checks.
        expected: Ids and reasons.
        chosen_ids: The ids of the checks that were to be judged in this run.

    Returns:
        The results, in their order, and the ids of stale entries, in the order of the list. Only a check that was
        chosen and passed makes an entry stale: of all the others this run learned nothing.
    """
    marked = tuple(
        attrs.evolve(result, expected=True, reason=expected[result.check.id])
        if result.status.broken and result.check.id in expected
        else result
        for result in results
    )
    passed = {result.check.id for result in marked if result.status is Status.PASSED}
    return marked, tuple(id_ for id_ in expected if id_ in passed and id_ in chosen_ids)
