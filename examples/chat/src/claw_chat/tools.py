"""What the assistant can do beside talking: tools that a model may ask for by name."""

from __future__ import annotations

import ast
import json
import operator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from claw_exporter import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openai.types.chat import ChatCompletionFunctionToolParam

    Number = int | float

OPERATORS: Final[dict[type[ast.operator], Callable[[Number, Number], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
LONGEST_EXPRESSION: Final = 200


class ToolError(Exception):
    """A tool could not do what it was asked; the message is for the model."""


def describe(name: str, about: str, **parameters: str) -> ChatCompletionFunctionToolParam:
    """Return the description of a tool as the OpenAI interface wants it; every parameter is a text."""
    properties = {key: {"type": "string", "description": value} for key, value in parameters.items()}
    schema: dict[str, object] = {"type": "object", "properties": properties, "required": list(parameters)}
    return {
        "type": "function",
        "function": {"name": name, "description": about, "parameters": schema},
    }


DESCRIPTIONS: Final = (
    describe("calculator", "Evaluates an arithmetic expression.", expression="such as 12 * (3 + 4)"),
    describe("clock", "Tells the present date and time, UTC."),
    describe("search_help", "Searches the help pages.", query="what to look for"),
)


class Tools:
    """Runs tools by name.

    Args:
        search: Returns the help pages nearest to a text.
    """

    def __init__(self, search: Callable[[str], Awaitable[list[dict[str, Any]]]]) -> None:
        self._search = search
        self._tools = {
            "calculator": self._calculator,
            "clock": self._clock,
            "search_help": self._search_help,
        }

    async def run(self, name: str, arguments: str) -> str:
        """Run a tool as the model asked.

        Args:
            name: One of ``DESCRIPTIONS``.
            arguments: Its arguments as a JSON object.

        Returns:
            The result for the model.

        Raises:
            ToolError: The tool failed, or there is no such tool.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise ToolError(f"there is no tool {name!r}")
        metrics.current_agent_run().tool_call(name, arguments)
        with metrics.track_tool(name):
            return await tool(_object(arguments))

    async def _calculator(self, arguments: dict[str, Any]) -> str:
        return f"{evaluate(str(arguments.get('expression', ''))):g}"

    async def _clock(self, _: dict[str, Any]) -> str:
        return datetime.now(UTC).isoformat(timespec="minutes")

    async def _search_help(self, arguments: dict[str, Any]) -> str:
        passages = await self._search(str(arguments.get("query", "")))
        return "; ".join(passage["title"] for passage in passages) or "nothing found"


def evaluate(expression: str) -> float:
    """Return the value of an expression of numbers, parentheses and ``+ - * /``.

    Raises:
        ToolError: It is no such expression, or it has no value.
    """
    try:
        if len(expression) > LONGEST_EXPRESSION:
            raise ToolError(f"the expression is longer than {LONGEST_EXPRESSION} characters")
        return float(_value(ast.parse(expression.strip(), mode="eval").body))
    except (SyntaxError, ValueError, ArithmeticError) as error:
        raise ToolError(f"{expression!r} has no value: {error}") from error


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
            return OPERATORS[type(sign)](_value(left), _value(right))
        case _:
            raise ToolError("only numbers, parentheses and + - * / can be evaluated")


def _object(arguments: str) -> dict[str, Any]:
    try:
        found = json.loads(arguments or "{}")
    except ValueError as error:
        raise ToolError(f"the arguments are not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ToolError("the arguments are not a JSON object")
    return found
