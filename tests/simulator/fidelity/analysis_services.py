"""Apache Airflow's provider for Azure Analysis Services: its operator, its sensor and its hook."""

from airflow.providers.microsoft.azure.hooks.analysis_services import (
    AzureAnalysisServicesHook,
    AzureAnalysisServicesRefreshException,
)
from airflow.providers.microsoft.azure.operators.analysis_services import AzureAnalysisServicesRefreshOperator
from airflow.providers.microsoft.azure.sensors.analysis_services import AzureAnalysisServicesSensor
from local_azure import SECRET, TENANT, LocalAzure
from operators import LOOP, connect, run
from scenario import refused, same, scenario

PACKAGE = "apache-airflow-providers-microsoft-azure"
DATABASE = "AdventureWorks"


def connected(azure: LocalAzure, secret: str = SECRET) -> str:
    """A connection for a new application."""
    client = azure.application(clientSecret=SECRET)
    host = "westus.asazure.windows.net"
    return connect("aas", conn_type="azure-analysis-services", host=host, login=client, password=secret, extra={"tenantId": TENANT})


def operator(connection: str, server: str, **more: object) -> AzureAnalysisServicesRefreshOperator:
    """An operator that refreshes the server's model."""
    names = {"task_id": "refresh", "server_name": server, "database": DATABASE, "azure_analysis_services_conn_id": connection}
    return AzureAnalysisServicesRefreshOperator(**names, check_interval=0.1, timeout=60, **more)


def operations(azure: LocalAzure, server: str) -> list[dict]:
    """The actual operations on the server's model."""
    return azure.operations(server=f"asazure://westus.asazure.windows.net/{server}", database=DATABASE)


@scenario(PACKAGE, "Analysis Services: the operator refreshes to the end")
def _(azure: LocalAzure) -> None:
    server = azure.model()
    result, pushed = run(operator(connected(azure), server, refresh_type="dataOnly"))
    (operation,) = operations(azure, server)
    same((operation["operationId"], operation["status"], operation["type"]), (result, "succeeded", "dataOnly"))
    same(pushed, {"refresh.refresh_id": result}, "what was pushed")


@scenario(PACKAGE, "Analysis Services: the operator does not wait if configured so, and the sensor does")
def _(azure: LocalAzure) -> None:
    server, connection = azure.model(), connected(azure)
    refresh, _said = run(operator(connection, server, wait_for_termination=False))
    same(operations(azure, server)[0]["status"] in ("notStarted", "inProgress"), True, "that it is still running")
    names = {"server_name": server, "database": DATABASE, "refresh_id": refresh}
    run(AzureAnalysisServicesSensor(task_id="wait", **names, azure_analysis_services_conn_id=connection, poke_interval=0.1))
    same(operations(azure, server)[0]["status"], "succeeded")


@scenario(PACKAGE, "Analysis Services: failure, timeout and cancellation by another client are failures")
def _(azure: LocalAzure) -> None:
    connection = connected(azure)
    for outcome in ("failed", "timedOut", "cancelled"):
        server = azure.model(outcome=outcome)
        refused(lambda server=server: run(operator(connection, server)), AzureAnalysisServicesRefreshException, outcome)


@scenario(PACKAGE, "Analysis Services: a refresh by another client is reported as a conflict")
def _(azure: LocalAzure) -> None:
    server = azure.model(durationMillis=600_000)
    azure.ask("POST", "/operations", {"server": f"asazure://westus.asazure.windows.net/{server}", "database": DATABASE})
    refused(lambda: run(operator(connected(azure), server)), AzureAnalysisServicesRefreshException, "409 Conflict")


@scenario(PACKAGE, "Analysis Services: a wrong secret, a client without access and a paused server are refused")
def _(azure: LocalAzure) -> None:
    server = azure.model()
    wrong = lambda: run(operator(connected(azure, "wrong"), server))  # noqa: E731
    refused(wrong, AzureAnalysisServicesRefreshException, "Failed to authenticate")
    closed = azure.model(administrators=[{"tenantId": TENANT, "clientId": "00000000-0000-4000-8000-000000000000"}])
    refused(lambda: run(operator(connected(azure), closed)), AzureAnalysisServicesRefreshException, "(?s)400 Bad Request.*Unauthorized")
    paused = azure.model(paused=True)
    refused(lambda: run(operator(connected(azure), paused)), AzureAnalysisServicesRefreshException, "ServerPausedOrScaling")


@scenario(PACKAGE, "Analysis Services: the hook starts and polls a refresh")
def _(azure: LocalAzure) -> None:
    server, connection = azure.model(), connected(azure)

    async def follow() -> tuple[str, str]:
        hook = AzureAnalysisServicesHook(connection)
        try:
            refresh = await hook.trigger_refresh(server, DATABASE, "calculate")
            first = await hook.get_refresh_status(server, DATABASE, refresh)
            return first, await hook.wait_for_refresh(server, DATABASE, refresh, 0.05)
        finally:
            await hook.aclose()

    same(LOOP.run_until_complete(follow()), ("notStarted", "succeeded"))
