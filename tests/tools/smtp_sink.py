"""A mail server for tests: takes mail on loopback with aiosmtpd and prints what it gets as JSON lines.

usage: smtp_sink.py none|starttls|tls [CERTIFICATE KEY USER PASSWORD]

It prints {"event":"listening","port":…} once, and {"event":"mail","tls","user","from","to","content"} for each mail.
With a user it takes mail only after that user's login.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def say(**event):
    print(json.dumps(event), flush=True)


class Sink:
    async def handle_DATA(self, server, session, envelope):
        login = session.auth_data.login.decode() if session.auth_data else None
        say(
            event="mail",
            tls=session.ssl is not None or security == "tls",
            user=login,
            **{"from": envelope.mail_from, "to": envelope.rcpt_tos},
            content=envelope.content.decode(),
        )
        return "250 taken"


def authenticator(server, session, envelope, mechanism, data):
    matches = (data.login.decode(), data.password.decode()) == credentials
    return AuthResult(success=matches, auth_data=data)


security, *rest = sys.argv[1:]
context = None
if security != "none":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(rest[0], rest[1])
credentials = tuple(rest[2:4])
options = {"hostname": "localhost", "enable_SMTPUTF8": True}
if credentials:
    options |= {"authenticator": authenticator, "auth_required": True}
    options |= {"auth_require_tls": security == "starttls"}
if security == "starttls":
    options |= {"tls_context": context, "require_starttls": True}


async def main():
    loop = asyncio.get_running_loop()
    factory = lambda: SMTP(Sink(), loop=loop, **options)
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context if security == "tls" else None)
    say(event="listening", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main())
