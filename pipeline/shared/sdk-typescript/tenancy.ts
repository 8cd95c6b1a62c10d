/** The identity and trace that the current work is for. They follow it through `await`. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Identity } from "./claims.ts";
import type { Trace } from "./trace.ts";

/** Code that needs a tenant ran outside of a request. */
export class NoTenant extends Error {
  constructor() {
    super("there is no verified identity here");
    this.name = "NoTenant";
  }
}

type Bound = { readonly identity: Identity; readonly trace: Trace };

const BOUND = new AsyncLocalStorage<Bound>();

/** What `work` returns, done for this identity. */
export function bound<T>(identity: Identity, trace: Trace, work: () => T): T {
  return BOUND.run({ identity, trace }, work);
}

/** The identity of the current work. Throws NoTenant. */
export function currentIdentity(): Identity {
  return current().identity;
}

/** The trace of the current work. Throws NoTenant. */
export function currentTrace(): Trace {
  return current().trace;
}

function current(): Bound {
  const found = BOUND.getStore();
  if (found === undefined) throw new NoTenant();
  return found;
}
