import type { Primitive } from "#sdk/platform.ts";
import { STATE_WORDS } from "#src/lib/words.ts";

/** A state in words, with a colour that says the same. */
export function StateBadge({ state }: { state: Primitive["state"] }) {
  const { label, tone } = STATE_WORDS[state];
  return <span className={`badge badge-${tone}`}>{label}</span>;
}
