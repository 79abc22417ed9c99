"""The command `completion SHELL` of each of our scripts: prints what completes commands and options with the tab key."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

SHELLS = ("bash", "zsh", "fish")


def complete_variable(script: str) -> str:
    """Environment variable by which a shell asks a script for completions (click's own rule)."""
    return f"_{script.upper().replace('-', '_')}_COMPLETE"


def completion_command(script: str) -> click.Command:
    """The command for one script.

    Args:
        script: as people type it, e.g. `osbench-agent`.
    """
    epilog = f"""\b
Examples:
  {script} completion bash > ~/.local/share/bash-completion/completions/{script}
  {script} completion zsh > "${{fpath[1]}}/_{script}"
  {script} completion fish > ~/.config/fish/completions/{script}.fish
"""

    @click.command("completion", epilog=epilog, help=f"Print the script that completes {script} in a shell.")
    @click.argument("shell", type=click.Choice(SHELLS))
    @click.pass_context
    def completion(context: click.Context, shell: str) -> None:
        from click.shell_completion import get_completion_class

        found: type[ShellComplete] | None = get_completion_class(shell)
        assert found is not None, f"click has no completion for {shell}"
        click.echo(found(context.find_root().command, {}, script, complete_variable(script)).source())

    return completion
