// A push client: oauth4webapi asks, an https endpoint takes the tokens, and jose checks them (CIBA Core §10.3.1).
//
// It is told: issuer, registration, ask, tls. It says: asked, and pushed with the ID token's claims.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as oauth from "oauth4webapi";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { listen } from "./endpoint.mjs";
import { halfHash, say, told } from "./say.mjs";

const insecure = { [oauth.allowInsecureRequests]: true }; // our issuer is on loopback
const issuer = new URL(told.issuer);
const as = await oauth
  .discoveryRequest(issuer, insecure)
  .then((response) => oauth.processDiscoveryResponse(issuer, response));

const endpoint = await listen(told.tls);
const metadata = { ...told.registration, backchannel_client_notification_endpoint: endpoint.url };
const client = await oauth
  .dynamicClientRegistrationRequest(as, metadata, insecure)
  .then(oauth.processDynamicClientRegistrationResponse);

const notification = randomBytes(32).toString("base64url");
const ask = new URLSearchParams({ ...told.ask, client_notification_token: notification });
const way = oauth.ClientSecretBasic(client.client_secret);
const acknowledged = await oauth
  .backchannelAuthenticationRequest(as, client, way, ask, insecure)
  .then((response) => oauth.processBackchannelAuthenticationResponse(as, client, response));
say({ asked: acknowledged });

const { headers, body } = await endpoint.call();
assert.equal(headers.authorization, `Bearer ${notification}`);
assert.equal(headers["content-type"], "application/json");
assert.equal(body.auth_req_id, acknowledged.auth_req_id);
say({ pushed: body, claims: body.id_token && (await checked(body)) });
endpoint.close();

async function checked({ id_token, access_token, refresh_token, auth_req_id }) {
  const keys = createRemoteJWKSet(new URL(as.jwks_uri));
  const expected = { issuer: told.issuer, audience: client.client_id };
  const { payload, protectedHeader } = await jwtVerify(id_token, keys, expected);
  const claim = (name) => payload[`urn:openid:params:jwt:claim:${name}`];
  assert.equal(payload.at_hash, halfHash(access_token, protectedHeader.alg));
  assert.equal(claim("auth_req_id"), auth_req_id);
  assert.equal(claim("rt_hash"), refresh_token && halfHash(refresh_token, protectedHeader.alg));
  return { ...payload, alg: protectedHeader.alg };
}
