"""A model's validation errors as findings: the place, what was found, and what is allowed there.

Pure. Pydantic describes an error by its own type and a path that mixes fields with union branches;
here both become words and positions in the file.
"""

from __future__ import annotations

import difflib
import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from pipeline.characters import visible
from pipeline.diagnostics import Finding, Rule, sort_findings
from pipeline.documents import shape_rules as rules
from pipeline.documents.events import Path

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from pipeline.documents.reader import ParsedDocument

# The patterns of `pipeline.models` in words. A pattern missing here is shown as it is.
PATTERN_WORDS: dict[str, str] = {
    r"^[0-9a-f]{40}$": "a full Git object id: 40 digits 0-9 and a-f",
    r"^sha256:[0-9a-f]{64}$": "an image digest: `sha256:` and 64 digits 0-9 and a-f",
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$": (
        "lower-case letters and digits in parts joined by single `-`, a letter first"
    ),
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*/[a-z][a-z0-9]*(-[a-z0-9]+)*$": (
        "`tenant/primitive`, each of lower-case letters, digits and single `-`"
    ),
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*@[0-9]+\.[0-9]+\.[0-9]+$": (
        "a name and an exact version, as in `domain@1.0.0`"
    ),
    r"^[a-z-]+/[a-z0-9]+(-[a-z0-9]+)*(@[0-9]+)?$": (
        "a design reference, as in `process-definition/order-to-cash@3`"
    ),
    r"^[^\r\n]*$": "one line of text",
    r"^[a-z0-9][a-z0-9-]*$": "lower-case letters, digits and `-`, none of the last first",
    r"^[a-z0-9]+(-[a-z0-9]+)*$": "lower-case letters and digits in parts joined by single `-`",
    r"^1\.[0-9]+\.[0-9]+$": "a full Kubernetes version, as in `1.33.0`",
}
_WANTED: dict[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "none_required": "nothing",
    "is_instance_of": "another type",
}
# Each kind of limit in words, and the key of the limit in pydantic's context.
_LIMITS: dict[str, tuple[str, str]] = {
    "string_too_short": ("needs at least {} character(s)", "min_length"),
    "string_too_long": ("may have at most {} characters", "max_length"),
    "too_short": ("needs at least {} item(s)", "min_length"),
    "too_long": ("may have at most {} items", "max_length"),
    "greater_than_equal": ("must be at least {}", "ge"),
    "greater_than": ("must be more than {}", "gt"),
    "less_than_equal": ("must be at most {}", "le"),
    "less_than": ("must be less than {}", "lt"),
}


def findings_of_validation_error(
    error: ValidationError,
    document: ParsedDocument,
    model: type[BaseModel] | None = None,
) -> tuple[Finding, ...]:
    """One finding for each fault in `error`, with its position in `document`, sorted.

    `model` is the validated model, for suggestions of similar names.
    """
    all_details = error.errors(include_url=False)
    places = {details["loc"] for details in all_details}
    found = [
        _finding_of(details, document, model)
        for details in all_details
        # Pydantic also calls a list with refused items too short, and a default that depends on
        # refused fields missing, which adds nothing.
        if details["type"] != "default_factory_not_called"
        and (details["type"] != "too_short" or not _any_below(details["loc"], places))
    ]
    return sort_findings(found)


def _any_below(place: Path, places: set[Path]) -> bool:
    return any(len(other) > len(place) and other[: len(place)] == place for other in places)


def _finding_of(
    details: ErrorDetails, document: ParsedDocument, root: type[BaseModel] | None
) -> Finding:
    kind = details["type"]
    path, is_key = _path_in(document.value, details["loc"])
    name = visible(".".join(map(str, path))) or "the document"
    # The default comes from another field, which does not allow one: the field is required.
    is_left_out = kind == "literal_error" and path[-1:] != details["loc"][-1:]
    if kind == "missing" or is_left_out:
        missing = str(details["loc"][-1])
        message = f"field `{missing}` is missing" + (f" in `{name}`" if path else "")
        place = document.position_of(path, key=True)
        choices = str((details.get("ctx") or {}).get("expected", "")).replace("'", "`")
        help = f"add `{missing}: …`" + (f", which may be {choices}" if is_left_out else "")
        return rules.REQUEST_MISSING_FIELD.finding(message, place, help=help)
    place = document.position_of(path, key=is_key or kind == "extra_forbidden")
    if kind == "extra_forbidden":
        return _unknown_field(details, document, root, path)
    rule, message, help = _words_for(details, name, is_key)
    return rule.finding(message, place, help=help)


