"""The list of scenarios: each is a function that uses a client as its users do, and fails by an exception."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from local_azure import LocalAzure


@dataclass(frozen=True)
class Scenario:
    """What a client is expected to manage with the local Azure."""

    package: str
    name: str
    run: Callable[[LocalAzure], None]

    @property
    def client(self) -> str:
        """The package and its version."""
        return f"{self.package} {version(self.package)}"


SCENARIOS: list[Scenario] = []


def scenario(package: str, name: str):
    """Enters a function into the list, under the package whose code it runs and a sentence."""

    def enter(run: Callable[[LocalAzure], None]) -> Callable[[LocalAzure], None]:
        SCENARIOS.append(Scenario(package, name, run))
        return run

    return enter


def same(found, wanted, what: str = "") -> None:
    """Fails unless the two are equal."""
    if found != wanted:
        raise AssertionError(f"{what or 'it'} is {found!r}, not {wanted!r}")


def refused(attempt: Callable[[], object], kind: type[BaseException], pattern: str) -> None:
    """Fails unless the attempt fails with such an exception, and says something that the pattern matches."""
    try:
        result = attempt()
    except kind as error:
        if not re.search(pattern, str(error)):
            raise AssertionError(f"the refusal does not say {pattern!r}: {error}") from error
    else:
        raise AssertionError(f"it was not refused, but gave {result!r}")
