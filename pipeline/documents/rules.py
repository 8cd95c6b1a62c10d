"""Rules about a request file as YAML, before its content is interpreted.

An example that cannot be text starts with `bytes:`; the rest is Python escapes for raw bytes.
"""

from __future__ import annotations

from pipeline.diagnostics import Rule, Subject, register

DOCUMENT_BYTES_MAXIMUM = 1024 * 1024
DEPTH_MAXIMUM = 32
NODES_MAXIMUM = 20_000

_PASSES = "kind: Tenant\ntenant_id: acme\n"


def _rule(id: str, summary: str, *, why: str, fix: str, fails: str, passes: str = _PASSES) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.DOCUMENT, fails, passes))


YAML_NOT_UTF8 = _rule(
    "yaml-not-utf8",
    "A request file is UTF-8 text.",
    why="readers would decode the bytes differently",
    fix="save the file as UTF-8",
    fails="bytes:kind: Tenant\\ntenant_id: caf\\xe9\\n",
    passes="kind: Tenant\ntenant_id: café\n",
)
YAML_BYTE_ORDER_MARK = _rule(
    "yaml-byte-order-mark",
    "A request file has no byte order mark.",
    why="it is invisible, and some readers make it part of the first key",
    fix="save the file as UTF-8 without a byte order mark",
    fails="bytes:\\xef\\xbb\\xbfkind: Tenant\\n",
)
YAML_CONTROL_CHARACTER = _rule(
    "yaml-control-character",
    "Text has no control characters except tab and line feed.",
    why="terminals and logs execute control characters instead of showing them",
    fix="remove the character; use `content_base64` for files that contain such bytes",
    fails='kind: Tenant\ntenant_id: "ac\\x1b[2Kme"\n',
)
YAML_CARRIAGE_RETURN = _rule(
    "yaml-carriage-return",
    "Lines end with LF or CR LF, never with a lone CR.",
    why="YAML starts a new line there and a diff doesn't, so a reviewer misses what follows",
    fix="end the line with a line feed",
    fails="bytes:kind: Tenant # harmless\\rtenant_id: acme\\n",
    passes="bytes:kind: Tenant\\r\\ntenant_id: acme\\r\\n",
)
YAML_LINE_SEPARATOR = _rule(
    "yaml-line-separator",
    "Text has no U+0085, U+2028 or U+2029.",
    why="YAML 1.1 starts a new line there and YAML 1.2 doesn't, so two readers see two files",
    fix="replace it with a line feed or a space",
    fails="kind: Tenant # harmless\u2028tenant_id: acme\n",
)
YAML_BIDI_CHARACTER = _rule(
    "yaml-bidi-character",
    "Text has no characters that change the direction of writing.",
    why="they show a reviewer another text than the machine reads",
    fix="remove the character",
    fails="kind: Tenant\ntenant_id: acme # \u202e\n",
)
YAML_INVISIBLE_CHARACTER = _rule(
    "yaml-invisible-character",
    "Text has no invisible characters.",
    why="two texts that look the same would differ, and hidden text could instruct a machine",
    fix="remove the character",
    fails="kind: Tenant\ntenant_id: ac\u200bme\n",
)
YAML_SURROGATE = _rule(
    "yaml-surrogate",
    "An escape names a whole character, not half of a surrogate pair.",
    why="half a pair is not a character, and readers replace it, drop it or fail",
    fix="write the character itself, or one `\\U` escape with its full number",
    fails='kind: Tenant\ntenant_id: "\\ud83d"\n',
    passes='kind: Tenant\ntenant_id: "\\U0001F600"\n',
)
YAML_TOO_LARGE = _rule(
    "yaml-too-large",
    "A request file has at most 1 MiB.",
    why="nobody reviews a file of that size, and every run reads it",
    fix="split the request; large files don't belong in requests",
    fails="bytes:kind: Tenant\\n" + "#" * DOCUMENT_BYTES_MAXIMUM + "\\n",
)
YAML_TOO_DEEP = _rule(
    "yaml-too-deep",
    f"Mappings and lists nest at most {DEPTH_MAXIMUM} levels deep.",
    why="deep nesting exhausts readers, and no request needs it",
    fix="flatten the structure",
    fails="kind: " + "[" * DEPTH_MAXIMUM + "]" * DEPTH_MAXIMUM + "\n",
    passes="kind: " + "[" * (DEPTH_MAXIMUM - 1) + "]" * (DEPTH_MAXIMUM - 1) + "\n",
)
YAML_TOO_MANY_NODES = _rule(
    "yaml-too-many-nodes",
    f"A request file has at most {NODES_MAXIMUM:,} keys and values.",
    why="a small file can hold a huge number of tiny values, and every run pays for each",
    fix="split the request",
    fails="kind: [" + "1," * NODES_MAXIMUM + "]\n",
)
YAML_SYNTAX = _rule(
    "yaml-syntax",
    "A request file is valid YAML.",
    why="a file that can't be parsed can't be judged",
    fix="fix the YAML at this place; often it is indentation or a missing quote",
    fails="kind: Tenant\ntenant_id: [acme\n",
)
YAML_EMPTY = _rule(
    "yaml-empty",
    "A request file is not empty.",
    why="an empty file is more likely a mistake",
    fix="write the request, or delete the file",
    fails="# nothing here\n",
)
YAML_NOT_A_MAPPING = _rule(
    "yaml-not-a-mapping",
    "The top level of a request file is a mapping.",
    why="every request starts with its fields, `kind` among them",
    fix="write `field: value` lines at the top level",
    fails="- kind: Tenant\n",
)
YAML_MULTIPLE_DOCUMENTS = _rule(
    "yaml-multiple-documents",
    "A request file holds one document.",
    why="a reader that takes only the first or the last document misses the others",
    fix="put each request into its own file",
    fails="kind: Tenant\n---\nkind: Tenant\n",
    passes="---\nkind: Tenant\n",
)
YAML_DIRECTIVE = _rule(
    "yaml-directive",
    "A request file has no YAML directives.",
    why="a directive changes the YAML version or the meaning of tags",
    fix="delete the line that starts with `%`",
    fails="%YAML 1.1\n---\nkind: Tenant\n",
    passes="---\nkind: Tenant\n",
)
YAML_TAG = _rule(
    "yaml-tag",
    "Tags are not allowed.",
    why="a tag makes a reader build something other than the text shows, or even run code",
    fix="delete the tag; quote the value if it must be text",
    fails="kind: !!python/name:os.system Tenant\n",
)
YAML_ANCHOR = _rule(
    "yaml-anchor",
    "Anchors are not allowed.",
    why="an anchor lets one line change many places that a diff doesn't show",
    fix="delete the anchor and write the value where it is needed",
    fails="kind: &k Tenant\n",
    passes='kind: "&k"\n',
)
YAML_ALIAS = _rule(
    "yaml-alias",
    "Values are written out; aliases are not allowed.",
    why="aliases can expand without bound, and hide a value",
    fix="write the value itself",
    fails="kind: &k Tenant\ntenant_id: *k\n",
    passes='kind: Tenant\ntenant_id: "*k"\n',
)
YAML_MERGE_KEY = _rule(
    "yaml-merge-key",
    "Merge keys (`<<`) are not allowed.",
    why="YAML 1.1 readers merge and YAML 1.2 readers don't, so two readers see two mappings",
    fix="write the fields out",
    fails="kind: Tenant\nquota:\n  <<: {cpu: 4}\n",
    passes="kind: Tenant\nquota:\n  cpu: 4\n",
)
YAML_DUPLICATE_KEY = _rule(
    "yaml-duplicate-key",
    "Keys are unique in a mapping, also to the eye.",
    why="some readers keep the first, others the last, without a warning",
    fix="delete one of the two",
    fails="kind: Tenant\nkind: Platform\n",
)
YAML_KEY_NOT_STRING = _rule(
    "yaml-key-not-string",
    "Keys are strings.",
    why="readers turn numbers, booleans and nulls into different strings",
    fix="quote the key",
    fails="kind: Tenant\nquota: {1: small}\n",
    passes='kind: Tenant\nquota: {"1": small}\n',
)
YAML_NUMBER_RANGE = _rule(
    "yaml-number-range",
    "Numbers are finite and exact: 64-bit integers, double-precision floats.",
    why="readers round, overflow or fail on others",
    fix="write a number that fits; quote it if it is text, such as a commit id",
    fails="kind: Tenant\npods: 9223372036854775808\n",
    passes="kind: Tenant\npods: 9223372036854775807\n",
)
