/** Answers of route handlers that set cookies or send browsers elsewhere. */

import { type NextRequest, NextResponse } from "next/server";
import { addressOf } from "./addresses.ts";
import { cookieAttributes, cookieName, joinedCookies, plannedCookies } from "./cookies.ts";
import { PRIMITIVE } from "./primitive.ts";
import { services } from "./services.ts";

type Purpose = "session" | "login";

/** A redirect that is always followed by GET. */
export function seeOther(target: URL): NextResponse {
  return new NextResponse(null, { status: 303, headers: { location: target.href } });
}

/** A redirect to a path below the prefix. */
export function seePath(path: string): NextResponse {
  return seeOther(addressOf(services().settings.publicOrigin, PRIMITIVE.pathPrefix, path));
}

/** A redirect to the page that says why somebody is not signed in. */
export function seeSignedOut(reason: string): NextResponse {
  return seePath(`/signed-out?reason=${reason}`);
}

/** The sealed value that the browser sent; empty when there is none. */
export function readSealed(request: NextRequest, purpose: Purpose): string {
  const name = cookieName(purpose, PRIMITIVE.instance, services().settings.secure);
  return joinedCookies(name, (part) => request.cookies.get(part)?.value);
}

/** Makes the browser keep `sealed`, or forget what it holds when that is empty. */
export function keepSealed(
  response: NextResponse,
  request: NextRequest,
  purpose: Purpose,
  sealed: string,
  maxAgeS: number,
): void {
  const { secure } = services().settings;
  const name = cookieName(purpose, PRIMITIVE.instance, secure);
  const present = request.cookies.getAll().map((cookie) => cookie.name);
  for (const change of plannedCookies(name, sealed, maxAgeS, present)) {
    const attributes = cookieAttributes(PRIMITIVE.pathPrefix, secure, change.maxAge);
    response.cookies.set(change.name, change.value, attributes);
  }
}
