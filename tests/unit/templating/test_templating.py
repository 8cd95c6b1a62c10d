"""Templates read and rendered from bytes: what is accepted, and refusals with file and line."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.git.objects import MODE_EXECUTABLE, MODE_FILE, tree_id_of_files
from pipeline.templating import (
    Template,
    TemplateError,
    check_parameters,
    complete_parameters,
    parse_template,
    render_template,
)
from pipeline.templating.files import glob_matches, is_plain_glob
from pipeline.templating.values import json_text

MANIFEST = b"""apiVersion: scaffolder.backstage.io/v1beta3
kind: Template
metadata:
  name: small
  annotations:
    pipeline.ameide.io/version: 1.2.3
spec:
  type: domain
  parameters:
    - title: All
      required: [tenant_id, owner, entities]
      properties:
        tenant_id: {type: string, description: The tenant}
        owner:
          type: string
          description: Team that owns it
          pattern: '^[a-z-]+$'
          maxLength: 10
          ui:help: a hint of the form
        entities:
          type: array
          description: What it keeps
          minItems: 1
          items: {type: string, description: A name}
        plan: {type: string, description: Its size, enum: [small, large], default: small}
  steps:
    - action: fetch:template
      input:
        url: ./skeleton
        copyWithoutTemplating: [chart/templates, '*.bin']
        values: {tenant_id: x, owner: x, entities: x, plan: x, namespaces: x}
"""


def template_of(manifest: bytes = MANIFEST, **skeleton: str | bytes) -> Template:
    """A template whose skeleton has one file `file`, or those given by path."""
    files = skeleton or {"file": "text\n"}
    encoded = {k: v.encode() if isinstance(v, str) else v for k, v in files.items()}
    return parse_template(
        "small", {"template.yaml": manifest, **{f"skeleton/{k}": v for k, v in encoded.items()}}
    )


def rendered(text: str, **values: object) -> str:
    return render_template(template_of(file=text), values)["file"].content.decode()


def reasons_of(manifest: bytes = MANIFEST, **skeleton: str | bytes) -> str:
    with pytest.raises(TemplateError) as caught:
        template_of(manifest, **skeleton)
    return "\n".join(caught.value.reasons)


def test_an_undefined_value_is_named() -> None:
    manifest = MANIFEST.replace(b"tenant_id: x,", b"tenant_id: x, colour: x,")
    assert "the value 'colour' is neither a parameter nor given" in reasons_of(manifest)


def test_a_parameter_that_does_not_reach_the_skeleton_is_named() -> None:
    manifest = MANIFEST.replace(b"owner: x, ", b"")
    assert "fetch:template does not pass the parameter 'owner' on" in reasons_of(manifest)


def test_a_parameter_that_may_be_left_out_has_a_default() -> None:
    manifest = MANIFEST.replace(b"[tenant_id, owner, entities]", b"[tenant_id, entities]")
    assert "parameter 'owner' is neither required nor has a default" in reasons_of(manifest)


def test_a_shared_folder_is_copied_as_it_is() -> None:
    manifest = (
        MANIFEST
        + b"""    - action: fetch:plain
      input: {url: ../../shared/sdk, targetPath: ./sdk}
