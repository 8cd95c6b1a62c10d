/** Calls for pages: failures that a page can show are values, the others leave the page. */

import { notFound } from "next/navigation";
import { ApiError, type ApiFailure } from "#sdk/api.ts";
import { signIn } from "./access.ts";
import { log, reasonsOf } from "./log.ts";

export type Found<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: ApiFailure };

/** What `call` gives, or why not. Shows the not-found page, or signs in anew at `here`. */
export async function readOrFail<T>(here: string, call: () => Promise<T>): Promise<Found<T>> {
  let failure: ApiFailure;
  try {
    return { ok: true, value: await call() };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    failure = error.failure;
    log("WARNING", "call failed", { failure, status: error.status, reasons: reasonsOf(error) });
  }
  if (failure === "not-found") notFound();
  if (failure === "unauthenticated") signIn(here);
  return { ok: false, failure };
}
