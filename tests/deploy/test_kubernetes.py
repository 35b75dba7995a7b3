"""The overlays of deploy/kubernetes, rendered and held to Kubernetes' schemas and to what they promise."""

from __future__ import annotations

import re
import tomllib

import kubernetes_validate
import pytest
import yaml

from conftest import ROOT

OVERLAYS = sorted(folder.name for folder in (ROOT / "deploy/kubernetes/overlays").iterdir())
# The oldest one has `preStop.sleep` without a feature gate of its own.
VERSIONS = ["1.30", "1.32", "1.35", "1.37"]
SECRET = {"fal-key", "client-keys", "store-url"}


@pytest.fixture(params=OVERLAYS)
def documents(request, render) -> dict[str, dict]:
    """By kind; no overlay has two of one."""
    found = list(yaml.safe_load_all(render(request.param)))
    by_kind = {document["kind"]: document for document in found}
    assert len(by_kind) == len(found)
    return by_kind


def container_of(documents):
    [container] = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    return container


def test_there_is_an_overlay_for_a_team_and_one_for_a_service():
    assert OVERLAYS == ["service", "team"]


@pytest.mark.parametrize("version", VERSIONS)
def test_all_fits_kubernetes_schemas(documents, version):
    for document in documents.values():
        kubernetes_validate.validate(document, version, strict=True)


def test_what_does_not_fit_is_found(documents):
    documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(documents["Deployment"], VERSIONS[-1], strict=True)


def test_every_selector_means_these_pods_and_no_others(documents):
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = {
        "Deployment": documents["Deployment"]["spec"]["selector"]["matchLabels"],
        "Service": documents["Service"]["spec"]["selector"],
        "NetworkPolicy": documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    }
    if "PodDisruptionBudget" in documents:
        selectors["PodDisruptionBudget"] = documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    for kind, selector in selectors.items():
        assert selector, kind
        assert selector.items() <= labels.items(), kind


def test_the_pod_has_no_rights(documents):
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == image_user()
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container_of(documents)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container_of(documents)["resources"]["limits"]


def image_user() -> int:
    [user] = re.findall(r"^USER (\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return int(user)


def test_it_stops_after_its_answers_and_is_asked_whether_it_lives(documents):
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    container = container_of(documents)
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= sleep + default_drain_timeout() + 5
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    named = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in named
    [port] = documents["Service"]["spec"]["ports"]
    assert port["targetPort"] in named


def default_drain_timeout() -> int:
    reference = (ROOT / "docs/configuration.md").read_text()
    [seconds] = re.findall(r"^\| `drain_timeout` \|[^|]*\| `(\d+)s` \|", reference, re.MULTILINE)
    return int(seconds)


def test_ports_and_settings_agree(documents):
    container = container_of(documents)
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert variables["FAL_GATEWAY__SERVER__LISTEN"] == f"0.0.0.0:{ports['http']}"
    assert variables["FAL_GATEWAY__METRICS__LISTEN"] == f"0.0.0.0:{ports['metrics']}"


def test_secrets_are_named_and_not_held(documents):
    assert "Secret" not in documents
    named = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for variable in container_of(documents)["env"]
        if "valueFrom" in variable
    }
    for volume in documents["Deployment"]["spec"]["template"]["spec"]["volumes"]:
        named.update(item["key"] for item in volume.get("secret", {}).get("items", []))
    assert named <= SECRET
    page = (ROOT / "deploy/kubernetes/README.md").read_text()
    for key in named:
        assert f"{key}=" in page


def test_what_is_kept_and_how_many_there_are_go_together(documents):
    [text] = documents["ConfigMap"]["data"].values()
    settings = tomllib.loads(text)
    variables = {variable["name"] for variable in container_of(documents)["env"]}
    deployment = documents["Deployment"]["spec"]
    if path := settings.get("store", {}).get("path"):
        # One file, one gateway; and the file lies on the volume.
        assert deployment["replicas"] == 1
        assert deployment["strategy"] == {"type": "Recreate"}
        mounts = [mount["mountPath"] for mount in container_of(documents)["volumeMounts"] if not mount.get("readOnly")]
        assert mounts and path.startswith(f"{mounts[0]}/")
        assert "HorizontalPodAutoscaler" not in documents
    else:
        assert "FAL_GATEWAY__STORE__URL" in variables
        scaler = documents["HorizontalPodAutoscaler"]["spec"]
        assert "replicas" not in deployment
        assert scaler["scaleTargetRef"]["name"] == documents["Deployment"]["metadata"]["name"]
        assert documents["PodDisruptionBudget"]["spec"]["minAvailable"] < scaler["minReplicas"]
        assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        [metric] = scaler["metrics"]
        streams = int(metric["pods"]["target"]["averageValue"])
        assert streams == int(settings["limits"]["max_inflight"] * 0.6)
        assert f"`{metric['pods']['metric']['name']}`" in (ROOT / "docs/operating.md").read_text()


def test_the_image_is_this_version(documents):
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert container_of(documents)["image"] == f"fal-gateway:v{version}"
