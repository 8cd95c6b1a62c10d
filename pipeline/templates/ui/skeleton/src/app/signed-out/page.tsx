import type { Metadata } from "next";
import { PRIMITIVE } from "#src/lib/primitive.ts";
import { signedOutWords } from "#src/lib/words.ts";

export const metadata: Metadata = { title: "Signed out" };

type Search = { searchParams: Promise<{ reason?: string | string[] }> };

export default async function SignedOutPage({ searchParams }: Search) {
  const { reason } = await searchParams;
  return (
    <div className="card empty">
      <h1>{PRIMITIVE.id}</h1>
      <p role="status">{signedOutWords(typeof reason === "string" ? reason : undefined)}</p>
      <p>
        {/* No <Link>: the answer is the issuer's page, which cannot be loaded by script. */}
        <a className="button" href={`${PRIMITIVE.pathPrefix}/auth/login`}>
          Sign in
        </a>
      </p>
    </div>
  );
}
