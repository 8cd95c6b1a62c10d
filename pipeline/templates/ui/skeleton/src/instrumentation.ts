/** What Next runs once at start, and for each error that a page throws. */

import type { Instrumentation } from "next";

/** Ends the process when settings are missing: a pod that serves nobody must not look alive. */
export async function register(): Promise<void> {
  // Written out like this, Next leaves the code out of what it builds for its other runtime.
  if (process.env.NEXT_RUNTIME === "nodejs") {
    const { started } = await import("./lib/start.ts");
    started();
  }
}

export const onRequestError: Instrumentation.onRequestError = async (error, request, context) => {
  if (process.env.NEXT_RUNTIME === "nodejs") {
    const { log, reasonsOf } = await import("./lib/log.ts");
    const traceparent = request.headers.traceparent;
    log("ERROR", "request failed", {
      digest: typeof error === "object" && error !== null && "digest" in error ? error.digest : "",
      method: request.method,
      reasons: reasonsOf(error),
      route: context.routePath,
      traceparent: typeof traceparent === "string" ? traceparent.slice(0, 60) : "",
    });
  }
};
