"""The manifests in a policy linter, which is too big for every test run: `make cluster` fetches it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.test_kubernetes_manifests import LEAST, MOST, manifests
from tests.support import cluster

NO_LINTER = "checkov is not here (220 MB): make cluster fetches it"
DIGEST = {"kubernetes_image": f"registry.example.com/hello@sha256:{'0' * 64}", "kubernetes_pull_policy": "Always"}
BY_TAG = {"CKV_K8S_43": "Image should use digest", "CKV_K8S_15": "Image Pull Policy should be Always"}
BY_REFERENCE = {"CKV_K8S_35": "Prefer using secrets as files over secrets as environment variables"}

SNIPPETS = {"CKV_K8S_153": "Prevent All NGINX Ingress annotation snippets. See CVE-2021-25742"}


def findings(folder: Path, **variables: Any) -> dict[str, str]:
    """What the linter has to say against these manifests, by check."""
    program = cluster.linter()
    if not program.exists():
        pytest.skip(NO_LINTER)
    file = folder / "manifests.yml"
    file.write_text(yaml.safe_dump_all(manifests(**variables).values()))
    command = [program, "--file", file, "--framework", "kubernetes", "--output", "json", "--skip-download"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    assert result["summary"]["passed"] > 70 and not result["summary"]["parsing_errors"]
    return {found["check_id"]: found["check_name"] for found in result["results"]["failed_checks"]}


def test_clean(tmp_path: Path) -> None:
    """With limits, and an image by its digest, nothing is found."""
    limits = {"app_memory_max": "256M", "app_cpus": 0.5}
    assert findings(tmp_path, **{**LEAST, **limits, **DIGEST}) == {}


def test_what_is_left(tmp_path: Path) -> None:
    """Of all that can be set, this is found, and on purpose: a tag, secrets in the environment, allowed snippets."""
    assert findings(tmp_path, **MOST) == BY_TAG | BY_REFERENCE | SNIPPETS


def test_the_linter_finds(tmp_path: Path) -> None:
    """Without limits it does find something."""
    assert "CKV_K8S_13" in findings(tmp_path, **LEAST)
