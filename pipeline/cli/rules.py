"""`pipeline rules` and `pipeline explain`: the rules, and the reasons for them."""

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
    from pipeline.models.outputs import RuleList
    from pipeline.render.rules import render_rule_list, rule_item
    from pipeline.rules import load_rules

    found = load_rules()
    if session.is_json:
        session.write_document(RuleList(items=tuple(map(rule_item, found.values()))))
    else:
        session.write(render_rule_list(found))
    return 0


@click.command()
@click.argument("code")
@format_option("text", "json")
@pass_session
def explain(session: Session, code: str) -> int:
    """Explain a rule: why it exists, how to comply, examples.

    CODE is what stands in the brackets of a finding, as in `error[yaml-anchor]`, or the code of
    any other error.
    """
    from pipeline.errors import ERRORS
    from pipeline.render.rules import error_document, render_error, render_rule, rule_document
    from pipeline.rules import load_rules

    found = load_rules()
    rule = found.get(code)
    if rule is None and code in ERRORS:
        if session.is_json:
            session.write_document(error_document(code))
        else:
            session.write(render_error(code))
        return 0
    if rule is None:
        near = difflib.get_close_matches(code, (*found, *ERRORS), n=1)
        meant = f"did you mean `{near[0]}`? " if near else ""
        raise UsageFault(f"there is no rule `{code}`", help=f"{meant}`pipeline rules` lists all")
    if session.is_json:
        session.write_document(rule_document(rule))
    else:
        session.write(render_rule(rule))
    return 0
