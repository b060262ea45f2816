/** Verifies Standard Webhooks with Web Crypto alone: Workers, Node, Deno, Bun, browsers. */

/** `id`, `timestamp` (of this attempt, epoch seconds), and which of the secrets it was, from 0. */
export interface Verified {
  id: string;
  timestamp: number;
  keyIndex: number;
}

/** One event; `id` is the same at each retry. `payload` is the whole body, parsed. */
export interface Event<T = unknown> {
  id: string;
  type: string;
  timestamp: Date;
  data: T;
  metadata: Record<string, unknown>;
  payload: Record<string, unknown>;
}

type Bytes = Uint8Array | ArrayBuffer;

type HeadersLike =
  | Iterable<readonly [string, string]>
  | Record<string, string | readonly string[] | undefined>;

/** A `Request` that nobody has read, or the raw bytes of a body and its headers. */
export type Incoming =
  | { readonly headers: HeadersLike; arrayBuffer(): Promise<ArrayBuffer> }
  | { readonly headers: HeadersLike; readonly body: Bytes };

export interface Options {
  /** How many seconds the timestamp may be away from now; 300 unless told. */
  tolerance?: number;
  /** The families of headers that are looked for, in order: `webhook-*`, then `svix-*`. */
  families?: readonly string[];
  /** The time, in epoch seconds. */
  now?: () => number;
}

/** Not the sender's: answer 400, and keep `name` and `message` for the log. */
export class VerificationError extends Error {
  constructor(
    name: "MissingHeader" | "BadHeader" | "BadTimestamp" | "Expired" | "NoMatch",
    message: string,
  ) {
    super(message);
    this.name = name;
  }
}

/** The signature is good and the body is no event. */
export class BadPayload extends Error {
  override name = "BadPayload";
}

/** The program was given a secret that is none. */
export class BadSecret extends Error {
  override name = "BadSecret";
}

const PARTS = ["id", "timestamp", "signature"];
const { subtle } = crypto;

/** Resolves to what was signed, or rejects; it never resolves to something false. */
export async function verify(
  incoming: Incoming,
  secrets: string | readonly string[],
  options: Options = {},
): Promise<Verified> {
  return (await check(incoming, secrets, options))[0];
}

/** Verifies, then reads the event. `T` is a promise of the sender's, which nobody checks here. */
export async function unwrap<T = unknown>(
  incoming: Incoming,
  secrets: string | readonly string[],
  options: Options = {},
): Promise<Event<T>> {
  const [{ id, timestamp }, body] = await check(incoming, secrets, options);
  let payload;
  try {
    payload = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
  } catch {
    throw new BadPayload("the body is no JSON");
  }
  const { type, data, metadata = {}, timestamp: when } = payload ?? {};
  const time = new Date(when ?? timestamp * 1000);
  if (typeof type !== "string" || data === undefined || isNaN(+time)) {
    throw new BadPayload("type, data or timestamp is missing or none");
  }
  return { id, type, timestamp: time, data, metadata, payload };
}

async function check(
  incoming: Incoming,
  secrets: string | readonly string[],
  { tolerance = 300, families = ["webhook", "svix"], now = () => Date.now() / 1000 }: Options,
): Promise<[Verified, Uint8Array<ArrayBuffer>]> {
  const keys = typeof secrets === "string" ? secrets.split(" ").filter(Boolean) : secrets;
  const verifiers = await Promise.all(keys.map(readKey));
  if (!keys.length) throw new BadSecret("there is no secret to verify with");
  const [id, timestamp, signature] = signedHeaders(incoming.headers, families);
  // No dot, which would move a boundary; visible ASCII.
  if (!/^[!-\-/-~]{1,256}$/.test(id)) throw new VerificationError("BadHeader", "the id is none");
  if (!/^(0|[1-9]\d{0,11})$/.test(timestamp)) {
    throw new VerificationError("BadTimestamp", "the timestamp is no number of seconds");
  }
  const body = bytes("arrayBuffer" in incoming ? await incoming.arrayBuffer() : incoming.body);
  const head = new TextEncoder().encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(head.length + body.length);
  signed.set(head);
  signed.set(body, head.length);
  const signatures = signature.split(" ").slice(0, 50);
  const matches = await Promise.all(verifiers.map((matches) => matches(signed, signatures)));
  const keyIndex = matches.indexOf(true);
  if (keyIndex < 0) throw new VerificationError("NoMatch", "no signature is by any of the secrets");
  const late = Math.floor(now()) - +timestamp;
  if (!(Math.abs(late) <= tolerance)) {
    throw new VerificationError("Expired", `the request is ${late} s old`);
  }
  return [{ id, timestamp: +timestamp, keyIndex }, body];
}

function bytes(body: unknown): Uint8Array<ArrayBuffer> {
  if (body instanceof ArrayBuffer || body instanceof Uint8Array) return new Uint8Array(body);
  throw new TypeError("the body is not raw bytes: what was parsed, written again, differs");
}

/** Only the first family that is whole counts, so that nobody can choose by adding another. */
function signedHeaders(
  headers: HeadersLike,
  families: readonly string[],
): [id: string, timestamp: string, signature: string] {
  const found = new Map<string, string[]>();
  for (const [name, value] of Symbol.iterator in headers ? headers : Object.entries(headers)) {
    const key = name.toLowerCase();
    found.set(key, [...(found.get(key) ?? []), ...[value ?? []].flat()]);
  }
  for (const family of families) {
    const values = PARTS.map((part) => found.get(`${family}-${part}`) ?? []);
    if (!values.every((given) => given.length)) continue;
    if (values.flat().length > 3) {
      throw new VerificationError("BadHeader", "a header came twice");
    }
    if (values.every(([given]) => given)) return values.flat() as [string, string, string];
    break;
  }
  throw new VerificationError("MissingHeader", `not all of ${PARTS} are there`);
}

type Matches = (signed: BufferSource, signatures: string[]) => Promise<boolean>;

async function readKey(secret: string): Promise<Matches> {
  const [, prefix = "whsec_", text] = /^(?:v1,)?(wh\w+?_)?(.*)$/.exec(secret.trim()) ?? [];
  const raw = decode(text ?? "", true);
  const asymmetric = prefix === "whpk_";
  const size = raw?.length ?? 0;
  if (asymmetric ? size !== 32 : prefix !== "whsec_" || size < 16 || size > 75) {
    throw new BadSecret("a secret is whsec_ or whpk_, and base64 of 16 to 75 bytes");
  }
  const algorithm = asymmetric ? "Ed25519" : { name: "HMAC", hash: "SHA-256" };
  const key = await subtle.importKey("raw", raw!, algorithm, false, ["verify"]);
  const [version, length]: [string, number] = asymmetric ? ["v1a,", 64] : ["v1,", 32];
  return async (signed, signatures) => {
    let good = false;
    for (const each of signatures) {
      const given = each.startsWith(version) && decode(each.slice(version.length));
      // Of another length, workerd's verify throws. It compares in constant time.
      if (given && given.length === length) {
        good = (await subtle.verify(algorithm, key, given, signed)) || good;
      }
    }
    return good;
  };
}

/** Strict: one spelling for each value, but a secret's may lack its padding. */
function decode(text: string, loose = false): Uint8Array<ArrayBuffer> | undefined {
  try {
    const binary = atob(text);
    if (loose ? !/\s/.test(text) : btoa(binary) === text) {
      return Uint8Array.from(binary, (character) => character.charCodeAt(0));
    }
  } catch {
    // Not base64.
  }
  return undefined;
}
