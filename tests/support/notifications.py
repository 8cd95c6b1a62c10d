"""What Argo CD sends by the notification template of a control repo.

Argo CD renders it with Go's templates and sprig's functions, as Helm does, so Helm renders it here.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from pipeline.machine.versions import find_tool


def webhook_of(config: bytes) -> dict[str, Any]:
    """The request that the template makes, unrendered."""
    data = yaml.safe_load(config)["data"]
    found: dict[str, Any] = yaml.safe_load(data["template.pipeline-observed"])["webhook"][
        "pipeline"
    ]
    return found


def sent_for(config: bytes, application: dict[str, Any]) -> dict[str, Any]:
    """The event that is sent for an application."""
    body = webhook_of(config)["body"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "templates").mkdir()
        (folder / "Chart.yaml").write_text("apiVersion: v2\nname: x\nversion: 1.0.0\n")
        template = 'text: {{ include "body" .Values | quote }}\n'
        define = '{{- define "body" -}}\n' + body + "{{- end -}}\n"
        (folder / "templates" / "x.yaml").write_text(define + template)
        (folder / "values.yaml").write_text(json.dumps({"app": application}))
        done = subprocess.run(
            [find_tool("helm"), "template", "x", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    sent: dict[str, Any] = json.loads(yaml.safe_load(done.stdout)["text"])
    return sent
