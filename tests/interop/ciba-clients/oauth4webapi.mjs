// oauth4webapi as a CIBA client: each step by itself, as a program with its own loop takes them.
//
// It is told: issuer, client_id, client_secret, ask. It says: asked, polled (each answer), granted, refreshed.

import { setTimeout as pause } from "node:timers/promises";
import * as oauth from "oauth4webapi";
import { say, told } from "./say.mjs";

const insecure = { [oauth.allowInsecureRequests]: true }; // our issuer is on loopback
const issuer = new URL(told.issuer);
const client = { client_id: told.client_id };
const way = oauth.ClientSecretPost(told.client_secret);
const as = await oauth
  .discoveryRequest(issuer, { ...insecure, algorithm: "oauth2" })
  .then((response) => oauth.processDiscoveryResponse(issuer, response));

const asked = await oauth
  .backchannelAuthenticationRequest(as, client, way, new URLSearchParams(told.ask), insecure)
  .then((response) => oauth.processBackchannelAuthenticationResponse(as, client, response));
say({ asked });

const granted = await poll();
say({ granted, claims: oauth.getValidatedIdTokenClaims(granted) });
const refreshed = await oauth
  .refreshTokenGrantRequest(as, client, way, granted.refresh_token, insecure)
  .then((response) => oauth.processRefreshTokenResponse(as, client, response));
say({ refreshed });

/** Asks at once, and then at the provider's interval. */
async function poll() {
  for (;;) {
    const response = await oauth.backchannelAuthenticationGrantRequest(
      as,
      client,
      way,
      asked.auth_req_id,
      insecure,
    );
    try {
      const tokens = await oauth.processBackchannelAuthenticationGrantResponse(as, client, response);
      await oauth.validateApplicationLevelSignature(as, response, insecure);
      return tokens;
    } catch (error) {
      if (error.error !== "authorization_pending") throw error;
      say({ polled: error.error, status: error.status });
      await pause(asked.interval * 1000);
    }
  }
}
