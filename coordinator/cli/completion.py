"""`osbench completion SHELL`: the script that completes commands and options with the tab key."""

import click

EPILOG = """\b
Examples:
  osbench completion bash > ~/.local/share/bash-completion/completions/osbench
  osbench completion zsh > "${fpath[1]}/_osbench"
  osbench completion fish > ~/.config/fish/completions/osbench.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes osbench in a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, f"click has no completion for {shell}"
    click.echo(found(context.find_root().command, {}, "osbench", "_OSBENCH_COMPLETE").source())
