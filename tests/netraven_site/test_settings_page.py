"""The page of the settings says what the code reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from netraven_site.env import REPOSITORY

PAGE = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
APPS = ("credentials", "devices", "jobs", "netraven_site")
INTERNAL = {"NETRAVEN_WATCHED"}
"""Set by one process of NetRaven for another."""


def _nodes() -> Iterator[ast.AST]:
    for app in APPS:
        for path in (REPOSITORY / app).rglob("*.py"):
            yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def _number(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _number(node.left) * _number(node.right)
    return int(ast.literal_eval(node))


def test_every_variable_that_is_read_is_on_the_page_and_no_other_one():
    texts = {node.value for node in _nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    read = {text for text in texts if re.fullmatch(r"NETRAVEN_[A-Z_]+", text)}
    assert set(re.findall(r"`(NETRAVEN_[A-Z_]+)`", PAGE)) == read - INTERNAL


def test_the_default_numbers_on_the_page_are_those_of_the_code():
    on_page = {name: int(value) for name, value in re.findall(r"^\| `(NETRAVEN_[A-Z_]+)` \| (\d+) \|", PAGE, re.M)}
    in_code = {
        node.args[0].value: _number(node.args[1])
        for node in _nodes()
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(".number")
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value in on_page
    }
    assert len(in_code) >= 20
    assert {name: on_page[name] for name in in_code} == in_code
