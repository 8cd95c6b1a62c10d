/** What happens to a request before a page sees it: a pure decision. */

import { isPublicPath } from "./addresses.ts";

/** Renew this long before the end, so that a page does not run out of time while it renders. */
export const RENEW_BEFORE_S = 30;

export type Decision = "serve" | "renew" | "sign-in" | "refuse";

export type GateInput = {
  /** Without the prefix. */
  readonly path: string;
  readonly method: string;
  /** Whether a browser would show the answer as a page. */
  readonly navigates: boolean;
  readonly session: { readonly expiresAtS: number; readonly renewable: boolean } | undefined;
  readonly nowS: number;
};

/**
 * `serve` it, `renew` the access token and then serve, send to `sign-in`, or `refuse` with 401: a
 * script's request cannot be led through the issuer's pages, and a change is not repeated.
 */
export function decide({ path, method, navigates, session, nowS }: GateInput): Decision {
  if (isPublicPath(path)) return "serve";
  if (session !== undefined && session.expiresAtS - nowS > RENEW_BEFORE_S) return "serve";
  if (session?.renewable) return "renew";
  return navigates && method === "GET" ? "sign-in" : "refuse";
}
