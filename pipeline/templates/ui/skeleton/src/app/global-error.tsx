"use client";

import "./workspace.css";

/** What people see when even the frame around the pages fails. */
export default function FrameError({ error }: { error: Error & { digest?: string } }) {
  return (
    <html lang="en">
      <body>
        <title>Something went wrong</title>
        <main>
          <div className="card problem" role="alert">
            <h1>Something went wrong</h1>
            <p>Try again in a moment.</p>
            {error.digest === undefined ? null : <p className="code">{error.digest}</p>}
          </div>
        </main>
      </body>
    </html>
  );
}
