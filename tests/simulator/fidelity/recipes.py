"""The DAG in docs/recipes.md, with the provider of Airflow for Kubernetes. No pod runs; tests/e2e/tests/plugin/pod.rs runs the plugin in one."""

import json
import os
from pathlib import Path

from local_azure import LocalAzure
from scenario import same, scenario

PAGE = Path(__file__).parents[3] / "docs" / "recipes.md"
NAME = "refresh_adventureworks.py"
COMMAND = ["run", "adventureworks", "--wait", "--timeout", "4h", "--reason", "Airflow manual__1"]


@scenario("apache-airflow-providers-cncf-kubernetes", "makes a pod that runs the plugin from the DAG in the documents")
def pod_of_dag(azure: LocalAzure) -> None:
    """The rendered pod has the command, the ServiceAccount and the namespace of the page."""
    kubeconfig = azure.directory / "kubeconfig.json"
    named = {"name": "it", "cluster": {"server": "https://127.0.0.1:1"}, "user": {"token": "none"}, "context": {"cluster": "it", "user": "it"}}
    kubeconfig.write_text(json.dumps({"clusters": [named], "users": [named], "contexts": [named], "current-context": "it"}))
    os.environ["KUBECONFIG"] = str(kubeconfig)
    source = PAGE.read_text().split(f'```python file="{NAME}"\n')[1].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(source, NAME, "exec"), names)  # noqa: S102: our own page
    task = names["dag"].get_task("refresh")
    task.render_template_fields({"run_id": "manual__1", "task": task})
    pod = task.build_pod_request_obj()
    container = pod.spec.containers[0]
    same((container.command, container.args), (["/usr/local/bin/kubectl-tabular"], COMMAND), "the command")
    same((pod.metadata.namespace, pod.spec.service_account_name, pod.spec.restart_policy), ("bi", "refresh", "Never"), "the pod")
    same(task.reattach_on_restart, True, "whether a restarted worker finds its pod")
