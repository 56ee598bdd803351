"""Runs an Airflow operator to its end in this process, like a worker and a triggerer together.

An operator of these providers never waits itself: it defers to a trigger and resumes with the event that the trigger yields.
"""

import asyncio
import json
import os
from importlib import import_module

from airflow.providers.common.compat.sdk import TaskDeferred


# A triggerer has one loop for all of its triggers, and hooks keep connections between them.
LOOP = asyncio.new_event_loop()


def connect(name: str, **fields: object) -> str:
    """Defines a connection in the environment, as a deployment may."""
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(fields)
    return name


class TaskInstance:
    """The values that an operator pushes besides its result."""

    def __init__(self) -> None:
        self.pushed: dict[str, object] = {}

    def xcom_push(self, key: str, value: object) -> None:
        """Stores a value."""
        self.pushed[key] = value


def run(operator) -> tuple[object, dict[str, object]]:
    """Runs an operator and returns its result and pushed values; raises the operator's exception."""
    task = TaskInstance()
    context = {"ti": task, "task_instance": task}
    step = lambda: operator.execute(context)  # noqa: E731
    while True:
        try:
            return step(), task.pushed
        except TaskDeferred as deferred:
            payload = event(deferred.trigger)
            method, arguments = getattr(operator, deferred.method_name), deferred.kwargs or {}
            step = lambda: method(context=context, event=payload, **arguments)  # noqa: B023, E731


def event(trigger) -> object:
    """The first event of a trigger, which is deserialized as in the triggerer."""
    path, arguments = trigger.serialize()
    module, name = path.rsplit(".", 1)
    fresh = getattr(import_module(module), name)(**arguments)

    async def first() -> object:
        async for one in fresh.run():
            return one.payload
        raise AssertionError(f"{name} ended without an event")

    return LOOP.run_until_complete(first())
