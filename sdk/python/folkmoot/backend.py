"""Where the contract's types come from: the host inside of a component, plain values in memory elsewhere."""

from importlib import import_module
from importlib.util import find_spec

#: Whether this runs inside of a component (or is being built into one).
INSIDE = find_spec("wit_world") is not None


def interface(name):
    """An interface of `wit/` as a module. A component has those of its kind; of the others only the types are
    named in signatures, never a function called, so that those in memory will do."""
    if INSIDE and find_spec(f"wit_world.imports.{name}") is not None:
        return import_module(f"wit_world.imports.{name}")
    return import_module(f"folkmoot.memory.{name}")


def extend(contract_type):
    """Adds the methods of a class to a type of the contract, which the host's objects have, too."""

    def onto(methods):
        for name, value in vars(methods).items():
            if callable(value):
                setattr(contract_type, name, value)
        return contract_type

    return onto
