"""Settings: the annotated attributes of a plugin's class, and the JSON Schema made of them.

    eta: f32 = setting(1.0, minimum=0.0, help="Learning rate of the server; 1 by default.")
"""

import types
import typing
from enum import Enum

from .refusal import Refusal
from .single import f32

#: A setting without a default: it must be given.
REQUIRED = object()

_JSON_TYPES = {
    f32: {"type": "number", "format": "float"},
    float: {"type": "number", "format": "double"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
}
_LIMITS = {
    "minimum": ("minimum", "at least", lambda value, limit: value >= limit),
    "maximum": ("maximum", "at most", lambda value, limit: value <= limit),
    "above": ("exclusiveMinimum", "above", lambda value, limit: value > limit),
    "below": ("exclusiveMaximum", "below", lambda value, limit: value < limit),
}


class Setting:
    """What `setting` makes: a default, limits, help, and (once its class is read) a name and a type."""

    def __init__(self, default, limits, choices, help):
        self.default, self.limits, self.choices, self.help = default, limits, choices, help
        self.name = self.type = None
        self.optional = False


def setting(default=REQUIRED, *, minimum=None, maximum=None, above=None, below=None, choices=None, help=""):
    """One setting of a plugin. Its annotation is its type: `f32`, `float`, `int`, `bool`, `str`, a `Choice`,
    `list[...]` of these, or `... | None`. Without a default it must be given. `minimum` and `maximum` are
    allowed values themselves, `above` and `below` are not; `choices` lists the allowed values."""
    given = {"minimum": minimum, "maximum": maximum, "above": above, "below": below}
    limits = {name: limit for name, limit in given.items() if limit is not None}
    return Setting(default, limits, choices, help)


def settings_of(plugin):
    """The settings of a plugin's class by name, in the order in which they are written."""
    found = {}
    for owner in reversed(plugin.__mro__):
        for name, own in vars(owner).items():
            if isinstance(own, Setting):
                found[name] = own
    try:
        hints = typing.get_type_hints(plugin)
    except NameError as error:
        raise TypeError(f"an annotation of `{plugin.__name__}` names something unknown: {error}") from None
    for name, own in found.items():
        if name not in hints:
            raise TypeError(f"setting `{name}` of `{plugin.__name__}` has no type: write `{name}: f32 = setting(...)`")
        own.name, own.type, own.optional = name, *_present(hints[name])
        _schema_of(own.type, own.name)
        if own.default is not REQUIRED:
            own.default = converted(own, own.default)
    return found


def _present(hint):
    """(`T`, True) of `T | None`, (`T`, False) of another."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        some = [each for each in typing.get_args(hint) if each is not type(None)]
        if len(some) == 1:
            return some[0], True
    return hint, False


def _schema_of(kind, name):
    if typing.get_origin(kind) is list:
        (item,) = typing.get_args(kind)
        return {"type": "array", "items": _schema_of(item, name)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        members = ((member.value, getattr(member, "meaning", "")) for member in kind)
        consts = ({"description": meaning} if meaning else {} for _, meaning in members)
        return {
            "oneOf": [
                {**described, "type": "string", "const": member.value} for described, member in zip(consts, kind)
            ]
        }
    if kind in _JSON_TYPES:
        return dict(_JSON_TYPES[kind])
    known = "f32, float, int, bool, str, a Choice, list[...] of these, or ... | None"
    raise TypeError(f"setting `{name}` has type `{kind}`; known: {known}")


def schema(plugin):
    """The JSON Schema of a plugin's settings: the object that an experiment may give."""
    own = settings_of(plugin)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": plugin.__name__,
        "description": summary(plugin),
        "type": "object",
        "properties": {name: _property(each) for name, each in own.items()},
        "additionalProperties": False,
    }
    required = [name for name, each in own.items() if each.default is REQUIRED]
    return {**whole, **({"required": required} if required else {})}


def _property(own):
    value = _schema_of(own.type, own.name)
    if own.choices is not None:
        value["enum"] = [_plain(choice) for choice in own.choices]
    for limit, bound in own.limits.items():
        value[_LIMITS[limit][0]] = _plain(bound)
    if own.optional and isinstance(value.get("type"), str):
        value["type"] = [value["type"], "null"]
        if "enum" in value:
            value["enum"] = [*value["enum"], None]
    elif own.optional:
        value = {"anyOf": [value, {"type": "null"}]}
    if own.help:
        value = {"description": own.help, **value}
    if own.default not in (REQUIRED, None):
        value["default"] = _plain(own.default)
    return value


def _plain(value):
    """As JSON writes it: an f32 by its shortest decimal."""
    if isinstance(value, f32):
        return float(repr(value))
    if isinstance(value, Enum):
        return value.value
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def summary(plugin):
    """The first paragraph of a class's docstring, in one line."""
    text = (plugin.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split())


def converted(own, value):
    """`value` as a setting of its type, or a refusal."""
    if value is None and own.optional:
        return None
    answer = _converted(own.type, own.name, value)
    for limit, bound in own.limits.items():
        _, words, holds = _LIMITS[limit]
        if not holds(answer, bound):
            raise Refusal(f"`{own.name}` is {value}, it must be {words} {bound}")
    if own.choices is not None and answer not in own.choices:
        raise Refusal(f"`{own.name}` is `{value}`, it must be {' or '.join(f'`{each}`' for each in own.choices)}")
    return answer


def _converted(kind, name, value):
    if typing.get_origin(kind) is list and isinstance(value, (list, tuple)):
        (item,) = typing.get_args(kind)
        return [_converted(item, name, each) for each in value]
    if isinstance(kind, type) and issubclass(kind, Enum):
        if isinstance(value, kind):
            return value
        for member in kind:
            if member.value == value:
                return member
        raise Refusal(f"`{name}` is `{value}`, it must be {' or '.join(f'`{each.value}`' for each in kind)}")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in (f32, float) and number:
        return kind(value)
    # JSON's 1.0 is an integer, too.
    if kind is int and number and value == int(value):
        return int(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    raise Refusal(f"`{name}` is {value!r}, not of type `{getattr(kind, '__name__', kind)}`")
