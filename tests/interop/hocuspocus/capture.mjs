#!/usr/bin/env node
// Records what the real provider and the real server say to each other and
// prints the frames as the test-vector array kept in
// device-proto/tests/hocuspocus-vectors.json.
//
//   node capture.mjs > vectors.json          (about 25 s; a note a scenario on stderr)
//   node capture.mjs success-empty           only the scenarios named
//
// Everything runs in this process: server, provider, and between them a proxy
// that notes each WebSocket message and passes it on. Yjs client ids are fixed
// (provider 1, server 2), so a second run gives the same bytes, apart from the
// order in which the two directions interleave.
//
// Scenarios whose name starts with "probe-" use a bare WebSocket in place of
// the provider, to see what the server does with frames no provider sends.

import { createHash } from "node:crypto";
import { Server } from "@hocuspocus/server";
import { HocuspocusProvider, HocuspocusProviderWebsocket } from "@hocuspocus/provider";
import { WebSocket, WebSocketServer } from "ws";
import * as Y from "yjs";
import { annotate } from "./frames.mjs";

const NAME = "req-7Q2m"; // stands for a requestId
const CHALLENGE = Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString("base64url");
const VERIFIER = createHash("sha256").update(CHALLENGE, "utf8").digest("base64url");
const SEALED = "v1.c2VhbGVk"; // stands for a sealed token

console.error = console.warn = console.log = () => {}; // the server logs each refused frame, yjs remarks on the fixed ids
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const vectors = [];

async function startServer(extra = {}) {
  const server = new Server({
    port: 0,
    address: "127.0.0.1",
    quiet: true,
    stopOnSignals: false,
    async onAuthenticate({ token, connectionConfig }) {
      if (createHash("sha256").update(token, "utf8").digest("base64url") !== VERIFIER) throw Object.assign(new Error(""), extra.denyWith);
      connectionConfig.readOnly = Boolean(extra.readOnly);
    },
    async onLoadDocument({ document }) {
      document.clientID = 2;
      extra.load?.(document);
    },
    async onStateless({ connection, payload }) {
      if (payload === "echo me") connection.sendStateless("echoed");
    },
    ...extra.config,
  });
  // port 0 counts as "not given" for Server.listen(), so it is set in the configuration
  await server.listen();
  return server;
}

/** A pass-through that notes each message, close frame and upgrade request. */
function startProxy(target, note) {
  const wss = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  wss.on("connection", (near, request) => {
    note({ direction: "client->server", upgrade: { path: request.url, "sec-websocket-protocol": request.headers["sec-websocket-protocol"] ?? null, origin: request.headers.origin ?? null } });
    const far = new WebSocket(target() + request.url);
    const early = [];
    const pass = (to, data, isBinary) => to.readyState === WebSocket.OPEN && to.send(data, { binary: isBinary });
    near.on("message", (data, isBinary) => {
      note({ direction: "client->server", data, isBinary });
      far.readyState === WebSocket.CONNECTING ? early.push([data, isBinary]) : pass(far, data, isBinary);
    });
    far.on("open", () => early.forEach(([data, isBinary]) => pass(far, data, isBinary)));
    far.on("message", (data, isBinary) => {
      note({ direction: "server->client", data, isBinary });
      pass(near, data, isBinary);
    });
    const legal = (code) => code === 1000 || code >= 3000 || (code >= 1007 && code <= 1011);
    near.on("close", (code, reason) => {
      if (!far.closeNoted) note({ direction: "client->server", close: { code, reason: reason.toString() } });
      near.closeNoted = true;
      legal(code) ? far.close(code, reason) : code === 1005 ? far.close() : far.terminate();
    });
    far.on("close", (code, reason) => {
      if (!near.closeNoted) note({ direction: "server->client", close: { code, reason: reason.toString() } });
      far.closeNoted = true;
      legal(code) ? near.close(code, reason) : code === 1005 ? near.close() : near.terminate();
    });
    far.on("error", () => {});
    near.on("error", () => {});
  });
  return new Promise((done) => wss.on("listening", () => done({ wss, url: `ws://127.0.0.1:${wss.address().port}` })));
}

const TYPES = ["sync", "awareness", "auth", "query-awareness", "sync-reply", "stateless", "broadcast-stateless", "close", "sync-status", "ping", "pong"];

