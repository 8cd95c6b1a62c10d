"""The form `request-primitive`: a Backstage template whose result is a draft in the control repo.

A platform engineer fills it in; it opens a pull request with one `draft.yaml`, which is then
handled like one written by hand. It asks for the parameters of each golden template, so it is
generated from them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.documents import render_document
from pipeline.models.base import API_VERSION
from pipeline.requests.layout import draft_path
from pipeline.templating import GIVEN_VALUES, Template

FOLDER = "pipeline/backstage/request-primitive"
_DRAFT = draft_path("${{ values.tenant_id }}/${{ values.primitive_id }}")
FORM_FILES = (f"{FOLDER}/template.yaml", f"{FOLDER}/skeleton/{_DRAFT}")
_IDENTIFIER = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_HEADER = "# Generated from the golden templates by `make docs`. Do not edit.\n"


def render_request_form(templates: Mapping[str, Template]) -> dict[str, bytes]:
    """The form's files by path: its template.yaml, and the skeleton of a draft."""
    manifest = _HEADER.encode() + render_document(_manifest(templates))
    return dict(zip(FORM_FILES, (manifest, _skeleton(templates).encode()), strict=True))


def _manifest(templates: Mapping[str, Template]) -> dict[str, object]:
    ids = {_id(template): template for _, template in sorted(templates.items())}
    return {
        "apiVersion": "scaffolder.backstage.io/v1beta3",
        "kind": "Template",
        "metadata": {
            "name": "request-primitive",
            "title": "Request a primitive",
            "description": "Opens a pull request in the control repo that asks for a primitive.",
            "tags": ["primitive", "request"],
        },
        "spec": {
            "owner": "platform-engineers",
            "type": "request",
            "parameters": [_first_page(tuple(ids)), _second_page(ids), _third_page()],
            "steps": _steps(),
            "output": {
                "links": [{"title": "Pull request", "url": "${{ steps.publish.output.remoteUrl }}"}]
            },
        },
    }


def _id(template: Template) -> str:
    return f"{template.name}@{template.version}"


def _first_page(ids: tuple[str, ...]) -> dict[str, object]:
    identifier = {"type": "string", "pattern": _IDENTIFIER, "maxLength": 40}
    return {
        "title": "Whose it is",
        "required": ["tenant_id", "primitive_id", "code_origin"],
        "properties": {
            "tenant_id": {
                "title": "Tenant",
                **identifier,
                "description": "Id of the tenant; `platform` for what the platform itself owns",
                "ui:autofocus": True,
            },
            "primitive_id": {
                "title": "Primitive name",
                **identifier,
                "description": "Lower-case letters, digits and single dashes",
            },
            "code_origin": {
                "title": "Code origin",
                "type": "string",
                "description": "Who owns the code; it decides repository and namespace",
                "enum": ["platform", "tenant", "agent"],
                "default": "tenant",
                "ui:widget": "radio",
            },
            "design_refs": {
                "title": "Design references",
                "type": "array",
                "description": "Process and agent definitions that this primitive realises",
                "default": [],
                "maxItems": 20,
                "items": {
                    "type": "string",
                    "pattern": "^[a-z-]+/[a-z0-9]+(-[a-z0-9]+)*(@[0-9]+)?$",
                    "maxLength": 120,
                },
            },
        },
    }


def _second_page(ids: Mapping[str, Template]) -> dict[str, object]:
    """The page for the template; the chosen one decides which further fields there are."""
    return {
        "title": "What it is",
        "required": ["template_id"],
        "properties": {
            "template_id": {
                "title": "Golden template",
                "type": "string",
                "description": "What it is scaffolded from, and in which version",
                "enum": list(ids),
            }
        },
        "dependencies": {
            "template_id": {
                "oneOf": [
                    {
                        "required": ["parameters"],
                        "properties": {
                            "template_id": {"enum": [id]},
                            "parameters": _own_parameters(template),
                        },
                    }
                    for id, template in ids.items()
                ]
            }
        },
    }


def _own_parameters(template: Template) -> dict[str, object]:
    properties, required = template.parameters["properties"], template.parameters["required"]
    assert isinstance(properties, Mapping) and isinstance(required, list)  # as parsed
    own = {name: schema for name, schema in properties.items() if name not in GIVEN_VALUES}
    return {
        "title": f"Of the template {template.name}",
        "type": "object",
        "description": f"What the template `{template.name}` asks for",
        "additionalProperties": False,
        "required": [name for name in required if name in own],
        "properties": own,
    }


def _third_page() -> dict[str, object]:
    name = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": 100}
    return {
        "title": "Where the request goes",
        "required": ["platform", "control_repo"],
        "properties": {
            "platform": {
                "title": "Platform",
                **name,
                "description": "The platform's name, which is also the organisation's",
                "default": "ameide",
            },
            "control_repo": {
                "title": "Control repository",
                **name,
                "description": "The repository that requests are merged in",
                "default": "control",
            },
        },
    }


def _steps() -> list[dict[str, object]]:
    passed = ("tenant_id", "primitive_id", "code_origin", "template_id", "parameters")
    values: dict[str, object] = {name: f"${{{{ parameters.{name} }}}}" for name in passed}
    values |= {name: f"${{{{ parameters.{name} }}}}" for name in ("design_refs", "platform")}
    draft = "${{ parameters.tenant_id }}/${{ parameters.primitive_id }}"
    return [
        {
            "id": "fetch",
            "name": "Write the request",
            "action": "fetch:template",
            "input": {"url": "./skeleton", "values": values},
        },
        {
            "id": "publish",
            "name": "Open the pull request",
            "action": "publish:github:pull-request",
            "input": {
                "repoUrl": "github.com?owner=${{ parameters.platform }}"
                "&repo=${{ parameters.control_repo }}",
                "branchName": f"request/{draft}",
                "title": f"Ask for {draft}",
                "description": "Asks for a new primitive. The checks say whether it can be had.",
            },
        },
    ]


def _skeleton(templates: Mapping[str, Template]) -> str:
    """The draft; type and repository are derived, so the form does not ask for them."""
    types = "".join(
        f'{{% {"elif" if number else "if"} values.template_id == "{_id(template)}" %}}{name}'
        for number, (name, template) in enumerate(sorted(templates.items()))
    )
    return (
        "# yaml-language-server: $schema=../../../../schemas/draft.schema.json\n"
        f"apiVersion: {API_VERSION}\n"
        "kind: PrimitiveImplementationDraft\n"
        "id: ${{ values.tenant_id }}/${{ values.primitive_id }}\n"
        "tenant_id: ${{ values.tenant_id | dump }}\n"
        f"primitive_type: {types}{{% endif %}}\n"
        "primitive_id: ${{ values.primitive_id | dump }}\n"
        "template_id: ${{ values.template_id | dump }}\n"
        "code_origin: ${{ values.code_origin }}\n"
        'target_repo: {% if values.code_origin == "platform" %}${{ values.platform }}-platform'
        "{% else %}tenant-${{ values.tenant_id }}-controllers{% endif %}\n"
        "design_refs: ${{ values.design_refs | dump }}\n"
        "parameters: ${{ values.parameters | dump }}\n"
    )
