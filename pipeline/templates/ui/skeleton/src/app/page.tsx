import { CallFailed } from "#src/components/call-failed.tsx";
import { PrimitiveTable } from "#src/components/primitive-table.tsx";
import { asVisitor } from "#src/lib/access.ts";
import { PRIMITIVE } from "#src/lib/primitive.ts";
import { readOrFail } from "#src/lib/read.ts";
import { services } from "#src/lib/services.ts";

type Search = { searchParams: Promise<{ page_token?: string | string[] }> };

/** The primitives of the visitor's tenant, a page at a time. */
export default async function PrimitivesPage({ searchParams }: Search) {
  const { page_token: token } = await searchParams;
  const pageToken = typeof token === "string" && token.length <= 500 ? token : undefined;
  const here = pageToken === undefined ? "/" : `/?page_token=${encodeURIComponent(pageToken)}`;
  return asVisitor(here, async ({ identity }) => {
    const found = await readOrFail(here, () => services().api.listPrimitives({ pageToken }));
    return (
      <>
        <div className="heading">
          <h1>Primitives</h1>
          <p className="lead">{PRIMITIVE.description}</p>
        </div>
        {found.ok ? (
          <PrimitiveTable page={found.value} tenantId={identity.tenantId} first={!pageToken} />
        ) : (
          <CallFailed failure={found.failure} here={here} />
        )}
      </>
    );
  });
}
