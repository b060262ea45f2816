// What the verifier in TypeScript makes of the vectors, by their names.

export async function answers({ verify }, vectors) {
  const found = { requests: {}, asRequest: {}, secrets: {} };
  for (const { name, ...vector } of vectors.requests) {
    const options = { now: () => vector.now };
    const body = bodyOf(vector);
    const incoming = { body, headers: vector.headers };
    found.requests[name] = await answer(() => verify(incoming, vector.secrets, options));
    const request = requestOf(body, vector.headers);
    if (request) {
      found.asRequest[name] = await answer(() => verify(request, vector.secrets, options));
    }
  }
  for (const { name, secret } of vectors.secrets) {
    const made = await answer(() => verify({ body: new Uint8Array(), headers: [] }, [secret]));
    // A good secret is read before the headers are missed.
    found.secrets[name] = made === "MissingHeader" ? "ok" : made;
  }
  return found;
}

async function answer(ask) {
  try {
    return `ok ${(await ask()).keyIndex}`;
  } catch (error) {
    return error.name;
  }
}

function bodyOf({ body, body_base64 }) {
  if (body !== undefined) return new TextEncoder().encode(body);
  return Uint8Array.from(atob(body_base64), (character) => character.charCodeAt(0));
}

// None where a Request cannot carry these headers as they are.
function requestOf(body, headers) {
  const names = headers.map(([name]) => name.toLowerCase());
  const normal = headers.every(([, value]) => /^[!-~]([ -~]*[!-~])?$/.test(value));
  if (!normal || new Set(names).size < names.length) return undefined;
  return new Request("https://receiver.example/", { method: "POST", headers, body });
}
