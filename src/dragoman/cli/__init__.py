"""The command line: each command is one small module that parses, calls and prints."""


def main() -> None:
    """The program `dragoman`."""
    raise SystemExit(2)
