"""Tries a template: reads its folder, renders it with many values, and checks the results.

Shell of `pipeline template`: the folder may be anybody's work in progress, so links and anything
else that is not a plain file are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError, Unrenderable, UsageFault
from pipeline.models.evidence import CheckOutcome
from pipeline.templates import SharedFolders, list_builtin_templates, read_folder, template_folder
from pipeline.templating import (
    Template,
    TemplateError,
    TemplateFile,
    parse_template,
    render_template,
)
from pipeline.templating.samples import sample_values
from pipeline.tools.rendered import parse_rendered

KUBERNETES_VERSION = "1.33.0"
_CHECKS = ("lint", "code-scan", "secrets", "tests")
_IMAGE = f"images.example.invalid/sample@sha256:{'0' * 64}"


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial; `problems` is empty if it passed."""

    name: str
    problems: tuple[str, ...]


def read_template(named: str) -> Template:
    """The built-in template with this name, or the one in this folder, with its skeleton checked.

    Raises TemplateError with all reasons, UsageFault if there is no such template.
    """
    folder = template_folder(named) if named in list_builtin_templates() else Path(named)
    if not (folder / "template.yaml").is_file():
        known = ", ".join(list_builtin_templates())
        raise UsageFault(
            f"`{named}` is neither a built-in template nor a folder with a template.yaml",
            help=f"built-in are {known}",
        )
    shared = SharedFolders(folder.resolve().parent.parent / "shared")
    executables = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o100
    }
    return parse_template(folder.resolve().name, read_folder(folder), executables, shared=shared)


def read_trials(template: Template, *, checks: bool, say: Callable[[str], None]) -> Iterator[Trial]:
    """The trial of each set of values; the default one's result also passes chart and checks."""
    samples = sample_values(template)
    for sample in samples:
        try:
            rendered = render_template(template, sample.values)
        except TemplateError as error:
            yield Trial(sample.name, error.reasons)
            continue
        yield Trial(sample.name, tuple(_unreadable(rendered)))
    if not checks:
        return
    rendered = render_template(template, samples[0].values)
    yield _try_chart(rendered)
    for name in _CHECKS:
        say(name)
        yield _try_check(name, rendered)


def _unreadable(files: Mapping[str, TemplateFile]) -> Iterator[str]:
    """Problems of YAML files in the result that do not parse, or use tags or anchors."""
    for path, file in files.items():
        if path.endswith((".yaml", ".yml")) and not path.startswith("chart/templates/"):
            try:
                parse_rendered(file.content)
            except Unrenderable as refused:
                yield f"{path}: {refused.message}"


def _try_chart(files: Mapping[str, TemplateFile]) -> Trial:
    """The trial of the chart in each of its forms, whatever environments run."""
    # 77 ms; `template list` and `lint` render no chart.
    from pipeline.tools.kubeconform import run_kubeconform
    from pipeline.world.hydrate import read_forms

    chart = {
        p.removeprefix("chart/"): f.content for p, f in files.items() if p.startswith("chart/")
    }
    if "Chart.yaml" not in chart:
        return Trial("chart", ("the result has no chart/Chart.yaml",))
    try:
        forms = read_forms(
            chart, release="order-router", image=_IMAGE, kubernetes_version=KUBERNETES_VERSION
        )
        found = [
            finding
            for form, objects in forms.items()
            for finding in run_kubeconform(b"---\n".join(objects.values()), file=form)
        ]
    except PipelineError as error:
        return Trial("chart", (error.message,))
    return Trial("chart", tuple(f.message for f in found))


def _try_check(name: str, files: Mapping[str, TemplateFile]) -> Trial:
    # 20 ms; `template list` and `lint` run no check.
    from pipeline.checks import CHECKS

    tree = {path: (0o100755 if f.executable else 0o100644, f.content) for path, f in files.items()}
    try:
        result = CHECKS[name](tree)  # type: ignore[index]  # one of `_CHECKS`
    except PipelineError as error:
        return Trial(name, (f"could not check: {error.message}",))
    passed = result.outcome is CheckOutcome.PASSED
    problems = () if passed else (result.summary, *result.details)
    return Trial(f"{name}: {result.summary}" if not problems else name, problems)


def write_rendered(out: Path, files: Mapping[str, TemplateFile]) -> None:
    """Write the files below `out`. Raises UsageFault if it is not empty."""
    if out.exists() and any(out.iterdir()):
        raise UsageFault(f"`{out}` is not empty", help="name a folder that is absent or empty")
    for path, file in files.items():
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        if file.executable:
            target.chmod(0o755)
