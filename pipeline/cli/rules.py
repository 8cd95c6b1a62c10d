"""`pipeline rules` and `pipeline explain`: what is judged, and why."""

from __future__ import annotations

import difflib

import click

from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault


@click.command()
@format_option("text", "json")
@pass_session
def rules(session: Session) -> int:
    """List the rules that requests and releases are judged by."""
    from pipeline.render.rules import render_rule_list, rule_values
    from pipeline.rules import load_rules

    found = load_rules()
    if session.is_json:
        session.write_document(
            {
                "apiVersion": "pipeline.ameide.io/v1",
                "kind": "RuleList",
                "items": [rule_values(rule) for rule in found.values()],
            }
        )
    else:
        session.write(render_rule_list(found))
    return 0


@click.command()
@click.argument("code")
@format_option("text", "json")
@pass_session
def explain(session: Session, code: str) -> int:
    """Explain one rule: why it exists, how to comply, examples.

    CODE is what stands in the brackets of a finding, as in `error[yaml-anchor]`.
    """
    from pipeline.render.rules import render_rule, rule_values
    from pipeline.rules import load_rules

    found = load_rules()
    rule = found.get(code)
    if rule is None:
        near = difflib.get_close_matches(code, found, n=1)
        meant = f"did you mean `{near[0]}`? " if near else ""
        raise UsageFault(f"there is no rule `{code}`", help=f"{meant}`pipeline rules` lists all")
    if session.is_json:
        session.write_document(
            {"apiVersion": "pipeline.ameide.io/v1", "kind": "Rule", **rule_values(rule)}
        )
    else:
        session.write(render_rule(rule))
    return 0
