"""Apache Airflow's provider for Power BI: its operators and its hook."""

import time
import uuid

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.microsoft.azure.hooks.powerbi import PowerBIDatasetRefreshException, PowerBIHook
from airflow.providers.microsoft.azure.operators.powerbi import (
    PowerBIDatasetListOperator,
    PowerBIDatasetRefreshOperator,
    PowerBIWorkspaceListOperator,
)
from identities import pair
from local_azure import SECRET, TENANT, LocalAzure
from operators import LOOP, connect, run
from scenario import refused, same, scenario

PACKAGE = "apache-airflow-providers-microsoft-azure"


def connected(azure: LocalAzure, client: str | None = None, secret: str | None = SECRET, **extra: object) -> str:
    """A connection for an application, by its secret unless `extra` overrides it."""
    client = client or azure.application(clientSecret=SECRET)
    # Without trust_env, the hook's client ignores the proxy.
    settings = {"tenant_id": TENANT, "trust_env": True} | extra
    # The hook caches its client by the connection's name.
    name = f"powerbi_{uuid.uuid4().hex}"
    return connect(name, conn_type="powerbi", login=client, password=secret, extra=settings)


def operator(connection: str, model: tuple[str, str], **more: object) -> PowerBIDatasetRefreshOperator:
    """An operator that refreshes a semantic model."""
    group, dataset = model
    names = {"task_id": "refresh", "conn_id": connection, "group_id": group, "dataset_id": dataset}
    return PowerBIDatasetRefreshOperator(**names, **{"check_interval": 0.1, "timeout": 60} | more)


def actual_operations(azure: LocalAzure, model: tuple[str, str]) -> list[dict]:
    """The actual operations on a semantic model."""
    return azure.operations(groupId=model[0], datasetId=model[1])


@scenario(PACKAGE, "Power BI: the operator refreshes to the end")
def _(azure: LocalAzure) -> None:
    model = azure.dataset()
    _result, pushed = run(operator(connected(azure), model))
    (operation,) = actual_operations(azure, model)
    same(operation["status"], "succeeded")
    wanted = {"refresh.powerbi_dataset_refresh_id": operation["operationId"], "refresh.powerbi_dataset_refresh_status": "Completed"}
    same(pushed, wanted, "what was pushed")


@scenario(PACKAGE, "Power BI: the operator starts an enhanced refresh of some tables, with a certificate")
def _(azure: LocalAzure) -> None:
    model = azure.dataset()
    path, pem = pair(azure, "airflow")
    client = azure.application(certificates=[pem])
    body = {"type": "full", "commitMode": "transactional", "maxParallelism": 2, "retryCount": 1, "objects": [{"table": "DimDate"}]}
    run(operator(connected(azure, client, None, certificate_path=path), model, request_body=body))
    (operation,) = actual_operations(azure, model)
    found = (operation["status"], operation["objects"], operation["maxParallelism"], operation["client"])
    same(found, ("succeeded", [{"table": "DimDate"}], 2, f"application {client}"))
    same({row["credential"] for row in azure.rows(client)}, {"certificate"}, "the ways")


@scenario(PACKAGE, "Power BI: the operator does not wait if configured so, and the hook cancels")
def _(azure: LocalAzure) -> None:
    model, connection = azure.dataset(durationMillis=600_000), connected(azure)
    _result, pushed = run(operator(connection, model, wait_for_completion=False, request_body={"type": "full"}))
    refresh = pushed["refresh.powerbi_dataset_refresh_id"]
    same(pushed, {"refresh.powerbi_dataset_refresh_id": refresh}, "what was pushed")
    hook = PowerBIHook(connection)
    group, dataset = model
    details = lambda: LOOP.run_until_complete(hook.get_refresh_details_by_refresh_id(dataset, group, refresh))  # noqa: E731
    same(details()["status"], "In Progress")
    LOOP.run_until_complete(hook.cancel_dataset_refresh(dataset, group, refresh))
    time.sleep(0.2)
    same((details()["status"], actual_operations(azure, model)[0]["status"]), ("Cancelled", "cancelled"))


@scenario(PACKAGE, "Power BI: a failure is reported as failure")
def _(azure: LocalAzure) -> None:
    connection = connected(azure)
    for outcome, words in (("failed", "has Failed. Error: .*errorCode"), ("timedOut", "has Failed"), ("disabled", "has Disabled")):
        model = azure.dataset(outcome=outcome)
        refused(lambda model=model: run(operator(connection, model)), AirflowException, words)


@scenario(PACKAGE, "Power BI: the operator ignores a cancelled refresh and waits until its own timeout")
def _(azure: LocalAzure) -> None:
    model = azure.dataset(outcome="cancelled")
    refused(lambda: run(operator(connected(azure), model, timeout=2)), AirflowException, "Timeout occurred.*status Cancelled")


@scenario(PACKAGE, "Power BI: a refresh missing in the history at first is found later")
def _(azure: LocalAzure) -> None:
    model = azure.dataset(listLagMillis=1_000)
    run(operator(connected(azure), model))
    same([one["status"] for one in actual_operations(azure, model)], ["succeeded"])


@scenario(PACKAGE, "Power BI: a busy model, a client without access and an exhausted quota are refused")
def _(azure: LocalAzure) -> None:
    busy = azure.dataset(durationMillis=600_000)
    azure.ask("POST", "/operations", {"groupId": busy[0], "datasetId": busy[1]})
    closed = azure.dataset(administrators=[{"tenantId": TENANT, "clientId": str(uuid.uuid4())}])
    spent = azure.dataset(powerBI={"dailyLimit": 0})
    for model in (busy, closed, spent):
        client = azure.application(clientSecret=SECRET)
        connection = connected(azure, client)
        refused(lambda: run(operator(connection, model)), PowerBIDatasetRefreshException, "Failed to trigger")  # noqa: B023
        same(azure.rows(client)[-1]["status"], 404 if model is closed else 400, "the status")


@scenario(PACKAGE, "Power BI: the hook requests a new token after expiry")
def _(azure: LocalAzure) -> None:
    model = azure.dataset()
    client = azure.application(clientSecret=SECRET)
    connection = connected(azure, client)
    body = {"error": {"code": "TokenExpired", "message": "Access token has expired, resubmit with a new access token"}}
    match = {"method": "POST", "clientId": client, "host": "api.powerbi.com"}
    azure.ask("POST", "/faults", {"match": match, "action": {"status": {"code": 403, "body": body}}})
    refused(lambda: run(operator(connection, model)), PermissionError, "TokenExpired")
    run(operator(connection, model))
    same(len([row for row in azure.rows(client) if row["route"] == "token"]), 2, "the number of token requests")


@scenario(PACKAGE, "Power BI: the operators list workspaces and semantic models")
def _(azure: LocalAzure) -> None:
    connection, (group, dataset) = connected(azure), azure.dataset()
    _result, pushed = run(PowerBIWorkspaceListOperator(task_id="list", conn_id=connection))
    same(group in pushed["list.powerbi_workspace_ids"], True, "that the workspace is listed")
    _result, pushed = run(PowerBIDatasetListOperator(task_id="list", conn_id=connection, group_id=group))
    same(pushed, {"list.powerbi_dataset_ids": [dataset]}, "what was pushed")