/** Run one scenario; whatever crosses the proxy becomes vectors. */
async function scenario(name, options, play) {
  let step = 0, over = false;
  const note = ({ direction, data, isBinary, close, upgrade }) => {
    if (over) return; // tidying up is not part of the scenario
    step += 1;
    const number = String(step).padStart(2, "0");
    const base = (label) => ({ name: `${name}/${number}-${label}`, direction });
    if (upgrade) return vectors.push({ ...base("upgrade"), hex: "", upgrade, decoded: { summary: "HTTP upgrade request", bytes: [] } });
    if (close) return vectors.push({ ...base("ws-close"), hex: "", close, decoded: { summary: `WebSocket close frame ${close.code}${close.reason ? ` "${close.reason}"` : ""}`, bytes: [] } });
    const bytes = Buffer.from(data);
    const decoded = annotate(bytes, direction === "server->client");
    const type = /^(Ping|Pong)/.test(decoded.summary) ? decoded.summary.slice(0, 4).toLowerCase() : (TYPES[bytes[1 + bytes[0]]] ?? "frame");
    vectors.push({ ...base(isBinary ? type : "text"), hex: bytes.toString("hex"), ...(isBinary ? {} : { text: true }), decoded });
  };
  let server = await startServer(options);
  const proxy = await startProxy(() => `ws://127.0.0.1:${server.address.port}`, note);
  const ctx = {
    url: `${proxy.url}/sync/device`,
    hocuspocus: server.hocuspocus,
    provider(settings = {}, socketSettings = {}) {
      const doc = new Y.Doc();
      doc.clientID = settings.clientID ?? 1;
      const socket = settings.socket ?? new HocuspocusProviderWebsocket({ url: ctx.url, WebSocketPolyfill: WebSocket, ...socketSettings });
      const provider = new HocuspocusProvider({ websocketProvider: socket, name: NAME, token: CHALLENGE, document: doc, ...settings.config });
      if (settings.session) provider.sessionId = settings.session;
      provider.attach();
      ctx.made.push(() => (provider.destroy(), socket.destroy()));
      return { doc, socket, provider };
    },
    async bare(frames = [], gap = 15) {
      const ws = new WebSocket(ctx.url);
      await new Promise((done) => ws.on("open", done));
      for (const frame of frames) {
        ws.send(frame);
        await sleep(gap);
      }
      ctx.made.push(() => ws.terminate());
      return ws;
    },
    async set(map, key, value) {
      const direct = await server.hocuspocus.openDirectConnection(NAME, {});
      await direct.transact((doc) => (value === undefined ? doc.getMap(map).delete(key) : doc.getMap(map).set(key, value)));
      await direct.disconnect();
    },
    async restart(kill) {
      const { port } = server.address;
      kill(server);
      await sleep(50);
      server = await startServer({ ...options, config: { ...options.config, port } });
      ctx.hocuspocus = server.hocuspocus;
    },
    server: () => server,
    made: [],
  };
  try {
    await play(ctx);
  } finally {
    over = true;
    ctx.made.forEach((end) => end());
    await sleep(40);
    proxy.wss.clients.forEach((ws) => ws.terminate());
    proxy.wss.close();
    server.httpServer.closeAllConnections();
    server.httpServer.close();
  }
  process.stderr.write(`${name}: ${step}\n`);
}

const until = async (test, limit = 5000) => {
  for (const end = Date.now() + limit; Date.now() < end; await sleep(5)) if (test()) return true;
  return false;
};

// Frame builders for the bare-socket scenarios.
const str = (text) => {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length > 127) throw new Error("one length byte only");
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
};
const frame = (type, ...rest) => Buffer.concat([str(NAME), Buffer.from([type]), ...rest.map((part) => Buffer.from(part))]);
const AUTH = frame(2, [0], str(CHALLENGE), str("4.8.0"));
const AUTH_OLD = frame(2, [0], str(CHALLENGE));
const AUTH_BAD = frame(2, [0], str("wrong"), str("4.8.0"));
const STEP1 = frame(0, [0, 1, 0]);

