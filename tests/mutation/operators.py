"""What a mutant is, and all mutants of a module: each is one small change to its syntax tree.

Docstrings, annotations, imports and sentences (a string with a space in it, or an f-string) are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

#: What each comparison may wrongly be.
_COMPARISONS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_METHODS = {
    "startswith": "endswith",
    "endswith": "startswith",
    "append": "appendleft",
    "popleft": "pop",
    "add": "discard",
    "upper": "lower",
    "lower": "upper",
}
_NOT_CALLED = {"TypeVar", "getattr", "NewType"}

#: A step from a node to one of its children: the name of a field, and the place in it if it is a list.
Step = tuple[str, int | None]


@attrs.frozen
class Mutant:
    """One small change to a module.

    Attributes:
        module: The path of the module, below `src/ihproto`.
        place: The name of the function or class that is changed, empty for the module itself.
        line: The line of the change.
        change: What was there and what is there instead.
        number: Which one of several that would read the same.
        lives_in_function: Whether the change is in the body of a function, so that it can be put into a loaded module.
        path: The way to the changed node.
        replacement: What is put there, None for nothing.
    """

    module: str
    place: str
    line: int
    change: str
    number: int
    lives_in_function: bool
    path: tuple[Step, ...] = attrs.field(repr=False, eq=False)
    replacement: ast.AST | None = attrs.field(repr=False, eq=False)

    @property
    def name(self) -> str:
        """What the mutant is called, as long as the changed line stays the same."""
        number = f" #{self.number}" if self.number > 1 else ""
        return f"{self.module}:{self.place or 'module'}: {self.change}{number}"

    def apply(self, tree: ast.Module) -> ast.Module:
        """Make the changed tree."""
        changed = copy.deepcopy(tree)
        parent: ast.AST = changed
        for step in self.path[:-1]:
            parent = _child(parent, step)
        name, index = self.path[-1]
        if index is None:
            setattr(parent, name, self.replacement)
        elif self.replacement is None:
            del getattr(parent, name)[index]
            if isinstance(parent, ast.Dict):
                del parent.values[index]
        else:
            getattr(parent, name)[index] = self.replacement
        return ast.fix_missing_locations(changed)


def _child(node: ast.AST, step: Step) -> ast.AST:
    name, index = step
    value = getattr(node, name)
    child = value if index is None else value[index]
    assert isinstance(child, ast.AST)
    return child


def enumerations(modules: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """The members of every enumeration, by the name of its class."""
    found: dict[str, list[str]] = {}
    for tree in modules.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases):
                found[node.name] = [
                    statement.targets[0].id
                    for statement in node.body
                    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
                ]
    return found


def read_modules(root: Path, names: list[str]) -> dict[str, ast.Module]:
    """The syntax trees of modules, by their paths below `root`."""
    return {name: ast.parse((root / name).read_text(encoding="utf-8")) for name in names}


def mutants(module: str, tree: ast.Module, members: Mapping[str, list[str]]) -> list[Mutant]:
    """All mutants of a module.

    Args:
        module: Its path below `src/ihproto`.
        tree: Its syntax tree.
        members: The members of every enumeration, by the name of its class.
    """
    return list(_Finder(module, members).find(tree))


class _Finder:
    def __init__(self, module: str, members: Mapping[str, list[str]]) -> None:
        self._module = module
        self._members = members
        self._path: list[Step] = []
        self._ancestors: list[ast.AST] = []
        self._seen: Counter[tuple[str, str]] = Counter()

    def find(self, node: ast.AST) -> Iterator[Mutant]:
        if self._left_alone(node):
            return
        yield from self._changes_of(node)
        self._ancestors.append(node)
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "decorator_list", "type_params", "cause", "bases"}:
                continue
            for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
                if isinstance(child, ast.AST):
                    self._path.append((name, index))
                    yield from self.find(child)
                    self._path.pop()
        self._ancestors.pop()

    def _left_alone(self, node: ast.AST) -> bool:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.JoinedStr() | ast.Assert():
                return True
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return True
            case ast.Call(func=ast.Name(id="assert_never" | "TypeVar" | "NewType" | "TypeAliasType")):
                return True
            case ast.Expr(value=ast.Constant()):
                return True
            case ast.Assign(targets=[ast.Name(id="__all__" | "__version__")]):
                return True
            case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
                return True
        return False

    def _changes_of(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.expr):
            yield from self._changes_of_expression(node)
        elif isinstance(node, ast.stmt):
            yield from self._changes_of_statement(node)
        elif isinstance(node, ast.comprehension):
            for index in range(len(node.ifs)):
                yield self._mutant(node, None, f"without if {ast.unparse(node.ifs[index])}", ("ifs", index))

    def _changes_of_expression(self, node: ast.expr) -> Iterator[Mutant]:
        match node:
            case ast.Compare():
                for index, op in enumerate(node.ops):
                    for other in _COMPARISONS[type(op)]:
                        ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                        yield self._replace(node, ast.Compare(node.left, ops, node.comparators))
            case ast.BoolOp():
                yield self._replace(
                    node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
                )
                for index in range(len(node.values)):
                    rest = [*node.values[:index], *node.values[index + 1 :]]
                    yield self._replace(node, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield self._replace(node, node.operand)
            case ast.BinOp():
                if not self._is_text(node.left) and not self._is_text(node.right):
                    yield self._replace(node, ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right))
            case ast.Constant():
                yield from self._changes_of_constant(node)
            case ast.IfExp():
                yield from self._negate(node, node.test)
            case ast.Call():
                yield from self._changes_of_call(node)
            case ast.Slice():
                for bound in ("lower", "upper"):
                    if getattr(node, bound) is not None:
                        yield self._mutant(node, None, f"{ast.unparse(node)} without its {bound} bound", (bound, None))
            case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()) | ast.Set():
                parent = self._ancestors[-1]
                if len(node.elts) > 1 and not isinstance(parent, (ast.Subscript, ast.Index)):
                    for index, element in enumerate(node.elts):
                        yield self._mutant(node, None, f"without {_short(element)} in {_short(node)}", ("elts", index))
            case ast.Dict():
                for index, key in enumerate(node.keys):
                    what = f"without {_short(key) if key is not None else '**'} in {_short(node)}"
                    yield self._mutant(node, None, what, ("keys", index))
            case ast.Attribute(value=ast.Name(id=owner), ctx=ast.Load()) if node.attr in self._members.get(owner, ()):
                names = self._members[owner]
                other_name = names[(names.index(node.attr) + 1) % len(names)]
                if len(names) > 1:
                    yield self._replace(node, ast.Attribute(node.value, other_name, ast.Load()))

    def _changes_of_constant(self, node: ast.Constant) -> Iterator[Mutant]:
        value = node.value
        if isinstance(value, bool):
            yield self._replace(node, ast.Constant(not value))
        elif isinstance(value, (int, float)):
            yield self._replace(node, ast.Constant(value + 1))
        elif isinstance(value, str) and " " not in value:
            yield self._replace(node, ast.Constant(f"XX{value}"))
        elif isinstance(value, bytes):
            yield self._replace(node, ast.Constant(b"XX" + value))

    def _changes_of_call(self, node: ast.Call) -> Iterator[Mutant]:
        if isinstance(node.func, ast.Name) and node.func.id in _NAMES:
            other = ast.Name(_NAMES[node.func.id], ast.Load())
            yield self._replace(node, ast.Call(other, node.args, node.keywords))
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            method = ast.Attribute(node.func.value, _METHODS[node.func.attr], ast.Load())
            yield self._replace(node, ast.Call(method, node.args, node.keywords))
        for index, keyword in enumerate(node.keywords):
            if keyword.arg is not None:
                rest = [*node.keywords[:index], *node.keywords[index + 1 :]]
                yield self._replace(node, ast.Call(node.func, node.args, rest))
        wording = isinstance(node.func, ast.Name) and node.func.id == "Finding"
        for index, argument in enumerate(node.args):
            if wording and index == 1:
                continue
            if isinstance(argument, (ast.Name, ast.Attribute)) and not (
                isinstance(node.func, ast.Name) and node.func.id in _NOT_CALLED
            ):
                args = [*node.args[:index], ast.Constant(None), *node.args[index + 1 :]]
                yield self._replace(node, ast.Call(node.func, args, node.keywords))

    def _changes_of_statement(self, node: ast.stmt) -> Iterator[Mutant]:
        match node:
            case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Delete():
                if isinstance(node, ast.AugAssign) and not self._is_text(node.value):
                    yield self._replace(node, ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value))
                yield self._replace(node, ast.Pass(), f"without {_short(node)}")
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                # Class members without a value mean something else to attrs.
                if self._is_text(value):
                    return
                if not isinstance(value, ast.Constant) and not isinstance(self._ancestors[-1], ast.ClassDef):
                    yield self._mutant(node, ast.Constant(None), f"{_short(node)} -> None", ("value", None))
                elif isinstance(value, ast.Constant) and value.value is None:
                    yield self._mutant(node, ast.Constant("XX"), f"{_short(node)} -> 'XX'", ("value", None))
            case ast.Return(value=ast.expr() as value):
                if not isinstance(value, ast.Constant):
                    yield self._replace(node, ast.Return(ast.Constant(None)))
                elif value.value is None:
                    yield self._replace(node, ast.Return(ast.Constant("XX")))
            case ast.Return(value=None):
                yield self._replace(node, ast.Pass(), "without return")
            case ast.Continue():
                yield self._replace(node, ast.Break())
            case ast.Break():
                yield self._replace(node, ast.Continue())
            case ast.If() | ast.While():
                yield from self._negate(node, node.test)

    def _negate(self, node: ast.If | ast.While | ast.IfExp, test: ast.expr) -> Iterator[Mutant]:
        if isinstance(test, (ast.Compare, ast.BoolOp)) and not (isinstance(test, ast.Compare) and len(test.ops) > 1):
            return
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return
        yield self._mutant(node, ast.UnaryOp(ast.Not(), test), f"{_short(test)} -> not {_short(test)}", ("test", None))

    def _is_text(self, node: ast.expr) -> bool:
        return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))

    def _replace(self, node: ast.AST, replacement: ast.AST, change: str | None = None) -> Mutant:
        what = change if change is not None else f"{_short(node)} -> {_short(replacement)}"
        return self._mutant(node, replacement, what, None)

    def _mutant(self, node: ast.AST, replacement: ast.AST | None, change: str, below: Step | None) -> Mutant:
        place = ".".join(
            ancestor.name
            for ancestor in self._ancestors
            if isinstance(ancestor, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        )
        self._seen[place, change] += 1
        inside = any(
            isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef)) and self._path[depth][0] == "body"
            for depth, ancestor in enumerate(self._ancestors)
        )
        path = (*self._path, below) if below is not None else tuple(self._path)
        line = getattr(node, "lineno", None) or _first_line(node)
        if replacement is not None:
            replacement = copy.deepcopy(replacement)
            for part in ast.walk(replacement):
                if isinstance(part, (ast.expr, ast.stmt)) and not hasattr(part, "lineno"):
                    ast.copy_location(part, node)
        return Mutant(self._module, place, line, change, self._seen[place, change], inside, path, replacement)


def _first_line(node: ast.AST) -> int:
    return min(part.lineno for part in ast.walk(node) if isinstance(part, ast.expr))


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:60]} ... {text[-27:]}"
