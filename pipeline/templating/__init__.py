"""Golden templates: Backstage's format read, and its skeleton rendered from plain values. Pure.

A template folder is `template.yaml` (a Backstage Template, `scaffolder.backstage.io/v1beta3`) and
`skeleton/`, which its `fetch:template` step renders. This module renders the same files without
Backstage. Values are data: they are never compiled, have no methods, and a missing one is an error,
never an empty string. Only expressions that Jinja and Backstage's own engine read alike are allowed
(`pipeline.templating.engine`); anything else is refused when the template is parsed, with file and
line.

Why a subset: docs/adr/0008-template-subset.md.
Source: Backstage, scaffolder-common, `Template.v1beta3`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pipeline.documents import parse_document
from pipeline.errors import Refused
from pipeline.git.objects import MODE_EXECUTABLE, MODE_FILE, tree_id_of_files
from pipeline.templating.files import TemplateFile, is_copied, is_safe_path
from pipeline.templating.parameters import (
    ParameterProblem,
    ParameterSchema,
    check_against_schema,
    compile_schema,
    merge_pages,
)
from pipeline.templating.steps import MANIFEST, SHARED, parse_steps
from pipeline.templating.texts import Compiled, compile_text
from pipeline.templating.values import TemplateFault, context_of

__all__ = [
    "GIVEN_VALUES",
    "ParameterProblem",
    "Template",
    "TemplateError",
    "TemplateFile",
    "check_parameters",
    "complete_parameters",
    "parse_template",
    "render_template",
]

SCAFFOLDER_API_VERSION: Final = "scaffolder.backstage.io/v1beta3"
VERSION_ANNOTATION: Final = "pipeline.ameide.io/version"
SKELETON: Final = "skeleton/"
# Values that the pipeline gives to every template, besides its own parameters.
GIVEN_VALUES: Final = frozenset(
    {
        "code_origin",
        "cost_centre",
        "design_refs",
        "image_repository",
        "instance",
        "namespaces",
        "platform",
        "primitive_id",
        "primitive_type",
        "sku",
        "target_repo",
        "template",
        "tenant_id",
    }
)
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\Z")


class TemplateError(Refused):
    """A template is malformed or cannot be rendered; `reasons` names each place and why."""

    code = "template-refused"

    def __init__(self, template: str, reasons: Collection[str]) -> None:
        self.reasons = tuple(reasons)
        listed = "\n".join(f"  {reason}" for reason in self.reasons)
        super().__init__(
            f"template `{template}` is refused:\n{listed}",
            help="correct the template at the places named",
        )


@dataclass(frozen=True)
class Template:
    """One version of a template.

    `files` is the skeleton, with sorted paths relative to `skeleton/`. `parameters` is the JSON
    Schema (draft-07) of the inputs, without the form's hints. `copy_only` holds globs of files that
    are copied as they are. `digest` is the git tree id of the whole template folder, with the files
    it takes from shared folders below `shared/`.
    """

    name: str
    version: str
    files: tuple[TemplateFile, ...]
    parameters: Mapping[str, object]
    copy_only: tuple[str, ...]
    digest: str

    @cached_property
    def _compiled(self) -> tuple[tuple[Compiled, Compiled | bytes, TemplateFile], ...]:
        """Compiled path and content of each file; copied content is bytes."""
        return tuple(
            (
                Compiled(file.path, file.path, (file.path,))
                if file.shared
                else compile_text(f"{SKELETON}{file.path}", file.path),
                file.content
                if is_copied(file, self.copy_only)
                else compile_text(f"{SKELETON}{file.path}", file.content.decode()),
                file,
            )
            for file in self.files
        )

    @cached_property
    def _parameter_schema(self) -> ParameterSchema:
        return compile_schema(self.parameters, GIVEN_VALUES)


def parse_template(
    name: str,
    files: Mapping[str, bytes],
    executables: Collection[str] = (),
    *,
    shared: Mapping[str, Mapping[str, bytes]] | None = None,
    check_skeleton: bool = True,
) -> Template:
    """The template in `files`: path below the template's folder → bytes.

    `shared` holds the folders that several templates take files from: name → path → bytes.
    Raises TemplateError with all reasons if the manifest is not a valid Backstage Template, if the
    skeleton uses a forbidden construct or value, or if a path is unsafe. `check_skeleton=False`
    skips the last two, for templates that passed them before.
    """
    document = parse_document(MANIFEST, files.get(MANIFEST, b""))
    if MANIFEST not in files:
        raise TemplateError(name, [f"{MANIFEST}: the file is missing"])
    if not document.ok:
        raise TemplateError(
            name, [f"{finding.location}: {finding.message}" for finding in document.findings]
        )
    reasons: list[str] = []
    manifest = document.value
    version = _check_heading(name, manifest, reasons)
    spec = _mapping(manifest.get("spec"))
    steps = parse_steps(spec.get("steps"), reasons)
    schema = merge_pages(spec.get("parameters"), reasons)
    skeleton, taken = _skeleton_of(files, executables, shared or {}, steps.shares, reasons)
    _check_values(steps.passed, schema, reasons)
    for file in skeleton if check_skeleton else ():
        _check_file(file, steps.copy_only, steps.passed, reasons)
    if reasons:
        raise TemplateError(name, reasons)
    tree = {
        path: (MODE_EXECUTABLE if path in executables else MODE_FILE, content)
        for path, content in {**files, **taken}.items()
    }
    return Template(name, version, skeleton, schema, steps.copy_only, tree_id_of_files(tree))


def _check_heading(name: str, manifest: Mapping[str, object], reasons: list[str]) -> str:
    """The version; adds reasons for problems of the manifest outside its steps and parameters."""
    metadata = _mapping(manifest.get("metadata"))
    version = _mapping(metadata.get("annotations")).get(VERSION_ANNOTATION)
    for stated, wanted, what in (
        (manifest.get("apiVersion"), SCAFFOLDER_API_VERSION, "apiVersion"),
        (manifest.get("kind"), "Template", "kind"),
        (metadata.get("name"), name, "metadata.name"),
    ):
        if stated != wanted:
            reasons.append(f"{MANIFEST}: {what} is {stated!r}, expected {wanted!r}")
    if not _NAME.match(name):
        reasons.append(f"{MANIFEST}: the name {name!r} is not kebab-case")
    if not isinstance(version, str) or not _VERSION.match(version):
        reasons.append(
            f"{MANIFEST}: annotation {VERSION_ANNOTATION} is {version!r}, not major.minor.patch"
        )
    if not isinstance(_mapping(manifest.get("spec")).get("type"), str):
        reasons.append(f"{MANIFEST}: spec.type is missing")
    return str(version)


def _skeleton_of(
    files: Mapping[str, bytes],
    executables: Collection[str],
    shared: Mapping[str, Mapping[str, bytes]],
    shares: Iterable[tuple[str, str]],
    reasons: list[str],
) -> tuple[tuple[TemplateFile, ...], dict[str, bytes]]:
    """The skeleton with its files from shared folders, and those files by their path in the digest.

    `shares` are pairs of a shared folder and the target of its files.
    """
    skeleton = tuple(
        TemplateFile(path.removeprefix(SKELETON), content, path in executables)
        for path, content in sorted(files.items())
        if path.startswith(SKELETON)
    )
    if not skeleton:
        reasons.append(f"{SKELETON}: the folder is missing or empty")
    taken: dict[str, bytes] = {}
    for folder, target in shares:
        if not shared.get(folder):
            reasons.append(f"{MANIFEST}: there is no shared folder {folder!r}")
            continue
        found = shared[folder]
        taken |= {f"{SHARED}{folder}/{path}": content for path, content in found.items()}
        skeleton += tuple(
            TemplateFile(f"{target}/{path}", content, shared=True)
            for path, content in sorted(found.items())
        )
    return skeleton, taken


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _check_values(
    passed: Collection[str], schema: Mapping[str, object], reasons: list[str]
) -> None:
    """Add reasons for values that could be missing: one nobody gives, or an optional parameter.

    Backstage fills in defaults only in its form, and renders nothing for a missing value.
    """
    properties = _mapping(schema.get("properties"))
    required = schema.get("required")
    for name in sorted({*passed} - GIVEN_VALUES - {*properties}):
        reasons.append(f"{MANIFEST}: the value {name!r} is neither a parameter nor given")
    for name in sorted({*properties} - GIVEN_VALUES):
        if name not in passed:
            reasons.append(f"{MANIFEST}: fetch:template does not pass the parameter {name!r} on")
        optional = not (isinstance(required, list) and name in required)
        if optional and "default" not in _mapping(properties[name]):
            reasons.append(f"{MANIFEST}: parameter {name!r} is neither required nor has a default")


def _check_file(
    file: TemplateFile, copy_only: Collection[str], declared: Collection[str], reasons: list[str]
) -> None:
    # 24 ms for Jinja: tests check the built-in templates, not every process.
    from pipeline.templating import engine

    where = f"{SHARED if file.shared else SKELETON}{file.path}"
    if not is_safe_path(file.path):
        reasons.append(f"{where}: the path leaves the skeleton or is not normal")
    if file.shared:
        return
    reasons += engine.check_text(f"{where} (its name)", file.path, declared)
    if is_copied(file, copy_only):
        return
    try:
        text = file.content.decode()
    except UnicodeDecodeError:
        reasons.append(f"{where}: neither UTF-8 text nor listed in copyWithoutTemplating")
        return
    reasons += engine.check_text(where, text, declared)


def check_parameters(
    template: Template, values: Mapping[str, object]
) -> tuple[ParameterProblem, ...]:
    """The problems of a draft's own `parameters`; empty if they can be rendered.

    Only Backstage's form asks for names that the pipeline gives (`GIVEN_VALUES`), so a draft that
    repeats one under `parameters` gets a problem.
    """
    return check_against_schema(template.name, template._parameter_schema, GIVEN_VALUES, values)


def complete_parameters(template: Template, values: Mapping[str, object]) -> dict[str, object]:
    """`values` with the schema's defaults for missing ones, as in Backstage's form."""
    defaults = {
        name: schema["default"]
        for name, schema in _mapping(template.parameters.get("properties")).items()
        if isinstance(schema, Mapping) and "default" in schema and name not in GIVEN_VALUES
    }
    return {**defaults, **values}


def render_template(template: Template, values: Mapping[str, object]) -> dict[str, TemplateFile]:
    """The rendered files by path, sorted.

    `values` holds `GIVEN_VALUES` and the parameters, as JSON types. Raises TemplateError with file
    and line for an undefined value, a list or object where text is expected, or a path that becomes
    empty or absolute, leaves the folder, or equals another.
    """
    reasons: list[str] = []
    try:
        context = context_of(values)
    except TemplateFault as fault:
        raise TemplateError(template.name, [str(fault)]) from fault
    rendered: dict[str, TemplateFile] = {}
    for name, body, file in template._compiled:
        try:
            path = name.render(context)
            content = body if isinstance(body, bytes) else body.render(context).encode()
        except TemplateFault as fault:
            reasons.append(str(fault))
            continue
        if not is_safe_path(path):
            reasons.append(f"{SKELETON}{file.path}: its name renders to the unsafe path {path!r}")
        elif path in rendered:
            reasons.append(f"{SKELETON}{file.path}: two files render to {path!r}")
        else:
            rendered[path] = TemplateFile(path, content, file.executable)
    reasons += [
        f"{SKELETON}: {parent!r} is rendered both as a file and as a folder"
        for parent in sorted({p for path in rendered for p in _parents(path)} & rendered.keys())
    ]
    if reasons:
        raise TemplateError(template.name, reasons)
    return dict(sorted(rendered.items()))


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]
