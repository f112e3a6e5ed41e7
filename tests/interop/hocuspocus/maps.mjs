// What is in a document, as JSON.

/** A value; bytes become {"$hex": "…"}. */
export const plain = (value) =>
  value instanceof Uint8Array ? { $hex: Buffer.from(value).toString("hex") }
  : Array.isArray(value) ? value.map(plain)
  : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
  : value;

/** Every root type read as a map: the device document holds nothing else. */
export const maps = (doc) => Object.fromEntries([...doc.share.keys()].map((key) => [key, plain(doc.getMap(key).toJSON())]));
