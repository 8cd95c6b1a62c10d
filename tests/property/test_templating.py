"""Texts rendered by hand come out as Jinja renders them, faults and their words included."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.templating.engine import check_text, compile_program
from pipeline.templating.texts import compile_text
from pipeline.templating.values import TemplateFault, context_of

VALUES = {
    "name": "Order-Entry",
    "empty": "",
    "marked": "${{ values.name }} {% if x %} {# #}",
    "count": 3,
    "flag": True,
    "nothing": None,
    "items": ["a-b", 2, False],
    "nested": {"deep": {"key": "v"}, "length": "own"},
}
DECLARED = (*VALUES, "missing")
_PATHS = st.sampled_from(
    [
        "values.name",
        "values.empty",
        "values.marked",
        "values.count",
        "values.flag",
        "values.nothing",
        "values.items",
        "values.items[0]",
        "values.items[1]",
        "values.items[9]",
        "values.items.length",
        "values.name.length",
        "values.nested",
        "values.nested.deep.key",
        "values.nested.length",
        "values.nested.missing",
        "values.missing",
    ]
)
_FILTERS = st.sampled_from(
    [
        "",
        " | dump",
        "|lower",
        " | upper",
        " | replace('-', '_')",
        ' | replace("e", "${{")',
        " | replace('a')",
        " | join",
        " | join(' ')",
        " | join(', ') | dump",
        " | lower | replace('-', '_') | upper",
    ]
)
_EXPRESSIONS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["${{ ", "${{", "${{- "]),
    _PATHS,
    _FILTERS,
    st.sampled_from(["", " ", "  "]),
    st.sampled_from(["}}", "-}}"]),
)
_LITERALS = st.one_of(
    st.sampled_from(["", "\n", "}}", "{", "$", "$$", "{{", " #", "'", "line\nline\n", "ä", "#}"]),
    st.text("ab {}$%#'\"\n\\", max_size=6).filter(
        lambda text: not any(mark in text for mark in ("${{", "{%", "{#"))
    ),
)
_TEXTS = st.lists(st.one_of(_EXPRESSIONS, _LITERALS), max_size=3).map("".join)


def outcome(render: object, context: dict[str, object]) -> tuple[str, str]:
    """What comes out, or why nothing does."""
    try:
        return "text", render.render(context)  # type: ignore[attr-defined]  # one of the two
    except TemplateFault as fault:
        return "fault", str(fault)


@settings(max_examples=500)
@given(_TEXTS)
@example("${{ values.items | join(', ') }}")
@example("a ${{ values.name | replace('-', '_') }}\n${{ values.items | join(' ') }}\n")
@example("${{ values.marked }}")
@example("$${{ values.name }}}")
def test_a_text_rendered_by_hand_is_as_jinja_renders_it(text: str) -> None:
    compiled = compile_text("a-file", text)
    if compiled.pieces is None or check_text("a-file", text, DECLARED):
        return  # Jinja renders it, or nobody does
    context = context_of(VALUES)
    assert outcome(compiled, context) == outcome(compile_program("a-file", text), context)


def test_what_most_files_hold_needs_no_program() -> None:
    text = "name: ${{ values.name | lower | dump }}\nfirst: ${{values.items[0]}}\n"
    assert compile_text("a-file", text).pieces is not None
    assert compile_text("a-file", text + "{% if values.flag %}x{% endif %}").pieces is None
