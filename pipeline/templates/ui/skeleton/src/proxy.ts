/**
 * Runs before every page: security headers with a fresh nonce, and a session that is still good
 * when the page renders. Pages verify the token again by themselves (`lib/access.ts`).
 */

import { type NextRequest, NextResponse } from "next/server";
import { addressOf, isHealthPath } from "./lib/addresses.ts";
import { cookieAttributes, cookieName, joinedCookies, plannedCookies } from "./lib/cookies.ts";
import { decide } from "./lib/gate.ts";
import { contentSecurityPolicy, makeNonce, STATIC_HEADERS } from "./lib/headers.ts";
import { log, reasonsOf } from "./lib/log.ts";
import { PRIMITIVE } from "./lib/primitive.ts";
import { type Services, services } from "./lib/services.ts";
import type { Session } from "./lib/session.ts";

export const config = { matcher: ["/((?!_next/static/).*)", "/"] };

export async function proxy(request: NextRequest): Promise<NextResponse> {
  const path = request.nextUrl.pathname;
  if (isHealthPath(path)) return secured(NextResponse.next());
  const parts = services();
  const { settings } = parts;
  const nonce = makeNonce();
  const policy = contentSecurityPolicy({
    nonce,
    issuerOrigin: new URL(settings.tokenIssuer).origin,
    secure: settings.secure,
    development: process.env.NODE_ENV === "development",
  });
  const response = await admitted(request, path, parts, policy);
  response.headers.set("Content-Security-Policy", policy);
  response.headers.set("Cache-Control", "private, no-store");
  return secured(response);
}

async function admitted(
  request: NextRequest,
  path: string,
  parts: Services,
  policy: string,
): Promise<NextResponse> {
  const session = await readSession(request, parts);
  const nowS = Math.floor(Date.now() / 1000);
  const navigates = request.headers.get("accept")?.includes("text/html") ?? false;
  const decision = decide({
    path,
    method: request.method,
    navigates,
    nowS,
    session: session && { expiresAtS: session.expiresAtS, renewable: session.refreshToken !== "" },
  });
  switch (decision) {
    case "serve":
      return passed(request, policy);
    case "sign-in":
      return toSignIn(request, path, parts);
    case "refuse":
      return new NextResponse("sign in first", { status: 401 });
    case "renew": {
      if (session === undefined) return toSignIn(request, path, parts);
      try {
        return await renewed(request, policy, parts, await parts.oidc.renew(session, nowS));
      } catch (error) {
        log("INFO", "session could not be renewed", { reasons: reasonsOf(error) });
        return navigates && request.method === "GET"
          ? toSignIn(request, path, parts)
          : new NextResponse("sign in first", { status: 401 });
      }
    }
  }
}

async function readSession(request: NextRequest, parts: Services): Promise<Session | undefined> {
  const name = cookieName("session", PRIMITIVE.instance, parts.settings.secure);
  const sealed = joinedCookies(name, (part) => request.cookies.get(part)?.value);
  return sealed === "" ? undefined : parts.seal.openSession(sealed);
}

function passed(request: NextRequest, policy: string): NextResponse {
  const headers = new Headers(request.headers);
  // Next takes the nonce for its own scripts from here; whatever the browser sent is replaced.
  headers.set("Content-Security-Policy", policy);
  return NextResponse.next({ request: { headers } });
}

async function renewed(
  request: NextRequest,
  policy: string,
  { seal, settings }: Services,
  session: Session,
): Promise<NextResponse> {
  const name = cookieName("session", PRIMITIVE.instance, settings.secure);
  const maxAge = session.endsAtS - Math.floor(Date.now() / 1000);
  const present = request.cookies.getAll().map((cookie) => cookie.name);
  const changes = plannedCookies(name, await seal.sealSession(session), maxAge, present);
  // The page behind reads the new session from the request, the browser from the answer.
  for (const change of changes) request.cookies.set(change.name, change.value);
  const response = passed(request, policy);
  for (const change of changes) {
    const attributes = cookieAttributes(PRIMITIVE.pathPrefix, settings.secure, change.maxAge);
    response.cookies.set(change.name, change.value, attributes);
  }
  return response;
}

function toSignIn(request: NextRequest, path: string, { settings }: Services): NextResponse {
  const address = addressOf(settings.publicOrigin, PRIMITIVE.pathPrefix, "/auth/login");
  address.searchParams.set("return_to", `${path}${request.nextUrl.search}`);
  return NextResponse.redirect(address, 302);
}

function secured(response: NextResponse): NextResponse {
  for (const { key, value } of STATIC_HEADERS) response.headers.set(key, value);
  return response;
}
