"""Kernels take a few named structures, not trains of arguments; ruff holds everything else to fewer still."""

import ast
from pathlib import Path

import orchestrator

MOST = 10


def test_no_kernel_takes_more_than_ten_arguments() -> None:
    counts = {
        f"{file.stem}.{node.name}": len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
        for file in Path(orchestrator.__file__).parent.glob("*/kernels/*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert counts
    assert {name: count for name, count in counts.items() if count > MOST} == {}
