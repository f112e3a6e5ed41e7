// How these scripts speak with a test: one JSON object in, a JSON object a line out.

import { createHash } from "node:crypto";
import { text } from "node:stream/consumers";

/** What the test asks for. */
export const told = JSON.parse(await text(process.stdin));

/** Tells the test of one thing that happened. */
export const say = (thing) => console.log(JSON.stringify(thing));

/** The left half of a token's hash, as ID tokens carry it (OpenID Connect Core §3.1.3.6). EdDSA hashes with SHA-512. */
export const halfHash = (token, alg) => {
  const bits = alg === "EdDSA" || alg === "Ed25519" ? 512 : Number(alg.slice(2));
  const hash = createHash(`sha${bits}`).update(token).digest();
  return hash.subarray(0, hash.length / 2).toString("base64url");
};
