/** Addresses of this UI: made from settings, never from what a request claims. */

/** What needs no session, below the prefix. */
const PUBLIC_PATHS = new Set([
  "/auth/login",
  "/auth/callback",
  "/auth/logout",
  "/signed-out",
  "/healthz",
  "/readyz",
  "/icon.svg",
]);

/** Whether the path, without the prefix, is served to everybody. */
export function isPublicPath(path: string): boolean {
  return PUBLIC_PATHS.has(path);
}

/** Whether the path answers machines, for which a page's policy and session mean nothing. */
export function isHealthPath(path: string): boolean {
  return path === "/healthz" || path === "/readyz";
}

/**
 * A path below the prefix that is safe to go back to after signing in; `/` for anything else.
 * `//host`, `/\host` and control characters would lead a browser away from here.
 */
export function safeReturnPath(wanted: string | null | undefined): string {
  const path = wanted ?? "";
  const plain = path.length <= 2_000 && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(path);
  if (!plain) return "/";
  const url = URL.parse(path, "https://here.invalid");
  if (url === null || url.origin !== "https://here.invalid") return "/";
  // Dots may have led it out of what it seemed to be, so the result is judged, too.
  const found = `${url.pathname}${url.search}`;
  return found.startsWith("//") || isPublicPath(url.pathname) ? "/" : found;
}

/** The full address of `path`, which lies below the prefix. */
export function addressOf(publicOrigin: string, prefix: string, path: string): URL {
  return new URL(`${prefix}${path === "/" ? "" : path}`, publicOrigin);
}
