"""How commands are added to the tree of words."""

import argparse
from collections.abc import Callable

Commands = argparse._SubParsersAction  # the only name argparse has for it


def command(commands: "Commands[argparse.ArgumentParser]", name: str, call: Callable[..., int], text: str) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=text, description=text)
    made.set_defaults(command=call)
    return made


def group(commands: "Commands[argparse.ArgumentParser]", name: str, text: str) -> "Commands[argparse.ArgumentParser]":
    return commands.add_parser(name, help=text, description=text).add_subparsers(required=True, metavar="COMMAND")
