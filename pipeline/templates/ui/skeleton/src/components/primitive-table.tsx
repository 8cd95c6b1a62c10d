import Link from "next/link";
import type { Page, Primitive } from "#sdk/platform.ts";
import { TYPE_WORDS, timeWords } from "#src/lib/words.ts";
import { StateBadge } from "./state-badge.tsx";

type Props = { page: Page<Primitive>; tenantId: string; first: boolean };

/** A page of primitives, or what to do when there are none. */
export function PrimitiveTable({ page, tenantId, first }: Props) {
  if (page.items.length === 0) {
    return (
      <div className="card empty">
        <h2>Nothing here yet</h2>
        <p>
          {first
            ? `${tenantId} has no primitives. The first one appears here once its draft is accepted.`
            : "There are no more primitives."}
        </p>
      </div>
    );
  }
  return (
    <div className="card">
      <table>
        <caption className="hidden">Primitives of {tenantId}</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Type</th>
            <th scope="col">State</th>
            <th scope="col">Updated</th>
          </tr>
        </thead>
        <tbody>
          {page.items.map((item) => (
            <tr key={item.id}>
              <th scope="row">
                <Link href={`/primitives/${encodeURIComponent(item.id)}`} prefetch={false}>
                  {item.id}
                </Link>
                <span className="detail">{item.description}</span>
              </th>
              <td>{TYPE_WORDS[item.type]}</td>
              <td>
                <StateBadge state={item.state} />
              </td>
              <td>
                <time dateTime={item.updatedAt.toISOString()}>{timeWords(item.updatedAt)}</time>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Pages next={page.nextPageToken} first={first} />
    </div>
  );
}

function Pages({ next, first }: { next: string | undefined; first: boolean }) {
  if (next === undefined && first) return null;
  return (
    <nav className="pages" aria-label="Pages">
      {first ? null : (
        <Link href="/" prefetch={false}>
          First page
        </Link>
      )}
      {next === undefined ? null : (
        <Link href={`/?page_token=${encodeURIComponent(next)}`} prefetch={false}>
          Next page
        </Link>
      )}
    </nav>
  );
}
