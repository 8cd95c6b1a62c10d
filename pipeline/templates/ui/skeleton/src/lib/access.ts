/**
 * Who is signed in, as pages ask it. Each page asks for itself and the token is verified each time:
 * the proxy only saves people a detour, and nothing rests on it.
 */

import { cookies, headers } from "next/headers";
import { redirect } from "next/navigation";
import { cache } from "react";
import { type Identity, Unauthenticated } from "#sdk/claims.ts";
import { bound } from "#sdk/tenancy.ts";
import { continueTrace } from "#sdk/trace.ts";
import { cookieName, joinedCookies } from "./cookies.ts";
import { PRIMITIVE } from "./primitive.ts";
import { services } from "./services.ts";

export type Visitor = { readonly identity: Identity; readonly name: string };

/** The person who is signed in, or nothing. One answer a request. */
export const currentVisitor = cache(async (): Promise<Visitor | undefined> => {
  const { seal, settings, verifier } = services();
  const jar = await cookies();
  const name = cookieName("session", PRIMITIVE.instance, settings.secure);
  const sealed = joinedCookies(name, (part) => jar.get(part)?.value);
  const session = sealed === "" ? undefined : await seal.openSession(sealed);
  if (session === undefined) return undefined;
  try {
    const identity = await verifier.verify(`Bearer ${session.accessToken}`);
    return { identity, name: session.name };
  } catch (error) {
    if (error instanceof Unauthenticated) return undefined;
    throw error;
  }
});

/** What `work` returns for the person who is signed in; others are sent to sign in. */
export async function asVisitor<T>(
  returnTo: string,
  work: (visitor: Visitor) => Promise<T>,
): Promise<T> {
  const visitor = await currentVisitor();
  if (visitor === undefined) signIn(returnTo);
  const trace = continueTrace((await headers()).get("traceparent"));
  return bound(visitor.identity, trace, () => work(visitor));
}

/** Sends the browser to sign in and then back to `returnTo`. */
export function signIn(returnTo: string): never {
  redirect(`/auth/login?return_to=${encodeURIComponent(returnTo)}`);
}
