"""A command line that ends every error of ours in one line on standard error and the error's exit code.

Rules: exit codes are those of common/error; a wrong command line ends with 1, as any error does. No traceback for what a
user did.
"""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from osbench.common.error import AbortedError, OsbenchError


class ErrorsToExitCodes(click.Group):
    """A group of commands; a command that returns a number ends with it.

    Attributes:
        said_before: what stands before an error's own words.
    """

    said_before = "Error: "

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            code = OsbenchError.exit_code
        except click.Abort:
            click.echo("Aborted.", err=True)
            code = AbortedError.exit_code
        except OsbenchError as error:
            click.echo(self.in_words(error), err=True)
            code = error.exit_code
        sys.exit(code if isinstance(code, int) else 0)

    def in_words(self, error: OsbenchError) -> str:
        """The line of an error."""
        return f"{self.said_before}{error}"
