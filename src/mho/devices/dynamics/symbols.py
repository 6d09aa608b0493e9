"""A function of tensors, run once on symbols and written down as plain Python of numbers.

A tensor of one number costs microseconds for each operation; a number costs nanoseconds. :func:`recorded`
calls a function with symbols that stand for tensors of one float64, keeps what it does to them, and compiles
that. What it does may not depend on the values of the symbols (``bool`` of one raises :class:`Unrecorded`),
and only the operations listed here are known; what cannot be recorded is run on tensors as ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_LARGEST = 709.78  # exp of more overflows


class Unrecorded(TypeError):
    """The function does something that no symbol can do."""


# --- numbers as tensors treat them: no operation raises ------------------------------------------


def _exp(x: float) -> float:
    return math.exp(x) if x < _LARGEST else x * math.inf


def _expm1(x: float) -> float:
    return math.expm1(x) if x < _LARGEST else x * math.inf


def _sinh(x: float) -> float:
    return math.sinh(x) if -_LARGEST < x < _LARGEST else x * math.inf


def _log(x: float) -> float:
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


def _log1p(x: float) -> float:
    return math.log1p(x) if x > -1 else (-math.inf if x == -1 else math.nan)


def _sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else math.nan


def _asin(x: float) -> float:
    return math.asin(x) if -1 <= x <= 1 else math.nan


def _sigmoid(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return _exp(x) / (1 + _exp(x))


def _divided(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _power(a: float, b: float) -> float:
    if a < 0 and b != int(b):
        return math.nan
    if a == 0 and b < 0:
        return math.inf
    try:
        return float(a**b)
    except OverflowError:
        return math.inf if a > 0 or int(b) % 2 == 0 else -math.inf


def _sign(x: float) -> float:
    return float((x > 0) - (x < 0))


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "exp": _exp,
    "expm1": _expm1,
    "sinh": _sinh,
    "asinh": math.asinh,
    "tanh": math.tanh,
    "log": _log,
    "log1p": _log1p,
    "sqrt": _sqrt,
    "asin": _asin,
    "sigmoid": _sigmoid,
    "sign": _sign,
    "isfinite": math.isfinite,
    "divided": _divided,
    "power": _power,
}
_SAME = ("double", "detach", "contiguous", "clone", "expand", "reshape")
_OPERATORS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
}
_JOINTS = {
    "and": "and",
    "or": "or",
    "__and__": "and",
    "__or__": "or",
    "logical_and": "and",
    "logical_or": "or",
}


# --- symbols -------------------------------------------------------------------------------------


class Recorder:
    """The lines of a function that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.known: dict[str, Any] = dict(_FUNCTIONS)
        self.known |= {"inf": math.inf, "nan": math.nan}
        self._count = 0
        self._indent = "    "

    def new(self, expression: str) -> Symbol:
        """A symbol of what an expression gives."""
        name = self.name()
        self.lines.append(f"{self._indent}{name} = {expression}")
        return Symbol(self, name)

    def name(self) -> str:
        """A name that is not used yet."""
        self._count += 1
        return f"t{self._count}"

    def inner(self, function: Callable[[Any], Any]) -> str:
        """The name of a function of one symbol, written inside this one."""
        name, argument = self.name(), self.name()
        self.lines.append(f"{self._indent}def {name}({argument}):")
        self._indent += "    "
        result = function(Symbol(self, argument))
        self.lines.append(f"{self._indent}return {text(result)}")
        self._indent = self._indent[:-4]
        return name


class Symbol:
    """A tensor of one number that is not known yet."""

    dtype = torch.float64
    device = torch.device("cpu")
    requires_grad = False
    symbolic = True
    shape = torch.Size()

    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder, self.name = recorder, name

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What torch calls for its functions of symbols."""
        return _applied(function.__name__, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        """A method of tensors."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: _applied(name, (self, *args), kwargs)

    def __bool__(self) -> bool:
        raise Unrecorded("the value of a symbol is not known")

    __float__ = __index__ = __bool__
    __hash__ = None  # type: ignore[assignment]


def _method(name: str, swapped: bool = False) -> Callable[..., Any]:
    def call(self: Symbol, *others: Any) -> Any:
        return _applied(name, (*others, self) if swapped else (self, *others), {})

    return call


