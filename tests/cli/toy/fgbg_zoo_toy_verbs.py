import errno
import os

import typer


def hello(name: str, times: int = 1) -> None:
    """Say hello to someone."""
    for _ in range(times):
        print(f"hello {name}")


def raises() -> None:
    raise ZeroDivisionError("a\nplugin's   own")


def exits() -> None:
    raise typer.Exit(7)


def fails(number: str) -> None:
    if number == "interrupt":
        raise KeyboardInterrupt
    code = getattr(errno, number)
    raise OSError(code, os.strerror(code), "/some/where.png")
