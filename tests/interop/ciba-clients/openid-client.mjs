// openid-client as a CIBA client: it registers itself, asks a person, polls as the library does, and uses the tokens.
//
// It is told: issuer, registration (metadata), ask (parameters), alg (of the client's key, for private_key_jwt and signed
// requests), tls (of the endpoint, for ping). It says: registered, asked, polling, polled (each answer), granted, refreshed, user,
// or refused.

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { subscribe } from "node:diagnostics_channel";
import { setTimeout as pause } from "node:timers/promises";
import * as client from "openid-client";
import { SignJWT, decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair } from "jose";
import { listen } from "./endpoint.mjs";
import { halfHash, say, told } from "./say.mjs";

const insecure = { execute: [client.allowInsecureRequests] }; // our issuer is on loopback
const metadata = { ...told.registration };

const keys = told.alg && (await generateKeyPair(told.alg));
if (keys) {
  const jwk = await exportJWK(keys.publicKey);
  metadata.jwks = { keys: [{ ...jwk, kid: "its-key", alg: told.alg, use: "sig" }] };
}
const ways = {
  client_secret_basic: (secret) => client.ClientSecretBasic(secret),
  client_secret_post: (secret) => client.ClientSecretPost(secret),
  private_key_jwt: () => client.PrivateKeyJwt({ key: keys.privateKey, kid: "its-key" }),
};
const endpoint = told.tls && (await listen(told.tls));
if (endpoint) metadata.backchannel_client_notification_endpoint = endpoint.url;

const registered = await client.dynamicClientRegistration(
  new URL(told.issuer),
  metadata,
  undefined,
  insecure,
);
const me = registered.clientMetadata();
say({ registered: me.client_id, server: registered.serverMetadata() });
const way = ways[metadata.token_endpoint_auth_method](me.client_secret);
const config = await client.discovery(new URL(told.issuer), me.client_id, { ...me }, way, insecure);
client.enableNonRepudiationChecks(config); // signatures, too

// Every request is told when it is on its way, and the answer to a poll with the seconds since the one before.
const isPoll = (options) => options.body.has("auth_req_id");
subscribe("undici:request:bodySent", ({ request }) => say({ polling: request.path }));

let before = performance.now();
config[client.customFetch] = async (url, options) => {
  const response = await persistent(url, options);
  if (url === config.serverMetadata().token_endpoint && isPoll(options)) {
    const { error } = await response.clone().json();
    say({ polled: error ?? "tokens", status: response.status, after: (performance.now() - before) / 1000 });
    before = performance.now();
  }
  return response;
};

/** A server that restarts refuses connections for a while. The library leaves this to its caller. */
async function persistent(url, options) {
  for (;;) {
    try {
      return await fetch(url, options);
    } catch (error) {
      if (!["ECONNREFUSED", "ECONNRESET"].includes(error.cause?.code)) throw error;
      await pause(100, undefined, { signal: options.signal });
    }
  }
}

const notification = randomBytes(32).toString("base64url");
const ask = { ...told.ask };
if (endpoint) ask.client_notification_token = notification;

/** The request as a signed JWT (CIBA Core §7.1.1). The library has no function for it. */
const signed = (claims) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: told.alg, kid: "its-key", typ: "oauth-authz-req+jwt" })
    .setIssuer(me.client_id)
    .setAudience(told.issuer)
    .setIssuedAt()
    .setNotBefore("0s")
    .setExpirationTime("5m")
    .setJti(randomUUID())
    .sign(keys.privateKey);

try {
  const isSigned = metadata.backchannel_authentication_request_signing_alg;
  const parameters = isSigned ? { request: await signed(ask) } : ask;
  const acknowledged = await client.initiateBackchannelAuthentication(config, parameters);
  before = performance.now();
  say({ asked: acknowledged });
  if (endpoint) await pinged(acknowledged.auth_req_id);
  // Longer than the request lives: the provider shall say that it is over, and not the library's own clock.
  const signal = AbortSignal.timeout((acknowledged.expires_in + 60) * 1000);
  const tokens = await client.pollBackchannelAuthenticationGrant(config, acknowledged, undefined, { signal });
  say({ granted: tokens, claims: checked(tokens) });
  await use(tokens);
} catch (error) {
  say({ refused: error.error ?? error.code, status: error.status, description: error.error_description });
}
endpoint?.close();

async function pinged(id) {
  const { headers, body } = await endpoint.call();
  assert.equal(headers.authorization, `Bearer ${notification}`);
  assert.deepEqual(body, { auth_req_id: id });
  say({ pinged: body });
}

/** What the library leaves to its caller: at_hash, and the claims that only pushed ID tokens have. */
function checked({ id_token, access_token }) {
  const [claims, { alg }] = [decodeJwt(id_token), decodeProtectedHeader(id_token)];
  if (claims.at_hash) assert.equal(claims.at_hash, halfHash(access_token, alg));
  return { ...claims, alg };
}

async function use(tokens) {
  const subject = tokens.claims().sub;
  say({ user: await client.fetchUserInfo(config, tokens.access_token, subject) });
  if (!tokens.refresh_token) return;
  const again = await client.refreshTokenGrant(config, tokens.refresh_token);
  say({ refreshed: again, claims: again.id_token && checked(again) });
}
