// What a checker says of programs that use the package; compiled by the tests, never run.

import { type Event, unwrap, verify } from "webhook-receive";

interface Sent {
  text: string;
}

export async function fromRequest(request: Request): Promise<string> {
  const event: Event<Sent> = await unwrap<Sent>(request, "whsec_a whsec_b");
  return event.data.text + event.timestamp.toISOString();
}

export async function fromNode(body: Uint8Array, headers: Record<string, string | string[] | undefined>) {
  const { id, keyIndex } = await verify({ body, headers }, ["whsec_a"], { tolerance: 60 });
  // @ts-expect-error the body must be bytes
  await verify({ body: "text", headers }, "whsec_a");
  // @ts-expect-error data is not known unless it is said
  (await unwrap({ body, headers }, "whsec_a")).data.text;
  return id.length + keyIndex;
}