def _path_in(value: object, location: tuple[int | str, ...]) -> tuple[Path, bool]:
    """The part of pydantic's path that exists in the document, and whether it means the key."""
    path: list[int | str] = []
    is_key = bool(location) and location[-1] == "[key]"
    for step in location:
        if isinstance(value, dict) and step in value:
            value = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            continue  # the name of a union's branch, or of a missing field
        path.append(step)
    return tuple(path), is_key


def _unknown_field(
    details: ErrorDetails, document: ParsedDocument, root: type[BaseModel] | None, path: Path
) -> Finding:
    unknown = str(details["loc"][-1])
    known = sorted(_fields_at(root, details["loc"][:-1]))
    near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.6)
    if near:
        help = f"did you mean `{near[0]}`?"
    elif known:
        help = f"fields here are {', '.join(f'`{field}`' for field in known)}"
    else:
        help = ""
    where = f" in `{visible('.'.join(map(str, path[:-1])))}`" if path[1:] else ""
    message = f"field `{visible(unknown)}` is not known{where}"
    return rules.REQUEST_UNKNOWN_FIELD.finding(
        message, document.position_of(path, key=True), help=help
    )


def _words_for(details: ErrorDetails, name: str, is_key: bool) -> tuple[Rule, str, str]:
    kind, context = details["type"], details.get("ctx") or {}
    subject = f"the key `{name}`" if is_key else f"`{name}`"
    found = _shown(details["input"])
    if kind in _WANTED:
        message = f"{subject} must be {_WANTED[kind]}, not {_type_words(details['input'])}"
        help = ""
        if kind == "string_type" and isinstance(details["input"], (int, float, bool)):
            help = "put quotes around the value to make it text"
        return rules.REQUEST_WRONG_TYPE, message, help
    if kind in ("literal_error", "enum"):
        allowed = str(context.get("expected", "")).replace("'", "`")
        return _choice(subject, details["input"], allowed)
    if kind == "union_tag_not_found":
        wanted = str(context.get("discriminator", "")).strip("'")
        return rules.REQUEST_MISSING_FIELD, f"{subject} lacks `{wanted}`", f"add `{wanted}: …`"
    if kind == "union_tag_invalid":
        tag = str(context.get("tag", ""))
        allowed = str(context.get("expected_tags", "")).replace("'", "`")
        wanted = str(context.get("discriminator", "")).strip("'")
        return _choice(f"`{wanted}` of {subject}", tag, allowed)
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern", ""))
        words = PATTERN_WORDS.get(pattern, f"text that matches `{pattern}`")
        return rules.REQUEST_BAD_VALUE, f"{subject} is {found}, which is not {words}", ""
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return (
            rules.REQUEST_BAD_VALUE,
            f"{subject} is {found}; it {words.format(context[limit])}",
            "",
        )
    reason = details["msg"][:1].lower() + details["msg"][1:]
    return rules.REQUEST_BAD_VALUE, f"{subject} is {found}: {visible(reason)}", ""


def _choice(subject: str, value: object, allowed: str) -> tuple[Rule, str, str]:
    names = allowed.replace("`", "").replace(" or ", ", ").split(", ")
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.6)
    help = f"did you mean `{near[0]}`?" if near else f"allowed: {allowed}"
    return rules.REQUEST_BAD_VALUE, f"{subject} is {_shown(value)}; it may be {allowed}", help


def _shown(value: object) -> str:
    if value in ("", [], {}):
        return "empty"
    if isinstance(value, str):
        return f"`{visible(value[:60])}{'…' if len(value) > 60 else ''}`"
    words = _type_words(value)
    return words.removeprefix("the number ")


def _type_words(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (int, float)):
        return f"the number `{value}`"
    if isinstance(value, str):
        return f"the text {_shown(value)}"
    return "a mapping" if isinstance(value, dict) else "a list"


def _fields_at(root: type[BaseModel] | None, location: tuple[int | str, ...]) -> set[str]:
    """The field names of the model at pydantic's `location`; empty if there is no model."""
    here: list[type[BaseModel]] = [root] if root else []
    for step in location:
        inner = [
            f.annotation for m in here for n, f in m.model_fields.items() if step in (n, f.alias)
        ]
        # Anything but a field is an item's index, a mapping's key, or a union branch's tag.
        here = (
            [model for annotation in inner for model in models_in(annotation)]
            if inner
            else [model for model in here if _has_tag(model, step)] or here
        )
    return {field.alias or name for model in here for name, field in model.model_fields.items()}


def _has_tag(model: type[BaseModel], step: int | str) -> bool:
    return any(step in typing.get_args(field.annotation) for field in model.model_fields.values())


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models in an annotation: itself, or inside unions and collections."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for inner in typing.get_args(annotation) for model in models_in(inner)]
