"""One plain HTTP request to the service beside the stream, whatever may be wrong with it, and the answer as it is.

`ihproto.anyio.Api` sends nothing that the documents do not allow, and tells of an answer only what it means.
"""

from __future__ import annotations

import contextlib
import secrets
import ssl
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream

from ihproto.anyio import ConnectError
from ihproto.wire import HttpResponse, MultipartForm, RequestConnection, RequestFailed, Target
from ihproto_conformance.samples import Sample
from ihproto_conformance.server.exam import Missing, ServerUnderTest


def service(target: ServerUnderTest) -> str:
    """The URL of the service whose stream endpoint is judged."""
    parts = urlsplit(target.url)
    return f"{parts.scheme}://{parts.netloc}"


async def ask(
    target: ServerUnderTest, method: str, path: str, content_type: str, body: bytes, credential: str | None = None
) -> HttpResponse:
    """Make a request, and return what is answered.

    Args:
        target: The server under test.
        method: The method.
        path: The path.
        content_type: What the body is.
        body: The body.
        credential: Sent as `Authorization: Bearer`; None for none.

    Raises:
        ConnectError: If the server cannot be reached.
        Missing: If it does not answer in time, or not in HTTP.
    """
    endpoint = Target.parse_service(service(target), allow_plaintext=target.allow_plaintext)
    wire = RequestConnection(
        endpoint, method, path, credential=credential, content_type=content_type, content_length=len(body)
    )
    with anyio.move_on_after(target.patience):
        async with await _dial(endpoint) as stream:
            wire.send_body(body)
            wire.end_body(anyio.current_time())
            async with anyio.create_task_group() as tasks:
                # A server may answer before it has taken everything.
                tasks.start_soon(_send, stream, wire.data_to_send(anyio.current_time()))
                await _receive(stream, wire)
                tasks.cancel_scope.cancel()
    for event in wire.events():
        if isinstance(event, RequestFailed):
            raise Missing(f"{method} {path}: {event.what}")
        return event
    raise Missing(f"{method} {path} was not answered within {target.patience:g} s")


async def upload(target: ServerUnderTest, path: str, sample: Sample, credential: str | None) -> HttpResponse:
    """Upload a file, and return what is answered; see `ask`."""
    form = MultipartForm(
        secrets.token_hex(16),
        fields=(),
        name="file",
        filename="video",
        content_type="application/octet-stream",
        file_size=sample.size,
    )
    return await ask(target, "POST", path, form.content_type, form.head + sample.data + form.tail, credential)


async def _dial(endpoint: Target) -> ByteStream:
    try:
        if not endpoint.tls:
            return await anyio.connect_tcp(endpoint.host, endpoint.port)
        context = ssl.create_default_context()
        return await anyio.connect_tcp(endpoint.host, endpoint.port, ssl_context=context, tls_standard_compatible=False)
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise ConnectError(f"{endpoint.authority} cannot be reached: {error or type(error).__name__}") from None


async def _send(stream: ByteStream, data: bytes) -> None:
    # What a server has answered that takes no more may still be there to be read.
    with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await stream.send(data)


async def _receive(stream: ByteStream, wire: RequestConnection) -> None:
    while not wire.finished:
        try:
            data = await stream.receive()
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            wire.receive_eof(anyio.current_time())
        else:
            wire.receive_data(data, anyio.current_time())
