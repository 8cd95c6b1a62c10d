"""`pipeline completion`: the script that completes words in a shell."""

from __future__ import annotations

import click

from pipeline.cli.session import Session, pass_session


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_session
def completion(session: Session, shell: str) -> int:
    """Print the completion script for a shell.

    bash: add `eval "$(pipeline completion bash)"` to ~/.bashrc; zsh: the same with zsh in
    ~/.zshrc; fish: `pipeline completion fish > ~/.config/fish/completions/pipeline.fish`.
    """
    from click.shell_completion import get_completion_class

    from pipeline.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for `{shell}`")
    script = found(cli, {}, "pipeline", "_PIPELINE_COMPLETE")
    # Not `source()`, which for bash would start a shell to get its version.
    session.write(script.source_template % script.source_vars())
    return 0
