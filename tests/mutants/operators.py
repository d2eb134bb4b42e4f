"""The changes that are made: cosmic-ray's own, as far as they mean something here, and statements left out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

import parso
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator

__all__ = ["Mutant", "mutants_of"]

_OPERATORS = (
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "ZeroIterationForLoop",
)


_parse: Any = parso.parse


class LeaveOutStatement(Operator):
    """Puts `pass` in the place of a call, an assignment to an attribute, or a deletion."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Where that can be done."""
        if node.type == "simple_stmt" and self._does_something(node.children[0]):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """The node with `pass` in its place."""
        del index
        statement = node.children[0]
        node.children[0] = _parse(statement.get_first_leaf().prefix + "pass").children[0]
        node.children[0].parent = node
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """None: cosmic-ray asks for them to test itself."""
        return ()

    @staticmethod
    def _does_something(statement: Any) -> bool:
        code = statement.get_code().strip()
        if statement.type in ("atom_expr", "await_expr"):
            return bool(code.endswith(")"))
        return statement.type in ("del_stmt", "expr_stmt") and code.startswith(("self.", "del "))


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    module: str
    """Its path below the core, without `.py`."""
    operator: str
    number: int
    """Which of the places at which the operator can change it."""
    code: str

    def diff(self, original: str) -> str:
        """The lines that differ, on one line."""
        lines = list(unified_diff(original.splitlines(), self.code.splitlines(), lineterm="", n=0))
        place = next(line for line in lines if line.startswith("@@"))
        line = place.split()[1].lstrip("-").partition(",")[0]
        gone = " ".join(line[1:].strip() for line in lines[3:] if line.startswith("-"))
        new = " ".join(line[1:].strip() for line in lines[3:] if line.startswith("+"))
        return f"{self.module}.py:{line}: `{gone}` → `{new}`"


def mutants_of(module: str, source: str, seed: int) -> list[Mutant]:
    """Every mutant of a module that is another program, in an order that a seed determines."""
    found: dict[str, Mutant] = {}
    operators = {name: get_operator(f"core/{name}")() for name in _OPERATORS}
    for name, operator in {**operators, "LeaveOutStatement": LeaveOutStatement()}.items():
        number = 0
        while (code := mutate_code(source, operator, number)) is not None:
            found.setdefault(code, Mutant(module, name, number, code))
            number += 1
    mutants = list(found.values())
    random.Random(f"{seed} {module}").shuffle(mutants)
    return mutants
