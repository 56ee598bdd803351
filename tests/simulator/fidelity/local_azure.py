"""The local Azure: its process, its control API, and the environment of its clients."""

import json
import os
import subprocess
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path

TENANT = "72f988bf-0000-4000-8000-0000000000fd"
SECRET = "fidelity~planted~secret"


class LocalAzure:
    """A running local Azure, and a client of its control API."""

    def __init__(self, simulator: Path, directory: Path) -> None:
        self.authority = directory / "ca.pem"
        self.directory = directory
        # It exits when its standard input ends, so it cannot outlive this process.
        self.process = subprocess.Popen(
            [simulator, "--ca-file", self.authority, "--parent-exits"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the local Azure exited with {self.process.wait()} before it was ready")
        ready = json.loads(line)
        self.proxy, self.control = ready["proxy"], ready["control"]
        # Not through the proxy in the clients' environment.
        self.http = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def stop(self) -> None:
        """Stops it."""
        self.process.stdin.close()
        self.process.wait(timeout=10)

    def environment(self) -> dict[str, str]:
        """The clients' environment: the proxy, and the authority in the variable of each client."""
        authority = str(self.authority)
        proxies = {"HTTPS_PROXY": self.proxy, "HTTP_PROXY": self.proxy, "https_proxy": self.proxy, "http_proxy": self.proxy}
        return proxies | {"SSL_CERT_FILE": authority, "REQUESTS_CA_BUNDLE": authority}

    def ask(self, method: str, path: str, body: object = None, **query: str):
        """A call of the control API that must succeed."""
        url = f"{self.control}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        with self.http.open(request, timeout=10) as response:
            return json.load(response)

    def application(self, tenant: str = TENANT, **settings: object) -> str:
        """Registers a new application and returns its id."""
        client = str(uuid.uuid4())
        self.ask("PUT", "/applications", {"tenantId": tenant, "clientId": client, **settings})
        return client

    def rows(self, client: str) -> list[Mapping]:
        """The requests of an application, oldest first."""
        return [row for row in self.ask("GET", "/ledger") if row["clientId"] == client]

    def model(self, **settings: object) -> str:
        """Creates a model of Analysis Services on a new server and returns the server's name."""
        server = f"fidelity{uuid.uuid4().hex[:8]}"
        usual = {"database": "AdventureWorks", "notStartedMillis": 100, "durationMillis": 400, "cancelMillis": 50}
        self.ask("PUT", "/models", usual | {"server": f"asazure://westus.asazure.windows.net/{server}"} | settings)
        return server

    def dataset(self, **settings: object) -> tuple[str, str]:
        """Creates a semantic model of Power BI in a new workspace and returns both ids."""
        group, dataset = str(uuid.uuid4()), str(uuid.uuid4())
        usual = {"groupId": group, "datasetId": dataset, "notStartedMillis": 100, "durationMillis": 400, "cancelMillis": 50}
        self.ask("PUT", "/models", usual | settings)
        return group, dataset

    def operations(self, **names: str) -> list[dict]:
        """The actual operations on a model."""
        return self.ask("GET", "/operations", **names)
