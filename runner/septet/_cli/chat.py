"""`septet chat`: reports, halts and resumes runs by Telegram."""

from __future__ import annotations

from pathlib import Path

import click

from septet._cli import options
from septet._cli.terminal import echo

__all__ = ["chat"]


@click.command(
    help="Answer /status, /pnl, /why, /halt and /resume in the Telegram chats that "
    "~/.config/septet/chat.toml lists. A process of its own: runs go on without it. Ctrl-C ends it."
)
@options.runs_folder
@click.option(
    "--api", default="https://api.telegram.org", show_default=True, metavar="ADDRESS",
    help="Another address of the API: of this machine only, such as http://127.0.0.1:8081.",
)  # fmt: skip
def chat(root: Path, api: str) -> None:
    """Serve the permitted chats."""
    import asyncio

    from septet._chat.bot import Bot
    from septet._chat.settings import chat_file, read_settings
    from septet._chat.state import Offsets
    from septet._chat.telegram import Telegram, checked_address
    from septet._journal.state_folder import state_folder

    address, settings = checked_address(api), read_settings(chat_file())
    offsets = Offsets(state_folder(), settings.token)

    def notify(text: str) -> None:
        echo(text, err=True)

    async def serve() -> None:
        async with Telegram(settings.token, address) as telegram:
            await Bot(telegram, settings, offsets, root, notify).run()

    notify(f"answering {len(settings.chats)} listed chats; Ctrl-C ends it")
    try:
        asyncio.run(serve())
    finally:
        offsets.close()
