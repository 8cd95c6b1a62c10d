"""Text rendered from pieces is what Jinja renders, faults and their messages included."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.templates import list_builtin_templates, read_builtin_template
from pipeline.templating.engine import check_text, compile_program
from pipeline.templating.files import is_copied
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
_FLAT = st.lists(st.one_of(_EXPRESSIONS, _LITERALS), max_size=3).map("".join)
_LOCAL = st.sampled_from(
    ["item", "item.key", "item[0]", "loop.last", "loop.index", "loop.length", "loop", "loop.other"]
)
_ANYWHERE = st.one_of(_PATHS, _LOCAL)
_TERMS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", "not "]),
    _ANYWHERE,
    st.sampled_from(["", "", ' == "a-b"', " != 'Order-Entry'", '==""', " == 3"]),
)
_CONDITIONS = st.lists(_TERMS, min_size=1, max_size=2).flatmap(
    lambda terms: st.sampled_from([" and ", " or "]).map(lambda word: word.join(terms))
)
_OPENING = st.sampled_from(["{% ", "{%- ", "{%", "{%+ "])
_CLOSING = st.sampled_from([" %}", " -%}", "%}", "-%}", " \n%}"])


def block(words: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A block of these words, with any trimming at either side."""
    return st.builds("{}{}{}".format, _OPENING, words, _CLOSING)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Choices and loops around texts, some of them broken."""
    values = st.one_of(_LOCAL.map("${{{{ {} }}}}".format), _LITERALS)
    inside = st.lists(st.one_of(inner, values), max_size=2).map("".join)
    other = st.one_of(
        st.just(""),
        st.builds("{}{}".format, block(_CONDITIONS.map("elif {}".format)), inside),
        st.builds("{}{}".format, block(st.just("else")), inside),
    )
    choice = st.builds(
        "{}{}{}{}{}".format,
        block(_CONDITIONS.map("if {}".format)),
        inside,
        other,
        other,
        block(st.sampled_from(["endif", "endif", "endif", "endfor"])),
    )
    loop = st.builds(
        "{}{}{}".format,
        block(
            st.builds(
                "for {} in {}".format, st.sampled_from(["item", "key, item", "values"]), _ANYWHERE
            )
        ),
        inside,
        block(st.just("endfor")),
    )
    return st.one_of(choice, loop)


_TEXTS = st.recursive(_FLAT, lambda inner: st.one_of(nested(inner), nested(inner)), max_leaves=4)


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
@example("{% if values.name != 'x' and values.flag %}a{% endif %}")
@example("{% if values.name == 'x' %}a{% elif not values.empty == '' %}b{% else %}c{% endif %}")
@example("$${{ values.name }}}")
@example(
    "{% for item in values.items %}${{ loop.index }}{% if not loop.last %},{% endif %}{% endfor %}"
)
@example(
    "a \n{%- if values.name == 'x' and values.missing -%} b {% elif values.flag %} c {% endif %}"
)
def test_text_rendered_from_pieces_equals_jinja_s(text: str) -> None:
    compiled = compile_text("a-file", text)
    if compiled.pieces is None or check_text("a-file", text, DECLARED):
        return  # Jinja renders it, or nobody does
    context = context_of(VALUES)
    assert outcome(compiled, context) == outcome(compile_program("a-file", text), context)


@pytest.mark.parametrize(
    "text",
    [
        "name: ${{ values.name | lower | dump }}\nfirst: ${{values.items[0]}}\n",
        '{%- if not values.flag and values.name == "x" %}a{% elif values.count %}b{% endif %}',
        "{% for item in values.items -%} ${{ item }}{% if loop.last %}.{% endif %}{%- endfor %}",
    ],
)
def test_a_plain_text_needs_no_program(text: str) -> None:
    assert compile_text("a-file", text).pieces is not None


@pytest.mark.parametrize(
    "text",
    [
        "{% if values.flag or values.name %}x{% endif %}",
        "{% if values.count == 3 %}x{% endif %}",
        "{% for key, value in values.nested %}x{% endfor %}",
        "{%+ if values.flag %}x{% endif %}",
        "${{- values.name -}}",
        "${{ 'a' if values.flag else 'b' }}",
    ],
)
def test_any_other_text_is_a_program(text: str) -> None:
    assert not check_text("a-file", text, DECLARED)
    assert compile_text("a-file", text).pieces is None


@pytest.mark.parametrize("name", list_builtin_templates())
def test_no_file_of_the_golden_templates_needs_a_program(name: str) -> None:
    template = read_builtin_template(name)
    texts = [f for f in template.files if not is_copied(f, template.copy_only)]
    assert any(b"{%" in file.content for file in texts)
    needing = [f.path for f in texts if compile_text(f.path, f.content.decode()).pieces is None]
    assert needing == []