"""
    )
    files = {"template.yaml": manifest, "skeleton/file": b"x"}
    template = parse_template("small", files, shared={"sdk": {"${{ a }}.py": b"{% raw"}})
    made = render_template(template, {"owner": "x"})
    assert made["sdk/${{ a }}.py"].content == b"{% raw"
    plain = parse_template("small", files, shared={"sdk": {"${{ a }}.py": b"other"}})
    assert plain.digest != template.digest


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (b"{url: ../../shared/none, targetPath: ./sdk}", "there is no shared folder 'none'"),
        (b"{url: ../../../etc, targetPath: ./sdk}", "has url '../../../etc'"),
        (b"{url: https://example.invalid, targetPath: ./sdk}", "has url 'https:"),
        (b"{url: ../../shared/sdk, targetPath: ./../sdk}", "has targetPath './../sdk'"),
        (b"{url: ../../shared/sdk, targetPath: '.'}", "has targetPath '.'"),
        (b"{url: ../../shared/sdk, targetPath: ./a, token: x}", "option 'token'"),
    ],
)
def test_a_shared_folder_comes_from_beside_the_template_only(step: bytes, reason: str) -> None:
    manifest = MANIFEST + b"    - action: fetch:plain\n      input: " + step + b"\n"
    files = {"template.yaml": manifest, "skeleton/file": b"x"}
    with pytest.raises(TemplateError) as caught:
        parse_template("small", files, shared={"sdk": {"a": b""}})
    assert reason in str(caught.value)


def test_a_template_is_read() -> None:
    template = template_of()
    assert (template.name, template.version) == ("small", "1.2.3")
    assert [file.path for file in template.files] == ["file"]
    assert template.copy_only == ("chart/templates", "*.bin")
    assert template.parameters["required"] == ["entities", "owner", "tenant_id"]
    assert "ui:help" not in json.dumps(template.parameters)


def test_the_digest_is_the_tree_id_of_the_whole_folder() -> None:
    files = {"template.yaml": MANIFEST, "skeleton/a/run": b"x", "notes.md": b"y"}
    plain = parse_template("small", files)
    assert plain.digest == tree_id_of_files({k: (MODE_FILE, v) for k, v in files.items()})
    runnable = parse_template("small", files, ["skeleton/a/run"])
    assert runnable.digest == tree_id_of_files(
        {k: (MODE_EXECUTABLE if k == "skeleton/a/run" else MODE_FILE, v) for k, v in files.items()}
    )
    assert render_template(runnable, {})["a/run"].executable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{ values.owner }}\n", "team\n"),
        (
            "no marks {{ .Values.x }} ${HOME} $${x}\n\n",
            "no marks {{ .Values.x }} ${HOME} $${x}\n\n",
        ),
        ("${{ values.owner | upper }}", "TEAM"),
        ('${{ values.owner | replace("e", "-") }}', "t-am"),
        ('${{ values.entities | join(", ") }}', "order, route"),
        ("${{ values.entities | dump }}", '["order","route"]'),
        ("${{ values.entities[1] }}", "route"),
        ("${{ values.entities.length }}", "2"),
        ("${{ values.plan | dump }}", '"a \\"b\\" \\\\"'),
        ("{% for e in values.entities %}${{ loop.index }}${{ e }};{% endfor %}", "1order;2route;"),
        ("{% for k, v in values.namespaces %}${{ k }}=${{ v }};{% endfor %}", "dev=a;prod=b;"),
        ("${{ values.namespaces.dev }}", "a"),
        ('{% if values.owner == "team" and not false %}y{% else %}n{% endif %}', "y"),
        ('${{ "y" if values.owner else "n" }}', "y"),
        ("${{ true }}", "true"),
    ],
)
def test_the_language_renders(text: str, expected: str) -> None:
    values = {
        "owner": "team",
        "entities": ["order", "route"],
        "plan": 'a "b" \\',
        "namespaces": {"dev": "a", "prod": "b"},
    }
    assert rendered(text, **values) == expected


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a\n${{ github.sha }}", 2, "`github` is unknown"),
        ("${{ values.colour }}", 1, "`values.colour` is not passed on by the step fetch:template"),
        ("a\n\n{% if %}", 3, "Expected an expression"),
        ("${{ values.owner.upper() }}", 1, "Call is not part of the language"),
        ("${{ values.owner | safe }}", 1, "filter `safe`"),
        ("{% set a = 1 %}", 1, "Assign is not part"),
        ("{% include 'x' %}", 1, "Include is not part"),
        ("{% raw %}x", 1, "Missing end of raw"),
        ("${{ values.owner is defined }}", 1, "Test is not part"),
        ("${{ 1 + 1 }}", 1, "Add is not part"),
        ("${{ values['owner'] }}", 1, "brackets take a constant"),
        ("${{ 'a' if values.owner }}", 1, "an inline `if` needs its `else`"),
        ("{% for a in values.entities if a %}{% endfor %}", 1, "a loop takes neither"),
        ("${{ 1 < 2 }}", 1, "comparisons are"),
        ("${{ 1 == 1 == 1 }}", 1, "comparisons are"),
        ("a\r\n${{ values.owner }}", 1, "line ends must be LF"),
        ("${#items[@]} {# never closed", 1, "`{#` opens a comment"),
    ],
)
def test_text_outside_the_language_is_refused_with_file_and_line(
    text: str, line: int, reason: str
) -> None:
    assert f"skeleton/file:{line}: {reason}" in reasons_of(file=text)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a\nb ${{ values.owner }}", 2, "owner"),
        ("${{ values.owner | dump }}", 1, "owner"),
        ("\n\n${{ values.entities }}", 3, "a list has no text"),
        ("${{ values.namespaces }}", 1, "an object has no text"),
        ("${{ values.plan }}", 1, "null has no text"),
        ("${{ values.entities[7] }}", 1, "7"),
        ("${{ values.namespaces.items }}", 1, "items"),
        ("${{ values.tenant_id.upper }}", 1, "upper"),
        ("${{ values.tenant_id.__class__ }}", 1, "__class__"),
        ("{% for a in values.owner %}{% endfor %}", 1, "owner"),
    ],
)
def test_a_missing_or_structured_value_is_refused_with_file_and_line(
    text: str, line: int, reason: str
) -> None:
    values = {"entities": ["a"], "namespaces": {"dev": "a"}, "plan": None, "tenant_id": "acme"}
    with pytest.raises(TemplateError) as caught:
        rendered(text, **values)
    assert caught.value.reasons[0].startswith(f"skeleton/file:{line}: ")
    assert reason in caught.value.reasons[0]
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"v1beta3", b"v1beta2", "apiVersion is"),
        (b"kind: Template", b"kind: Component", "kind is 'Component'"),
        (b"name: small", b"name: other", "metadata.name is 'other'"),
        (b"1.2.3", b"latest", "not major.minor.patch"),
        (b"  type: domain\n", b"", "spec.type is missing"),
        (b"./skeleton", b"https://example.com", "fetch:template has url"),
        (b"copyWithoutTemplating", b"copyWithoutRender", "option 'copyWithoutRender'"),
        (b"'*.bin'", b"'[a-z]'", "glob '[a-z]' uses more than"),
        (b"fetch:template", b"fetch:plain", "expected one step fetch:template, found 0"),
        (b"description: The tenant", b"title: x", "'tenant_id' has no description"),
        (b"required: [tenant_id", b"required: [nobody", "'nobody' is required but not described"),
        (b"maxLength: 10", b"maxLength: ten", "is not a JSON Schema"),
        (b"pattern: '^[a-z-]+$'", b"pattern: '('", "is not a JSON Schema"),
        (b"kind: Template", b"kind: Template\nkind: Template", "template.yaml:3"),
    ],
)
def test_a_malformed_manifest_is_refused(old: bytes, new: bytes, reason: str) -> None:
    assert old in MANIFEST
    assert reason in reasons_of(MANIFEST.replace(old, new))


def test_a_folder_without_manifest_or_skeleton_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"template\.yaml: the file is missing"):
        parse_template("small", {"skeleton/a": b""})
    with pytest.raises(TemplateError, match="skeleton/: the folder is missing"):
        parse_template("small", {"template.yaml": MANIFEST})


@pytest.mark.parametrize(
    "path", ["../x", "a/../b", "/x", "a//b", "./a", ".git/hooks/x", "a\\b", ""]
)
def test_a_path_that_leaves_the_skeleton_is_refused(path: str) -> None:
    assert "the path leaves the skeleton" in reasons_of(**{path: "x"})


@pytest.mark.parametrize("owner", ["", "..", "/etc", "a/../../b", "a\nb", ".git", ".GIT", "a\\b"])
def test_a_path_that_renders_unsafe_is_refused(owner: str) -> None:
    template = template_of(**{"${{ values.owner }}": "x"})
    with pytest.raises(TemplateError, match="renders to the unsafe path"):
        render_template(template, {"owner": owner})


def test_file_names_are_rendered_and_may_not_collide() -> None:
    template = template_of(**{"src/${{ values.owner | replace('-', '_') }}/a": "x", "src/b/c": ""})
    assert list(render_template(template, {"owner": "my-b"})) == ["src/b/c", "src/my_b/a"]
    twice = template_of(**{"${{ values.owner }}": "x", "b": "y"})
    with pytest.raises(TemplateError, match="two files render to 'b'"):
        render_template(twice, {"owner": "b"})
    with pytest.raises(TemplateError, match="both as a file and as a folder"):
        render_template(template_of(**{"${{ values.owner }}": "", "b/c": ""}), {"owner": "b"})


def test_copied_files_keep_every_byte_and_their_names_are_rendered() -> None:
    raw = b"\x00\xff ${{ values.nobody }} {% broken"
    template = template_of(**{"chart/templates/${{ values.owner }}": raw, "a.bin": raw, "b": "x"})
    out = render_template(template, {"owner": "team"})
    assert out["chart/templates/team"].content == out["a.bin"].content == raw


def test_a_binary_file_must_be_listed() -> None:
    assert "neither UTF-8 text nor listed" in reasons_of(file=b"\xff ${{ values.owner }}")
    assert template_of(file=b"\xff").files[0].content == b"\xff"


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("chart/templates", "chart/templates/a/b.yaml", True),
        ("chart/templates/*", "chart/templates/a.yaml", True),
        ("chart/*.yaml", "chart/a/b.yaml", False),
        ("**/*.png", "a.png", True),
        ("**/*.png", "x/y/a.png", True),
        ("*.png", "x/a.png", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
    ],
)
def test_globs_match_as_in_backstage(glob: str, path: str, expected: bool) -> None:
    assert is_plain_glob(glob)
    assert glob_matches(glob, path) is expected


def test_parameter_problems_are_in_plain_words() -> None:
    problems = check_parameters(
        template_of(),
        {"tenant_id": "acme", "ownr": "x", "owner": "Team", "entities": [1], "plan": "huge"},
    )
    assert [(problem.path, problem.message) for problem in problems] == [
        (("entities", 0), "`entities.0` is a number, expected string"),
        (("owner",), '`owner` is "Team", which does not fit: Team that owns it'),
        (("ownr",), "template `small` has no input `ownr`; did you mean `owner`?"),
        (("plan",), '`plan` is "huge", expected `small`, `large`'),
        (("tenant_id",), "`tenant_id` is given by the draft itself; take it out of `parameters`"),
    ]


def test_a_missing_parameter_is_named_and_good_ones_pass() -> None:
    template = template_of()
    [problem] = check_parameters(template, {"entities": ["a"]})
    assert problem.message == "`owner` is missing: Team that owns it"
    assert check_parameters(template, {"entities": ["a"], "owner": "team"}) == ()
    [long] = check_parameters(template, {"entities": ["a"], "owner": "a-very-long-team"})
    assert long.message == "`owner` is too long or too large: at most 10"


def test_defaults_fill_absent_parameters_only() -> None:
    assert complete_parameters(template_of(), {"owner": "a"}) == {"owner": "a", "plan": "small"}
    assert complete_parameters(template_of(), {"plan": "large"}) == {"plan": "large"}


@pytest.mark.parametrize("value", [float("nan"), 0.5, 2**53, object(), {1: "a"}, "\ud800"])
def test_a_value_that_json_cannot_hold_exactly_is_refused(value: object) -> None:
    with pytest.raises(TemplateError, match=r"values\.owner"):
        rendered("x", owner=value)


def test_all_faults_of_a_render_are_listed() -> None:
    template = template_of(a="${{ values.owner }}", b="\n${{ values.plan }}")
    with pytest.raises(TemplateError) as caught:
        render_template(template, {})
    assert [reason.split(": ")[0] for reason in caught.value.reasons] == [
        "skeleton/a:1",
        "skeleton/b:2",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_values_are_never_templates(text: str) -> None:
    hostile = text + "${{ values.owner }}{% if %}{# "
    assert rendered("<${{ values.owner }}>", owner=hostile) == f"<{hostile}>"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_dump_round_trips_through_json(value: object) -> None:
    assert json.loads(rendered("${{ values.owner | dump }}", owner=value)) == value


def test_dump_equals_javascript_s_json() -> None:
    # JSON.stringify of the same value, keys that are array indices first.
    value = {"b": "é\u2028\x7f\x01\n/", "10": 1, "9": [True, None, 1.0], "a": {}}
    expected = '{"9":[true,null,1],"10":1,"b":"é\u2028\x7f\\u0001\\n/","a":{}}'
    assert rendered("${{ values.owner | dump }}", owner=value) == expected


ONE_LINE = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Cn"], exclude_characters="\ufeff")
)


@given(ONE_LINE)
def test_dumped_text_is_the_same_string_in_yaml_and_toml(text: str) -> None:
    import tomllib

    line = rendered("key: ${{ values.owner | dump }}\nnext: 1\n", owner=text)
    assert yaml.safe_load(line) == {"key": text, "next": 1}
    assert tomllib.loads(f"key = {json_text(text)}\nnext = 1") == {"key": text, "next": 1}