for _name in ("add", "sub", "mul", "truediv", "pow", "and", "or"):
    setattr(Symbol, f"__{_name}__", _method(_name))
    setattr(Symbol, f"__r{_name}__", _method(_name, swapped=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert"):
    setattr(Symbol, f"__{_name}__", _method(_name))


def text(value: Any) -> str:
    """A symbol or a number as Python."""
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise Unrecorded("a tensor of several numbers")
        value = value.item()
    if isinstance(value, (bool, int, float)):
        return f"({value!r})" if value < 0 else repr(value)
    raise Unrecorded(f"{type(value).__name__} is no number")


def _applied(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The symbol of an operation, by its name."""
    recorder = next((a.recorder for a in (*args, *kwargs.values()) if isinstance(a, Symbol)), None)
    if recorder is None:
        raise Unrecorded(f"{name} of no symbol")
    plain = name.strip("_")
    plain = plain[1:] if plain in ("radd", "rmul", "rand", "ror") else plain
    expression = _expression(plain, args, kwargs)
    if expression is None:
        raise Unrecorded(f"{name} is not known")
    return expression if isinstance(expression, (Symbol, tuple)) else recorder.new(expression)


def _expression(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if name in _SAME:
        return args[0]
    if name in ("to", "type_as"):
        return f"float({text(args[0])})"
    if name == "broadcast_tensors":
        return tuple(args)
    if name in ("zeros_like", "new_zeros", "ones_like", "new_ones"):
        return "0.0" if "zero" in name else "1.0"
    if name in ("clamp", "clip", "clamp_min", "clamp_max"):
        return _clamped(name, *args, **kwargs)
    operands = [text(a) for a in args]
    if name in ("rsub", "rtruediv", "rpow", "rdiv"):
        name, operands = name[1:], operands[::-1]
    return _operation(name, operands)


def _operation(name: str, x: list[str]) -> str | None:
    if name in _OPERATORS:
        return f"{x[0]} {_OPERATORS[name]} {x[1]}"
    if name in _JOINTS:
        return f"({x[0]} {_JOINTS[name]} {x[1]})"
    if name in ("truediv", "div", "true_divide"):
        return f"{x[0]} / {x[1]}" if _is_safe(x[1]) else f"divided({x[0]}, {x[1]})"
    if name == "pow":
        return f"{x[0]} * {x[0]}" if x[1] in ("2", "2.0") else f"power({x[0]}, {x[1]})"
    forms = {
        "neg": "-{0}",
        "abs": "abs({0})",
        "invert": "not {0}",
        "bitwise_not": "not {0}",
        "logical_not": "not {0}",
        "where": "({1} if {0} else {2})",
        "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
        "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})",
    }
    if name in forms:
        return forms[name].format(*x)
    return f"{name}({x[0]})" if name in _FUNCTIONS and len(x) == 1 else None


def _is_safe(divisor: str) -> bool:
    """Whether a divisor is a number other than 0."""
    try:
        return float(divisor.strip("()")) != 0
    except ValueError:
        return False


def _clamped(name: str, x: Any, *bounds: Any, **named: Any) -> str:
    low = named.get("min", bounds[0] if bounds and name != "clamp_max" else None)
    high = named.get("max", bounds[-1] if bounds and (len(bounds) > 1 or name == "clamp_max") else None)
    made = text(x)
    if low is not None and high is not None:
        return f"({text(low)} if {made} < {text(low)} else {text(high)} if {made} > {text(high)} else {made})"
    if low is not None:
        return f"({text(low)} if {made} < {text(low)} else {made})"
    return f"({text(high)} if {made} > {text(high)} else {made})"


def crossing(
    f: Callable[[Any], Any], low: float, high: float, points: int, like: Symbol, within: float
) -> Any:
    """:func:`~mho.devices.dynamics._roots.first_crossing` of a function of symbols."""
    recorder = like.recorder
    recorder.known["crossing"] = _crossing
    return recorder.new(f"crossing({recorder.inner(f)}, {low!r}, {high!r}, {points}, {within!r})")


def _crossing(f: Callable[[float], float], low: float, high: float, points: int, within: float) -> float:
    a, b, fa, fb = low, high, f(low), math.nan
    for k in range(1, points + 1):
        b = low + (high - low) * k / points
        fb = f(b)
        if fb > 0:
            return b if fb <= within else _closed(f, (a, b), (fa, fb), within)
        a, fa = b, fb
    return high


def _closed(
    f: Callable[[float], float], ends: tuple[float, float], at: tuple[float, float], within: float
) -> float:
    """The root in a bracket, by the Illinois variant of regula falsi."""
    (a, b), (fa, fb), side, x = ends, at, 0, ends[1]
    for _ in range(60):
        x = b - fb * (b - a) / (fb - fa)
        fx = f(x)
        if abs(fx) <= within:
            break
        if fx > 0:
            fa = 0.5 * fa if side > 0 else fa
            b, fb, side = x, fx, 1
        else:
            fb = 0.5 * fb if side < 0 else fb
            a, fa, side = x, fx, -1
    return x


# --- a function ----------------------------------------------------------------------------------


def recorded(function: Callable[..., Any], inputs: int) -> Callable[..., Any]:
    """A function of tensors as one of numbers.

    Args:
        function: takes tensors of one float64 and gives one, or a tuple of them.
        inputs: how many it takes.

    Returns:
        The same function of floats.

    Raises:
        Unrecorded: it does what no symbol can do.

    Example:
        >>> halved = recorded(lambda x, y: torch.where(x > y, x / 2, y.exp()), 2)
        >>> halved(3.0, 1.0), halved(-1.0, 0.0)
        (1.5, 1.0)
    """
    recorder = Recorder()
    names = [recorder.name() for _ in range(inputs)]
    with torch.no_grad():
        try:
            result = function(*(Symbol(recorder, name) for name in names))
        except (TypeError, AttributeError, IndexError) as error:
            raise Unrecorded(str(error)) from error
    values = ", ".join(text(value) for value in result) if isinstance(result, tuple) else text(result)
    body = "\n".join([f"def made({', '.join(names)}):", *recorder.lines, f"    return {values}"])
    exec(compile(body, "<recorded>", "exec"), recorder.known)  # of numbers and names made above
    made: Callable[..., Any] = recorder.known["made"]
    return made
