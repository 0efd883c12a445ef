"""A mail server for tests: says what it took, a line of JSON each.

Whom it does not take: refused@ (550), later@ (451, the first time only). It hangs up once
instead of answering a mail to hangup…@.
"""
import asyncio
import base64
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])
seen = set()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("refused@"):
            return "550 5.1.1 there is nobody of this name"
        if address.startswith("later@") and address not in seen:
            seen.add(address)
            return "451 4.7.1 greylisted, come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if envelope.rcpt_tos[0].startswith("hangup") and envelope.rcpt_tos[0] not in seen:
            seen.add(envelope.rcpt_tos[0])
            server.transport.abort()
            return "421 bye"
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None, "user": session.authenticated,
            "peer": session.peer[1], "data": base64.b64encode(envelope.original_content).decode(),
        }), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login.decode() == options["user"] and data.password.decode() == options["password"]
    return AuthResult(success=good, handled=False)


async def main():
    context = None
    if options.get("cert"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["cert"], options["key"])

    def protocol():
        auth = {}
        if options.get("user"):
            auth = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": context is not None and not options.get("implicit")}
        starts = context is not None and not options.get("implicit")
        return SMTP(Handler(), hostname="mail.test", tls_context=context if starts else None, require_starttls=starts, **auth)

    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", options.get("port", 0), ssl=context if options.get("implicit") else None)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
