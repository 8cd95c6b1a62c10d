import type { NextRequest, NextResponse } from "next/server";
import { Unauthenticated } from "#sdk/claims.ts";
import { keepSealed, readSealed, seePath, seeSignedOut } from "#src/lib/answers.ts";
import { log, reasonsOf } from "#src/lib/log.ts";
import { services } from "#src/lib/services.ts";

/** Takes the issuer's answer: state, nonce and PKCE checked, then the access token itself. */
export async function GET(request: NextRequest): Promise<NextResponse> {
  const response = await finished(request);
  // One use only, whatever came of it.
  keepSealed(response, request, "login", "", 0);
  return response;
}

async function finished(request: NextRequest): Promise<NextResponse> {
  const { oidc, seal, verifier } = services();
  const login = await seal.openLogin(readSealed(request, "login"));
  if (login === undefined) return seeSignedOut("expired");
  const nowS = Math.floor(Date.now() / 1000);
  try {
    const session = await oidc.finish(request.nextUrl.searchParams, login, nowS);
    const identity = await verifier.verify(`Bearer ${session.accessToken}`);
    const response = seePath(login.returnTo);
    const sealed = await seal.sealSession(session);
    keepSealed(response, request, "session", sealed, session.endsAtS - nowS);
    log("INFO", "signed in", { tenant: identity.tenantId, subject: identity.subject });
    return response;
  } catch (error) {
    log("WARNING", "sign-in refused", { reasons: reasonsOf(error) });
    const foreign = error instanceof Unauthenticated && error.code.startsWith("tenant-");
    return seeSignedOut(foreign ? "tenant" : "refused");
  }
}
