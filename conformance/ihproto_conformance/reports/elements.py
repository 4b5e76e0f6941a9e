"""HTML elements, made so that no text can become markup."""

from __future__ import annotations

from typing import TypeAlias
from xml.etree import ElementTree

from ihproto_conformance.reports.foreign import printable

Element: TypeAlias = "ElementTree.Element[str]"


def element(tag: str, *children: Element | str, **attributes: str) -> Element:
    """An element.

    Args:
        tag: Its name.
        children: Elements and texts, in order.
        attributes: By their names, with `_` for `-`, and one at the end for names that are words of Python.
    """
    made = ElementTree.Element(
        tag, {name.rstrip("_").replace("_", "-"): printable(value) for name, value in attributes.items()}
    )
    last: Element | None = None
    for child in children:
        if not isinstance(child, str):
            made.append(child)
            last = child
        elif last is None:
            made.text = (made.text or "") + printable(child)
        else:
            last.tail = (last.tail or "") + printable(child)
    return made


def with_code(text: str) -> list[Element | str]:
    """A sentence of Markdown as children of an element: what stands between backticks is code."""
    return [element("code", part) if index % 2 else part for index, part in enumerate(text.split("`"))]
