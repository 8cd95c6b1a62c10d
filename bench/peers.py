"""The golden template as a template of copier, made by `python -m bench.peers FOLDER`.

Same files, same expressions, same values; only two filters have other names. The result is compared
byte for byte with the pipeline's, so both do the same work.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.measure import ROOT, BenchFailure
from pipeline.templates import read_builtin_template
from pipeline.templating import complete_parameters, render_template
from pipeline.templating.files import is_copied
from worlds import requests

COPIER = ROOT / ".tools" / "bench-venv" / "bin" / "copier"
_CONFIG = {
    "_subdirectory": "template",
    "_templates_suffix": "",
    "_envops": {
        "variable_start_string": "${{",
        "variable_end_string": "}}",
        "comment_start_string": "{#never",
        "comment_end_string": "never#}",
        "autoescape": False,
        "keep_trailing_newline": True,
    },
}


def template_values() -> dict[str, object]:
    """The values that both sides render the template with."""
    template = read_builtin_template("domain")
    tenant, primitive = requests.tenant_name(0), requests.draft_name(1)
    own = {
        "description": "Routes orders",
        "owner": requests.PEOPLE,
        "entities": ["order", "route"],
    }
    return {
        **complete_parameters(template, own),
        "tenant_id": tenant,
        "sku": "Shared",
        "primitive_id": primitive,
        "primitive_type": "domain",
        "code_origin": "tenant",
        "target_repo": f"tenant-{tenant}-controllers",
        "instance": primitive,
        "platform": "ameide",
        "design_refs": ["process-definition/order-to-cash@3"],
        "namespaces": {e: f"tenant-{tenant}-{e}-cust" for e in ("dev", "staging", "prod")},
        "template": f"domain@{template.version}",
        "image_repository": f"registry.example.com/ameide/tenant-{tenant}/{primitive}",
        "cost_centre": "CC-1042",
    }


def write_copier_template(folder: Path) -> None:
    """Write the template below `folder` in copier's form."""
    template = read_builtin_template("domain")
    for file in template.files:
        text = file.content.decode()
        if is_copied(file, template.copy_only):
            # Our side copies these files as they are; copier has no other way to express that.
            text = f"{{% raw %}}{text}{{% endraw %}}"
        else:
            text = text.replace("| dump", "| tojson").replace(".length", " | length")
        path = folder / "template" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    values = {"type": "json", "default": template_values()}
    # JSON is YAML.
    config = json.dumps({**_CONFIG, "values": values}, indent=1)
    (folder / "copier.yml").write_text(config, encoding="utf-8")


def copier_command(template: Path, target: Path) -> list[str]:
    """The call that writes the template's files to `target`."""
    options = ["--defaults", "--quiet", "--overwrite"]
    return [str(COPIER), "copy", *options, str(template), str(target)]


def check_same_files(template: Path, target: Path) -> int:
    """The number of files that both sides write. Raises BenchFailure if one differs."""
    subprocess.run(copier_command(template, target), check=True)
    ours = render_template(read_builtin_template("domain"), template_values())
    theirs = {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file()
    }
    wrong = sorted(
        {*ours, *theirs} - {p for p in ours.keys() & theirs if ours[p].content == theirs[p]}
    )
    if wrong:
        raise BenchFailure(f"copier writes other files: {', '.join(wrong)}")
    return len(ours)


def main(arguments: list[str]) -> int:
    """Make copier's template in `FOLDER/template` and print the number of files it writes."""
    folder = Path(arguments[0])
    write_copier_template(folder / "template")
    print(check_same_files(folder / "template", folder / "checked"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
