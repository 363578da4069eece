// A receiver of webhooks in Node. Run it with
//
//   npm ci
//   WEBHOOK_SECRET=whsec_… LISTEN=127.0.0.1:3000 node verify.mjs
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);

createServer(async (req, res) => {
  // The signature is over the bytes as they came: read them before anything
  // parses them (in Express: express.raw({ type: "*/*", limit: "8mb" })).
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  let cdr;
  try {
    cdr = webhook.verify(Buffer.concat(chunks), req.headers);
  } catch {
    return res.writeHead(401).end();
  }
  // Keep it, then answer, then work on it.
  keep(req.headers["webhook-id"], req.headers["aftercall-event-type"], cdr);
  res.writeHead(204).end();
}).listen(process.env.LISTEN.split(":")[1], process.env.LISTEN.split(":")[0]);

// Stores a webhook under its id: one that comes twice changes nothing. In SQL:
// insert into webhooks (id, type, body) values (…) on conflict (id) do nothing.
function keep(id, eventType, cdr) {
  console.log(eventType, id, cdr.CallId);
}