const SCENARIOS = {
  // ---- what a provider and a server normally do ----
  async "success-empty"() {
    await scenario("success-empty", {}, async ({ provider }) => {
      const one = provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      await sleep(60);
      one.provider.destroy(); // good-bye: awareness gone, CLOSE, then the socket
      await sleep(30);
      one.socket.destroy();
      await sleep(40);
    });
  },
  async "success-token-present"() {
    await scenario("success-token-present", { load: (doc) => doc.getMap("tokens").set("default", SEALED) }, async ({ provider }) => {
      const one = provider();
      await until(() => one.doc.getMap("tokens").has("default") && !one.provider.hasUnsyncedChanges);
      await sleep(60);
    });
  },
  async "token-pushed-later"() {
    await scenario("token-pushed-later", {}, async ({ provider, set }) => {
      const one = provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      await set("tokens", "default", SEALED); // first token
      await until(() => one.doc.getMap("tokens").has("default"));
      await set("tokens", "default", "v1.cmVuZXdlZA"); // renewed: same key
      await until(() => one.doc.getMap("tokens").get("default") === "v1.cmVuZXdlZA");
      await set("tokens", "urn:x", { ct: "AA", exp: 1700000000, n: null, ok: true }); // object value
      await until(() => one.doc.getMap("tokens").has("urn:x"));
      await set("_server", "challenge", new Uint8Array([1, 2, 255])); // byte value
      await until(() => one.doc.getMap("_server").has("challenge"));
      await set("tokens", "default", undefined); // revoked
      await until(() => !one.doc.getMap("tokens").has("default"));
      await sleep(40);
    });
  },
  async "client-writes"() {
    await scenario("client-writes", {}, async ({ provider }) => {
      const one = provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      one.doc.getMap("requests").set("urn:y", "want");
      await until(() => !one.provider.hasUnsyncedChanges);
      await sleep(40);
    });
  },
  async "read-only"() {
    await scenario("read-only", { readOnly: true }, async ({ provider }) => {
      const one = provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      one.doc.getMap("requests").set("urn:y", "want");
      await sleep(80);
    });
  },
  async "wrong-token"() {
    await scenario("wrong-token", {}, async ({ provider }) => {
      const one = provider({ config: { token: "wrong" } });
      await sleep(300);
      one.provider.configuration.token = CHALLENGE; // second try on the same socket
      one.provider.sendToken();
      await until(() => one.provider.isAuthenticated);
      one.provider.startSync();
      await until(() => one.provider.synced);
      await sleep(60);
    });
  },
  async "wrong-token-reason"() {
    await scenario("wrong-token-reason", { denyWith: { reason: "expired" } }, async ({ provider }) => {
      provider({ config: { token: "wrong" } });
      await sleep(200);
    });
  },
  async "wrong-token-timeout"() {
    // The server's timeout is 60 s by default; 400 ms here.
    await scenario("wrong-token-timeout", { config: { timeout: 400 } }, async ({ provider }) => {
      const one = provider({ config: { token: "wrong" } }, { delay: 60000, minDelay: 60000, maxDelay: 60000 });
      await until(() => one.socket.status === "disconnected", 3000);
      await sleep(60);
    });
  },
  async "server-closes-document"() {
    await scenario("server-closes-document", {}, async (ctx) => {
      const one = ctx.provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      ctx.hocuspocus.closeConnections(NAME);
      await sleep(400); // the provider says nothing more of its own
      one.provider.detach();
      one.provider.attach(); // a fresh handshake on the same socket
      await until(() => one.provider.synced);
      await sleep(60);
    });
  },
  async "server-closes-socket"() {
    await scenario("server-closes-socket", {}, async (ctx) => {
      const one = ctx.provider({}, { delay: 200, minDelay: 200 });
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      await ctx.set("tokens", "default", SEALED);
      await until(() => one.doc.getMap("tokens").has("default"));
      ctx.hocuspocus.documents.get(NAME).getConnections()[0].webSocket.close(4205, "Reset Connection");
      await until(() => one.provider.synced === false);
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      await sleep(60);
    });
  },
  async "server-restarts"() {
    // The document is ephemeral: after the restart the client still has the
    // token and hands it back to the server in its SyncStep2.
    await scenario("server-restarts", {}, async (ctx) => {
      const one = ctx.provider({}, { delay: 200, minDelay: 200 });
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      await ctx.set("tokens", "default", SEALED);
      await until(() => one.doc.getMap("tokens").has("default"));
      await ctx.restart((server) => {
        server.httpServer.closeAllConnections();
        server.crossws?.closeAll?.(1001, "going away", true);
        server.httpServer.close();
      });
      await until(() => one.provider.synced === false);
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      await sleep(60);
    });
  },
  async "token-resync"() {
    await scenario("token-resync", {}, async (ctx) => {
      const one = ctx.provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      ctx.hocuspocus.documents.get(NAME).getConnections()[0].requestToken();
      await sleep(80);
    });
  },
  async "token-resync-refused"() {
    const config = { onTokenSync: async () => { throw Object.assign(new Error(""), { reason: "rotated away" }); } };
    await scenario("token-resync-refused", { config }, async (ctx) => {
      const one = ctx.provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      ctx.hocuspocus.documents.get(NAME).getConnections()[0].requestToken();
      await sleep(80);
    });
  },
  async "stateless"() {
    await scenario("stateless", {}, async (ctx) => {
      const one = ctx.provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      one.provider.sendStateless("echo me");
      await sleep(40);
      ctx.hocuspocus.documents.get(NAME).broadcastStateless("to all");
      await sleep(40);
    });
  },
  async "awareness"() {
    await scenario("awareness", {}, async (ctx) => {
      const one = ctx.provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      one.provider.setAwarenessField("host", "laptop"); // the server echoes it to its sender
      await sleep(60);
      one.provider.awareness.setLocalState(one.provider.awareness.getLocalState()); // the 15 s renewal
      await sleep(60);
    });
  },
  async "query-awareness"() {
    await scenario("query-awareness", {}, async (ctx) => {
      const one = ctx.provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      ctx.hocuspocus.documents.get(NAME).getConnections()[0].webSocket.send(frame(3));
      await sleep(60);
    });
  },
  async "session-awareness"() {
    await scenario("session-awareness", {}, async (ctx) => {
      const one = ctx.provider({ session: "s1", config: { sessionAwareness: true } });
      const two = ctx.provider({ session: "s2", clientID: 3, socket: one.socket, config: { sessionAwareness: true } });
      await until(() => one.provider.synced && two.provider.synced);
      await sleep(40);
      await ctx.set("tokens", "default", SEALED);
      await sleep(40);
    });
  },
  async "two-documents"() {
    await scenario("two-documents", {}, async (ctx) => {
      const one = ctx.provider();
      const two = ctx.provider({ clientID: 3, socket: one.socket, config: { name: "req-other" } });
      await until(() => one.provider.synced && two.provider.synced);
      two.provider.detach(); // CLOSE for one document; the other stays
      await sleep(60);
    });
  },
  async "ping"() {
    await scenario("ping", {}, async (ctx) => {
      const one = ctx.provider();
      await until(() => one.provider.synced && !one.provider.hasUnsyncedChanges);
      ctx.hocuspocus.documents.get(NAME).getConnections()[0].webSocket.send(Buffer.from([9]));
      await sleep(60); // the v4.8 provider answers 0a; the 4.7 server cannot read that
    });
  },
  async "silence"() {
    // A server that never speaks after the handshake; messageReconnectTimeout 1 s.
    await scenario("silence", {}, async (ctx) => {
      const one = ctx.provider({ config: { awareness: null } }, { messageReconnectTimeout: 1000, delay: 60000, minDelay: 60000, maxDelay: 60000 });
      await until(() => one.socket.status === "connected" && one.provider.synced);
      await until(() => one.socket.status === "disconnected", 4000);
      await sleep(40);
    });
  },

  // ---- what the server does with other frames ----
  async "probe-v2-v3-auth"() {
    await scenario("probe-v2-v3-auth", {}, async ({ bare }) => { await bare([AUTH_OLD, STEP1]); await sleep(60); });
  },
  async "probe-sync-before-auth"() {
    // Queued until the auth frame has been accepted, then answered in order.
    await scenario("probe-sync-before-auth", {}, async ({ bare }) => { await bare([STEP1, AUTH], 60); await sleep(60); });
  },
  async "probe-sync-no-auth"() {
    await scenario("probe-sync-no-auth", { config: { timeout: 400 } }, async ({ bare }) => { await bare([STEP1]); await sleep(1000); });
  },
  async "probe-sync-between-auths"() {
    // After a refusal frames are queued again, for the next Auth.
    await scenario("probe-sync-between-auths", {}, async ({ bare }) => { await bare([AUTH_BAD, STEP1, AUTH], 40); await sleep(80); });
  },
  async "probe-auth-twice"() {
    await scenario("probe-auth-twice", {}, async ({ bare }) => { await bare([AUTH, AUTH]); await sleep(60); });
  },
  async "probe-sync-reply"() {
    await scenario("probe-sync-reply", {}, async ({ bare }) => { await bare([AUTH, frame(4, [0, 1, 0])]); await sleep(60); });
  },
  async "probe-query-awareness"() {
    await scenario("probe-query-awareness", {}, async ({ bare }) => { await bare([AUTH, frame(3)]); await sleep(60); });
  },
  async "probe-broadcast-stateless"() {
    await scenario("probe-broadcast-stateless", {}, async ({ bare }) => { await bare([AUTH, frame(6, str("x"))]); await sleep(60); });
  },
  async "probe-unknown-type"() {
    await scenario("probe-unknown-type", {}, async ({ bare }) => { await bare([AUTH, frame(42)]); await sleep(60); });
  },
  async "probe-unknown-sync-step"() {
    await scenario("probe-unknown-sync-step", {}, async ({ bare }) => { await bare([AUTH, frame(0, [7, 0])]); await sleep(60); });
  },
  async "probe-garbage-update"() {
    await scenario("probe-garbage-update", {}, async ({ bare }) => { await bare([AUTH, frame(0, [2, 3, 0xff, 0xff, 0xff])]); await sleep(60); });
  },
  async "probe-truncated-sync"() {
    await scenario("probe-truncated-sync", {}, async ({ bare }) => { await bare([AUTH, frame(0, [0, 9, 0])]); await sleep(60); });
  },
  async "probe-truncated-auth"() {
    await scenario("probe-truncated-auth", {}, async ({ bare }) => { await bare([frame(2, [0, 40])]); await sleep(60); });
  },
  async "probe-empty-frame"() {
    await scenario("probe-empty-frame", {}, async ({ bare }) => { await bare([Buffer.alloc(0)]); await sleep(60); });
  },
  async "probe-bad-utf8-name"() {
    await scenario("probe-bad-utf8-name", {}, async ({ bare }) => { await bare([Buffer.from([2, 0xff, 0xfe, 0])]); await sleep(60); });
  },
  async "probe-name-too-long"() {
    await scenario("probe-name-too-long", {}, async ({ bare }) => { await bare([Buffer.from([50, 0x61])]); await sleep(60); });
  },
  async "probe-name-only"() {
    await scenario("probe-name-only", {}, async ({ bare }) => { await bare([str(NAME)]); await sleep(60); });
  },
  async "probe-pong-unasked"() {
    await scenario("probe-pong-unasked", {}, async ({ bare }) => { await bare([AUTH, Buffer.from([10])]); await sleep(60); });
  },
  async "probe-text-frame"() {
    await scenario("probe-text-frame", {}, async ({ bare }) => { await bare(["hello"]); await sleep(60); });
  },
  async "probe-empty-name"() {
    await scenario("probe-empty-name", {}, async ({ bare }) => { await bare([Buffer.concat([str(""), Buffer.from([2, 0]), str(CHALLENGE)])]); await sleep(60); });
  },
  async "probe-other-name-after-auth"() {
    await scenario("probe-other-name-after-auth", { config: { timeout: 400 } }, async ({ bare }) => {
      await bare([AUTH, Buffer.concat([str("req-other"), Buffer.from([0, 0, 1, 0])])]);
      await sleep(100);
    });
  },
  async "probe-close-message"() {
    await scenario("probe-close-message", {}, async ({ bare }) => { await bare([AUTH, frame(7), AUTH], 40); await sleep(60); });
  },
  async "probe-idle-timeout"() {
    await scenario("probe-idle-timeout", { config: { timeout: 400 } }, async ({ bare }) => { await bare([AUTH, STEP1]); await sleep(1200); });
  },
  async "probe-empty-awareness"() {
    // A frame every version accepts and nobody answers: a keepalive of a few bytes.
    await scenario("probe-empty-awareness", {}, async ({ bare }) => { await bare([AUTH, frame(1, [1, 0])]); await sleep(60); });
  },
  async "probe-close-before-auth"() {
    // The CLOSE is queued like any other frame and hits the document once it is authenticated.
    await scenario("probe-close-before-auth", {}, async ({ bare }) => { await bare([frame(7), AUTH, STEP1], 30); await sleep(60); });
  },
  async "probe-too-big"() {
    await scenario("probe-too-big", { config: { websocketOptions: { maxPayload: 1024 } } }, async ({ bare }) => {
      const ws = await bare([AUTH]);
      ws.send(frame(5, [0xcc, 0x08], Buffer.alloc(1100, 0x61)));
      await sleep(80);
    });
  },
};

const wanted = process.argv.slice(2);
for (const [name, run] of Object.entries(SCENARIOS)) if (!wanted.length || wanted.includes(name)) await run();
process.stdout.write("[\n" + vectors.map((v) => "  " + JSON.stringify(v)).join(",\n") + "\n]\n");
process.exit(0);
