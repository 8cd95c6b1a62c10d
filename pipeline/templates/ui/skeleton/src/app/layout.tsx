import type { Metadata, Viewport } from "next";
import Link from "next/link";
import { connection } from "next/server";
import type { ReactNode } from "react";
import { currentVisitor, type Visitor } from "#src/lib/access.ts";
import { PRIMITIVE } from "#src/lib/primitive.ts";
import "./workspace.css";

export const metadata: Metadata = {
  title: { default: PRIMITIVE.id, template: `%s · ${PRIMITIVE.id}` },
  description: PRIMITIVE.description,
  robots: { index: false, follow: false },
};

export const viewport: Viewport = { colorScheme: "light", themeColor: "#14213d" };

export default async function Layout({ children }: { children: ReactNode }) {
  // Each page carries its request's nonce, so none can be made at build time.
  await connection();
  const visitor = await currentVisitor();
  return (
    <html lang="en">
      <body>
        <a className="skip" href="#content">
          Skip to content
        </a>
        <header className="bar">
          <div className="bar-inner">
            <Link className="brand" href="/" prefetch={false}>
              <span className="brand-mark" aria-hidden="true" />
              {PRIMITIVE.id}
            </Link>
            {visitor === undefined ? null : <Account visitor={visitor} />}
          </div>
        </header>
        <main id="content" tabIndex={-1}>
          {children}
        </main>
        <footer className="foot">
          <p>
            {PRIMITIVE.platform} · owned by {PRIMITIVE.owner}
          </p>
        </footer>
      </body>
    </html>
  );
}

function Account({ visitor }: { visitor: Visitor }) {
  return (
    <section className="account" aria-label="Account">
      <span className="tenant">
        <span className="hidden">Tenant: </span>
        {visitor.identity.tenantId}
      </span>
      <span className="person">{visitor.name}</span>
      <form action={`${PRIMITIVE.pathPrefix}/auth/logout`} method="post">
        <button className="button-quiet" type="submit">
          Sign out
        </button>
      </form>
    </section>
  );
}
