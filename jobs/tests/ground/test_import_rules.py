"""Who may import whom; the rules themselves are in pyproject.toml."""

import ast
import subprocess
import sys

import grimp
import pytest

from config.local_secrets import BASE_DIR


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("config", "jobs", cache_dir=None)


def imports_inside_functions():
    """Pairs of importing and imported module, for each import of our own inside a function."""
    for path in sorted(BASE_DIR.glob("jobs/**/*.py")):
        parts = path.relative_to(BASE_DIR).with_suffix("").parts
        if "tests" in parts or "migrations" in parts:
            continue
        importer = ".".join(part for part in parts if part != "__init__")
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from ((importer, alias.name) for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield importer, node.module
                    yield from ((importer, f"{node.module}.{alias.name}") for alias in node.names)


def test_the_rooms_keep_their_rules():
    lint = "from importlinter.cli import lint_imports as run; raise SystemExit(run(no_cache=True))"
    # In a process of its own: it sets up logging anew, and silences what others log after it.
    ran = subprocess.run(
        [sys.executable, "-c", lint], cwd=BASE_DIR, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_no_import_inside_a_function_breaks_a_circle(graph):
    circles = [
        f"{importer} imports {imported} inside a function, which leads back to it"
        for importer, imported in imports_inside_functions()
        if imported in graph.modules
        and importer in graph.modules
        and (importer == imported or graph.chain_exists(importer=imported, imported=importer))
    ]
    assert circles == []
