import type { ApiFailure } from "#sdk/api.ts";
import { PRIMITIVE } from "#src/lib/primitive.ts";
import { failureWords } from "#src/lib/words.ts";

/** Says that a call failed; `here` is the page to load again, below the prefix. */
export function CallFailed({ failure, here }: { failure: ApiFailure; here: string }) {
  const { text, retry } = failureWords(failure);
  return (
    <div className="card problem" role="alert">
      <h2>This could not be loaded</h2>
      <p>{text}</p>
      {retry ? (
        <p>
          <a className="button" href={`${PRIMITIVE.pathPrefix}${here}`}>
            Try again
          </a>
        </p>
      ) : null}
    </div>
  );
}
