import { log, reasonsOf } from "#src/lib/log.ts";
import { services } from "#src/lib/services.ts";

/** Ready once the issuer was reached, since nobody could sign in before. */
export async function GET(): Promise<Response> {
  try {
    await services().oidc.configuration();
    return Response.json({ status: "ok" });
  } catch (error) {
    log("WARNING", "not ready", { reasons: reasonsOf(error) });
    return Response.json({ status: "unready", failing: ["issuer"] }, { status: 503 });
  }
}
