// Opens or seals one device token with npm's jose, as somebody else's program would.
//
// One JSON line in, one out:
//   {do: "open", challenge, session, purpose, jwe}             → {header, plaintext} or {error}
//   {do: "seal", challenge, session, purpose, header, plaintext} → {jwe}
// challenge is base64url; purpose is HKDF's info; header is the protected header.

import { hkdfSync } from "node:crypto";
import { createInterface } from "node:readline";
import { CompactEncrypt, compactDecrypt } from "jose";

const keyOf = ({ challenge, session, purpose }) =>
  new Uint8Array(hkdfSync("sha256", Buffer.from(challenge, "base64url"), session, purpose, 32));

const actions = {
  async open(ask) {
    try {
      const { protectedHeader, plaintext } = await compactDecrypt(ask.jwe, keyOf(ask));
      return { header: protectedHeader, plaintext: new TextDecoder().decode(plaintext) };
    } catch (error) {
      return { error: error.code };
    }
  },

  async seal(ask) {
    const plaintext = new TextEncoder().encode(ask.plaintext);
    return { jwe: await new CompactEncrypt(plaintext).setProtectedHeader(ask.header).encrypt(keyOf(ask)) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  console.log(JSON.stringify(await actions[ask.do](ask)));
}
