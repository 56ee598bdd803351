"""Runs every scenario against a new local Azure, prints a table, and exits with 1 if one fails."""

import argparse
import os
import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from local_azure import LocalAzure
from scenario import SCENARIOS, Scenario

DEADLINE = 90  # seconds for one scenario; the slowest include the clients' own retry delays


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulator", type=Path, required=True, help="the program of the local Azure")
    parser.add_argument("--directory", type=Path, required=True, help="where files and the log go")
    parser.add_argument("only", nargs="?", default="", help="a part of the scenarios' lines: only these are run")
    return parser.parse_args()


def attempt(one: Scenario, azure: LocalAzure) -> str | None:
    """Runs a scenario and returns its error, if any."""

    def expire(*_: object) -> None:
        raise TimeoutError(f"timed out after {DEADLINE} s")

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(DEADLINE)
    print(f"==== {one.client}: {one.name}", flush=True)
    try:
        one.run(azure)
    except Exception as error:  # noqa: BLE001: any exception fails a scenario
        traceback.print_exc()
        # The log contains the complete message.
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
    finally:
        signal.alarm(0)
        azure.ask("DELETE", "/faults")
    return None


def main() -> int:
    """Runs the selected scenarios."""
    options = parse()
    if not options.simulator.is_file():
        print(f"error: {options.simulator} not found: build it with `make build`", file=sys.stderr)
        return 2
    options.directory.mkdir(parents=True, exist_ok=True)
    azure = LocalAzure(options.simulator.resolve(), options.directory.resolve())
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        os.environ.pop(name, None)
    # The clients read these on import or when they connect.
    os.environ.update(azure.environment() | {"AIRFLOW_HOME": str(azure.directory / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"})

    # The clients' output goes to a file, the table to the original output.
    log = options.directory / "log.txt"
    table = os.fdopen(os.dup(1), "w")
    with log.open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    try:
        for module in ("identities", "analysis_services", "power_bi", "recipes"):
            # Each module registers its scenarios.
            import_module(module)
    except Exception:
        print(f"error: failed to load the clients; see {log}", file=table, flush=True)
        raise

    chosen = [one for one in SCENARIOS if options.only in f"{one.client} {one.name}"]
    width = [max((len(text) for text in column), default=0) for column in ([one.client for one in chosen], [one.name for one in chosen])]
    failures = 0
    try:
        for one in chosen:
            began = time.monotonic()
            wrong = attempt(one, azure)
            failures += wrong is not None
            verdict = "ok    " if wrong is None else "FAILED"
            print(f"{one.client:{width[0]}}  {one.name:{width[1]}}  {verdict}  {time.monotonic() - began:5.1f} s", file=table, flush=True)
            if wrong is not None:
                print(f"    {wrong}", file=table, flush=True)
    finally:
        azure.stop()
    print(f"{len(chosen) - failures} of {len(chosen)} scenarios ok; the output of the clients is in {log}", file=table, flush=True)
    if not chosen:
        print(f"error: no scenario matches '{options.only}'", file=table, flush=True)
    return 1 if failures or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
