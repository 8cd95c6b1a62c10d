import type { NextRequest, NextResponse } from "next/server";
import { safeReturnPath } from "#src/lib/addresses.ts";
import { keepSealed, seeOther, seeSignedOut } from "#src/lib/answers.ts";
import { log, reasonsOf } from "#src/lib/log.ts";
import { services } from "#src/lib/services.ts";

const LOGIN_MAX_S = 600;

/** Sends the browser to the issuer, and seals what must come back into a cookie. */
export async function GET(request: NextRequest): Promise<NextResponse> {
  const { oidc, seal } = services();
  const returnTo = safeReturnPath(request.nextUrl.searchParams.get("return_to"));
  try {
    const { url, login } = await oidc.begin(returnTo);
    const response = seeOther(url);
    const endsAtS = Math.floor(Date.now() / 1000) + LOGIN_MAX_S;
    keepSealed(response, request, "login", await seal.sealLogin(login, endsAtS), LOGIN_MAX_S);
    return response;
  } catch (error) {
    log("ERROR", "the issuer does not answer", { reasons: reasonsOf(error) });
    return seeSignedOut("unavailable");
  }
}
