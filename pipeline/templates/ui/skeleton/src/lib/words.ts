/** How things are put into words for people. */

import type { ApiFailure } from "#sdk/api.ts";
import type { Primitive } from "#sdk/platform.ts";

export type StateWords = {
  readonly label: string;
  readonly tone: "quiet" | "busy" | "good" | "bad";
};

/** A state in words, with the tone of its badge; the tone never tells more than the label. */
export const STATE_WORDS: Readonly<Record<Primitive["state"], StateWords>> = {
  PENDING: { label: "Pending", tone: "quiet" },
  SCAFFOLDED: { label: "Scaffolded", tone: "quiet" },
  IN_REVIEW: { label: "In review", tone: "busy" },
  PROMOTED_DEV: { label: "In dev", tone: "busy" },
  PROMOTED_STAGING: { label: "In staging", tone: "busy" },
  PROMOTED_PROD: { label: "In production", tone: "good" },
  REJECTED: { label: "Rejected", tone: "bad" },
};

export const TYPE_WORDS: Readonly<Record<Primitive["type"], string>> = {
  domain: "Domain",
  process: "Process",
  agent: "Agent",
  ui: "User interface",
};

/** What to tell people about a failed call, and whether trying again can help. */
export function failureWords(failure: ApiFailure): { text: string; retry: boolean } {
  switch (failure) {
    case "time-out":
    case "unavailable":
      return { text: "The platform does not answer right now.", retry: true };
    case "rate-limited":
      return { text: "There were too many requests. Wait a moment.", retry: true };
    case "forbidden":
      return { text: "You may not see this. Ask your administrator for access.", retry: false };
    default:
      return { text: "The platform gave an answer that cannot be shown.", retry: true };
  }
}

const SIGNED_OUT_WORDS: Readonly<Record<string, string>> = {
  expired: "Signing in took too long. Try again.",
  refused: "The sign-in was refused. Try again, or ask your administrator.",
  tenant: "Your account does not belong to this workspace.",
  unavailable: "The sign-in service does not answer right now.",
};

/** Why somebody is on the signed-out page; only known reasons are put into words. */
export function signedOutWords(reason: string | undefined): string {
  const known = reason !== undefined && Object.hasOwn(SIGNED_OUT_WORDS, reason);
  return (known && SIGNED_OUT_WORDS[reason]) || "You are signed out.";
}

const TIME = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "short",
  timeZone: "UTC",
});

/** A time in words, in UTC. */
export function timeWords(at: Date): string {
  return `${TIME.format(at)} UTC`;
}
