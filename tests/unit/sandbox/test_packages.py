"""What a lock may hold: pinned packages with hashes, and nothing that selects what runs."""

import pytest

from pipeline.sandbox.packages import MAX_REQUIREMENTS, LockRefused, parse_lock

HASH = "--hash=sha256:" + "0a" * 32


def test_pinned_packages_are_read_in_order() -> None:
    lock = f"""# made by a tool
pytest==8.4.0 \\
    {HASH} \\
    {HASH.replace("0a", "1b")}
    # via something

Typing_Extensions[x,y]==4.0.1.post1 ; python_full_version < '3.15' and (a != "b") {HASH}  # why
zope.interface==1!2.0+local.1 {HASH}
"""
    found = parse_lock(lock.encode())
    assert [requirement.name for requirement in found] == [
        "pytest",
        "typing-extensions",
        "zope-interface",
    ]
    assert " ".join(found[0].line.split()) == f"pytest==8.4.0 {HASH} {HASH.replace('0a', '1b')}"
    assert "#" not in found[1].line


def test_an_empty_lock_pins_nothing() -> None:
    assert parse_lock(b"# nothing\n\n") == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a==1", "line 1: `a` has no `--hash=sha256:`"),
        (f"a {HASH}", "line 1: not `name==version`"),
        (f"a>=1 {HASH}", "line 1: not"),
        (f"a==1.* {HASH}", "line 1: not"),
        (f"a===1 {HASH}", "line 1: not"),
        (f"a==1,<2 {HASH}", "line 1: not"),
        ("a==1 --hash=md5:" + "0" * 32, "line 1: not"),
        ("a==1 --hash=sha256:" + "0" * 63, "line 1: not"),
        (f"a==1 --hash=sha256:{'0A' * 32}", "line 1: not"),
        (f"a==1 {HASH} --global-option=x", "line 1: not"),
        (f"a==1 --index-url=x {HASH}", "line 1: not"),
        (f"a==1 ; python_version > '3' --pre {HASH}", "line 1: not"),
        (f"a==1 ; python_version > '3' -r x {HASH}", "line 1: not"),
        (f"a @ file:///a.whl {HASH}", "line 1: not"),
        ("a @ https://example.com/a.whl", "line 1: not"),
        ("https://example.com/a.whl", "line 1: not"),
        ("git+https://example.com/a", "line 1: not"),
        ("./a", "line 1: not"),
        ("../a.whl", "line 1: not"),
        ("${SECRET}==1 " + HASH, "line 1: not"),
        ("-r other.txt", "line 1: options"),
        ("-e .", "line 1: options"),
        ("  --index-url https://example.com", "line 1: options"),
        ("--index-url \\\n https://example.com", "line 1: options"),
        ("--find-links x", "line 1: options"),
        ("-c constraints.txt", "line 1: options"),
        (f"a==1 {HASH}\nA==2 {HASH}", "line 2: `a` is pinned twice"),
        ("a==1 \\\n# no\n" + HASH, "line 2: a comment inside"),
        ("a==1 \\", "line 1: it goes on after the end"),
        (f"a==1\x0c--pre {HASH}", "line 1: `a` has no"),
        (f"é==1 {HASH}", "other characters than ASCII"),
        ("#" * (1024 * 1024 + 1), "larger than 1048576 bytes"),
        (
            "\n".join(f"a{n}==1 {HASH}" for n in range(MAX_REQUIREMENTS + 1)),
            f"more than {MAX_REQUIREMENTS} packages",
        ),
    ],
)
def test_any_other_line_of_a_lock_is_refused(line: str, reason: str) -> None:
    with pytest.raises(LockRefused) as caught:
        parse_lock(line.encode())
    assert reason in caught.value.message


def test_a_package_may_be_pinned_once_for_each_marker() -> None:
    lock = f"a==1 ; x < '3' {HASH}\na==2 ; x >= '3' {HASH}\n"
    assert [requirement.name for requirement in parse_lock(lock.encode())] == ["a", "a"]
