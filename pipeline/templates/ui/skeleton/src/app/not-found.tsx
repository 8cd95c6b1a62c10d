import type { Metadata } from "next";
import Link from "next/link";

export const metadata: Metadata = { title: "Not found" };

export default function NotFound() {
  return (
    <div className="card empty">
      <h1>Not found</h1>
      <p>There is nothing here, or it belongs to another tenant.</p>
      <p>
        <Link className="button" href="/" prefetch={false}>
          To the primitives
        </Link>
      </p>
    </div>
  );
}
