"use client";

/** What people see when a page throws. The digest finds the error in the logs. */
export default function PageError({
  error,
  reset,
}: {
  error: Error & { digest?: string };
  reset: () => void;
}) {
  return (
    <div className="card problem" role="alert">
      <h1>Something went wrong</h1>
      <p>The page could not be made. Try again; if it stays, tell its owner this code.</p>
      {error.digest === undefined ? null : <p className="code">{error.digest}</p>}
      <p>
        <button className="button" type="button" onClick={reset}>
          Try again
        </button>
      </p>
    </div>
  );
}
