// A Worker with service bindings to ours; it calls what it is told to and shows what came back.
export default {
  async fetch(request, env) {
    const { binding, method, args, fetch: path, body, token } = await request.json();
    if (path !== undefined) {
      return env[binding].fetch(`http://webhook${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    }
    try {
      const value = await env[binding][method](...args.map(revive));
      return Response.json({ value });
    } catch (error) {
      const { name, message, stack } = error;
      return Response.json({ error: { name, message, stack: String(stack) } });
    }
  },
};

// JSON has no dates: {"$date": ms} stands for one.
function revive(value) {
  if (value === null || typeof value !== "object") return value;
  if ("$date" in value) return new Date(value.$date);
  if (Array.isArray(value)) return value.map(revive);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
}
