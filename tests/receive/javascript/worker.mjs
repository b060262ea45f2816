// A Worker in JavaScript: what the verifier makes of the vectors that are posted, inside workerd;
// at /hook, the Worker that the package's README shows.

import { answers } from "./answers.mjs";
import * as module from "./index.js";
import readme from "./readme.mjs";

export default {
  async fetch(request, env) {
    if (request.url.endsWith("/hook")) return readme.fetch(request, env);
    if (request.method !== "POST") return new Response("ready");
    return Response.json(await answers(module, await request.json()));
  },
};
