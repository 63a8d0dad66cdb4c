"""A certificate of a test, and a small reverse proxy with TLS in front of a page."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "septet.example"


def make_certificate(folder: Path, stem: str = "page") -> tuple[Path, Path]:
    """Write a certificate that is its own authority, and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    names = [
        x509.DNSName(NAME), x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / f"{stem}.crt", folder / f"{stem}.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.touch(mode=0o600)
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    return certificate, secret


@contextmanager
def reverse_proxy(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """Yield the port of a proxy over TLS that passes requests on to a port, as nginx would."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop, ready, done = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")[:-2]
        named = {each.partition(":")[0].lower(): each.partition(":")[2].strip() for each in lines}
        before = named.get("x-forwarded-for", "")
        peer = writer.get_extra_info("peername")[0]
        ours = ("x-forwarded", "connection")
        kept = [each for each in lines if not each.lower().startswith(ours)]
        kept += [
            "Connection: close", "X-Forwarded-Proto: https", f"X-Forwarded-Host: {named['host']}",
            f"X-Forwarded-For: {before + ', ' if before else ''}{peer}",
        ]  # fmt: skip
        back, onward = await asyncio.open_connection("127.0.0.1", port)
        onward.write("\r\n".join([*kept, "", ""]).encode("latin-1"))
        onward.write(await reader.readexactly(int(named.get("content-length", "0"))))
        writer.write(await back.read())
        onward.close()
        writer.close()

    async def listen() -> None:
        async with await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context) as server:
            ports.append(server.sockets[0].getsockname()[1])
            ready.set()
            await done.wait()

    def work() -> None:
        loop.run_until_complete(listen())

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(60)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
