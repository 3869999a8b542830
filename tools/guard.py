"""House rules that no linter knows: what must not stand in `src/`, checked on tokens and syntax.

Usage: `python guard.py PATH...`. Prints every breach as `file:line: rule` and exits 1 if there is one.
Rules: no `Any`, `cast`, suppression comment, `TYPE_CHECKING`, Pydantic, dataclass, stub.
"""

import ast
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

FORBIDDEN_COMMENTS = ("type: ignore", "noqa", "pragma:", "pyright:", "mypy:")
FORBIDDEN_NAMES = frozenset({"Any", "cast", "TYPE_CHECKING", "dataclass"})
FORBIDDEN_MODULES = frozenset({"dataclasses", "pydantic", "attr", "attrs"})


def comment_breaches(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and rule for each comment that silences a checker."""
    with path.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.COMMENT:
                for words in FORBIDDEN_COMMENTS:
                    if words in token.string:
                        yield token.start[0], f"comment `{words}` silences a checker"


def syntax_breaches(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and rule for each forbidden name or import."""
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            yield node.lineno, f"name `{node.id}`"
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_NAMES:
            yield node.lineno, f"attribute `.{node.attr}`"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for name in imported(node):
                if name.split(".")[0] in FORBIDDEN_MODULES or name.split(".")[-1] in FORBIDDEN_NAMES:
                    yield node.lineno, f"import of `{name}`"


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the dotted names an import statement brings in."""
    prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return [f"{prefix}{alias.name}" for alias in node.names]


def breaches(root: Path) -> Iterator[str]:
    """Yield one line of text for each breach below `root`."""
    for path in sorted(root.rglob("*.pyi")):
        yield f"{path}:1: stub file"
    for path in sorted(root.rglob("*.py")):
        for line, rule in (*comment_breaches(path), *syntax_breaches(path)):
            yield f"{path}:{line}: {rule}"


def main(arguments: list[str]) -> int:
    """Check every path given; return the exit code."""
    found = [line for argument in arguments for line in breaches(Path(argument))]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
