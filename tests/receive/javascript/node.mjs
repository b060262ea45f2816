// node node.mjs MODULE VECTORS: prints what the module makes of the vectors, and how it unwraps.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { answers } from "./answers.mjs";

const [, , modulePath, vectorsPath, requestsPath] = process.argv;
const module = await import(pathToFileURL(modulePath));
const found = await answers(module, JSON.parse(readFileSync(vectorsPath, "utf8")));
found.unwrapped = [];
for (const { secret, body, headers } of JSON.parse(readFileSync(requestsPath, "utf8"))) {
  const bytes = Buffer.from(body, "base64");
  try {
    found.unwrapped.push(await module.unwrap({ body: bytes, headers }, secret));
  } catch (error) {
    const { VerificationError, BadPayload, BadSecret } = module;
    const kinds = { VerificationError, BadPayload, BadSecret, TypeError };
    const kind = Object.keys(kinds).find((name) => error instanceof kinds[name]);
    found.unwrapped.push(`${kind}: ${error.name}: ${error.message}`);
  }
}
try {
  await module.verify({ body: "text", headers: found.unwrapped.length && [] }, "");
} catch (error) {
  found.noSecret = error.name;
}
const [{ secret, headers }] = JSON.parse(readFileSync(requestsPath, "utf8"));
found.noBytes = [];
for (const body of ["text", { parsed: true }, undefined]) {
  try {
    await module.verify({ body, headers }, secret);
  } catch (error) {
    found.noBytes.push(`${error.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(found));
