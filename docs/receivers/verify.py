"""A receiver of webhooks in Python. Run it with

pip install -r requirements.txt
WEBHOOK_SECRET=whsec_… LISTEN=127.0.0.1:3000 python verify.py
"""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open

    def do_POST(self):
        # The signature is over the bytes as they came: read them before
        # anything parses them.
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            cdr = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            return self.answer(401)
        # Keep it, then answer, then work on it.
        keep(self.headers["webhook-id"], self.headers["aftercall-event-type"], cdr)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()


def keep(webhook_id, event_type, cdr):
    """Stores a webhook under its id: one that comes twice changes nothing. In SQL:
    insert into webhooks (id, type, body) values (…) on conflict (id) do nothing."""
    print(event_type, webhook_id, cdr.get("CallId"))


host, port = os.environ["LISTEN"].rsplit(":", 1)
ThreadingHTTPServer((host, int(port)), Receiver).serve_forever()
