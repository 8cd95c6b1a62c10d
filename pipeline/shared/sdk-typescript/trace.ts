/** W3C trace context: the trace that a request belongs to, continued towards other services. */

export type Trace = {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
};

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** A new span in the caller's trace, or in a new trace when `traceparent` names none. */
export function continueTrace(traceparent: string | null | undefined): Trace {
  const match = TRACEPARENT.exec(traceparent ?? "");
  const [, traceId = "", parent = "", flags = "01"] = match ?? [];
  // Version 00 has nothing after the flags (Trace Context, section 3.2.2).
  const malformed = traceparent?.startsWith("00-") && match?.[4] !== undefined;
  if (match === null || malformed || isZero(traceId) || isZero(parent)) {
    return { traceId: randomHex(16), spanId: randomHex(8), sampled: true };
  }
  return { traceId, spanId: randomHex(8), sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The header that carries the trace on. */
export function traceparentOf(trace: Trace): string {
  return `00-${trace.traceId}-${trace.spanId}-${trace.sampled ? "01" : "00"}`;
}

function isZero(hex: string): boolean {
  return /^0*$/.test(hex);
}

function randomHex(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
}
