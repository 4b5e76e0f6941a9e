"""A script on the published client of the service: one session of a recording, as its users write them.

Run with `IHPROTO_URL`, `IHPROTO_KEY` and `IHPROTO_REVISION` in the environment, and the files to send as arguments.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import cast

import interhumanai
from interhumanai.stream import StreamApiVersion, StreamClient


async def main(pieces: list[Path]) -> None:
    """Send the pieces, ask for the end, and read to it."""
    client = interhumanai.InterhumanClient(
        access_token=os.environ["IHPROTO_KEY"], base_url=os.environ["IHPROTO_URL"].replace("ws", "http", 1)
    )
    stream: StreamClient = client.stream(api_version=cast(StreamApiVersion, os.environ["IHPROTO_REVISION"]))
    async with stream:
        await stream.wait_for_session_ready()
        await stream.update_config(include=["conversation_quality_overall"])
        for piece in pieces:
            await stream.send_video(piece.read_bytes())
            # A camera takes its time as well: otherwise all is said before anything is heard.
            await asyncio.sleep(0.1)
        await stream.request_close()
        async for event in stream:
            print(event.type)
        print(await stream.wait_closed())


asyncio.run(main([Path(name) for name in sys.argv[1:]]))
