import type { Metadata } from "next";
import Link from "next/link";
import { notFound } from "next/navigation";
import { CallFailed } from "#src/components/call-failed.tsx";
import { StateBadge } from "#src/components/state-badge.tsx";
import { asVisitor } from "#src/lib/access.ts";
import { isPrimitiveId } from "#src/lib/names.ts";
import { readOrFail } from "#src/lib/read.ts";
import { services } from "#src/lib/services.ts";
import { TYPE_WORDS, timeWords } from "#src/lib/words.ts";

type Props = { params: Promise<{ id: string }> };

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const { id } = await params;
  return { title: isPrimitiveId(id) ? id : "Not found" };
}

/** One primitive of the visitor's tenant. */
export default async function PrimitivePage({ params }: Props) {
  const { id } = await params;
  if (!isPrimitiveId(id)) notFound();
  const here = `/primitives/${id}`;
  return asVisitor(here, async () => {
    const found = await readOrFail(here, () => services().api.readPrimitive(id));
    return (
      <>
        <nav className="trail" aria-label="Breadcrumb">
          <Link href="/" prefetch={false}>
            Primitives
          </Link>
        </nav>
        <div className="heading">
          <h1>{id}</h1>
        </div>
        {found.ok ? (
          <div className="card">
            <dl className="facts">
              <dt>Description</dt>
              <dd>{found.value.description}</dd>
              <dt>Type</dt>
              <dd>{TYPE_WORDS[found.value.type]}</dd>
              <dt>State</dt>
              <dd>
                <StateBadge state={found.value.state} />
              </dd>
              <dt>Updated</dt>
              <dd>{timeWords(found.value.updatedAt)}</dd>
            </dl>
          </div>
        ) : (
          <CallFailed failure={found.failure} here={here} />
        )}
      </>
    );
  });
}
