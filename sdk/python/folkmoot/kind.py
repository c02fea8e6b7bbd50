"""`python -m folkmoot.kind MODULE`: prints the interface that a plugin's module exports, or says what is wrong."""

import sys
from importlib import import_module

from folkmoot.plugin import plugin_of


def main():
    """Exit status 1 and one line on standard error where the module is no plugin."""
    try:
        print(plugin_of(import_module(sys.argv[1]))[1])
    except TypeError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
