import { type NextRequest, NextResponse } from "next/server";
import { keepSealed, readSealed, seeOther, seePath } from "#src/lib/answers.ts";
import { log, reasonsOf } from "#src/lib/log.ts";
import { services } from "#src/lib/services.ts";

/** Ends the session here and at the issuer. By POST from this origin alone. */
export async function POST(request: NextRequest): Promise<NextResponse> {
  const { oidc, seal, settings } = services();
  if (request.headers.get("origin") !== settings.publicOrigin) {
    return new NextResponse("not from here", { status: 403 });
  }
  const session = await seal.openSession(readSealed(request, "session"));
  const response = await ended(oidc.end(session?.idToken));
  keepSealed(response, request, "session", "", 0);
  return response;
}

async function ended(address: Promise<URL>): Promise<NextResponse> {
  try {
    return seeOther(await address);
  } catch (error) {
    log("WARNING", "the issuer's session could not be ended", { reasons: reasonsOf(error) });
    return seePath("/signed-out");
  }
}
