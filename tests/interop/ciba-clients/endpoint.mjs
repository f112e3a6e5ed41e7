// The notification endpoint of a ping or push client: https on localhost, with the test's certificate.

import { createServer } from "node:https";
import { text } from "node:stream/consumers";

/** Listens; `call` waits for the next POST and returns its path, its headers and its JSON. */
export const listen = async ({ certificate, key }) => {
  const calls = [];
  let wake = () => {};
  const server = createServer({ cert: certificate, key }, async (request, response) => {
    calls.push({ path: request.url, headers: request.headers, body: JSON.parse(await text(request)) });
    response.writeHead(204).end();
    wake();
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const call = async () => {
    while (calls.length === 0) await new Promise((resolve) => (wake = resolve));
    return calls.shift();
  };
  const close = () => server.close();
  return { url: `https://localhost:${server.address().port}/cb`, call, close, calls };
};
