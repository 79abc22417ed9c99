"""A process of our own that lives as long as its input is open, started from a module and spoken to over pipes.

Rules: never forked, so that no socket of ours is in it; a session of its own, so that Ctrl-C in the terminal reaches only
the coordinator, which decides what becomes of it.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process


async def start_child(module: str) -> Process:
    """Start a module, with pipes to and from it; its standard error is ours."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=PIPE, stdout=PIPE, limit=2**26, start_new_session=True
    )


async def let_go(child: Process, leave_s: float) -> None:
    """Close its input and wait for its end; after `leave_s` seconds it is killed."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        async with asyncio.timeout(leave_s):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
