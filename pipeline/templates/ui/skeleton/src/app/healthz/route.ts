/** Says that the process lives; nothing else, so that an outage elsewhere restarts no pod. */
export function GET(): Response {
  return Response.json({ status: "ok" });
}
