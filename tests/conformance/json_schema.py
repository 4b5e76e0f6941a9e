"""As much of JSON Schema as `docs/report-schema.json` uses, and one thing more: no member may be unknown to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

_IS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
_NOTES = {"$schema", "$defs", "title", "description", "format"}
_JUDGED = {"$ref", "const", "enum", "type", "minimum", "required", "properties", "items", "minItems", "maxItems"}


def faults(value: Any, schema: Schema, root: Schema, path: str = "$") -> Iterator[str]:
    """What of a value is not as the schema has it."""
    unknown = set(schema) - _NOTES - _JUDGED
    if unknown:
        yield f"{path}: this test does not know {sorted(unknown)}"
    if "$ref" in schema:
        yield from faults(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, path)
    if "const" in schema and value != schema["const"]:
        yield f"{path}: not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    types = schema.get("type", [])
    if types and not any(_IS[name](value) for name in ([types] if isinstance(types, str) else types)):
        yield f"{path}: not {types}"
        return
    if "minimum" in schema and value is not None and value < schema["minimum"]:
        yield f"{path}: below {schema['minimum']}"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (f"{path}: lacks {name}" for name in schema.get("required", ()) if name not in value)
        for name, item in value.items():
            if name in known:
                yield from faults(item, known[name], root, f"{path}.{name}")
            elif "$ref" not in schema:
                yield f"{path}: {name} is not described"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{path}: has {len(value)} items"
        for index, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), root, f"{path}[{index}]")
