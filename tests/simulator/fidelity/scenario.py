"""The list of scenarios: each is a function that uses a client as its users do, and raises an exception on failure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from local_azure import LocalAzure


@dataclass(frozen=True)
class Scenario:
    """An expected capability of a client with the local Azure."""

    package: str
    name: str
    run: Callable[[LocalAzure], None]

    @property
    def client(self) -> str:
        """The package and its version."""
        return f"{self.package} {version(self.package)}"


SCENARIOS: list[Scenario] = []


def scenario(package: str, name: str):
    """Registers a function under the package whose code it runs and a description."""

    def enter(run: Callable[[LocalAzure], None]) -> Callable[[LocalAzure], None]:
        SCENARIOS.append(Scenario(package, name, run))
        return run

    return enter


def same(found, wanted, what: str = "") -> None:
    """Fails unless the two are equal."""
    if found != wanted:
        raise AssertionError(f"{what or 'it'} is {found!r}, not {wanted!r}")


def refused(attempt: Callable[[], object], kind: type[BaseException], pattern: str) -> None:
    """Fails unless the attempt raises such an exception with a message that matches the pattern."""
    try:
        result = attempt()
    except kind as error:
        if not re.search(pattern, str(error)):
            raise AssertionError(f"the error message does not match {pattern!r}: {error}") from error
    else:
        raise AssertionError(f"expected an error, but got {result!r}")
