/**
 * Calls to one service over HTTP and JSON. Each carries the token, tenant and trace of the current
 * work, goes to the configured origin alone, ends in time, and fails with a typed error.
 */

import { currentIdentity, currentTrace } from "./tenancy.ts";
import { traceparentOf } from "./trace.ts";

export type ApiFailure =
  | "unauthenticated"
  | "forbidden"
  | "not-found"
  | "conflict"
  | "invalid"
  | "rate-limited"
  | "unavailable"
  | "time-out"
  | "malformed";

/** A call failed. `detail` is the service's own words (RFC 9457), to be shown as text only. */
export class ApiError extends Error {
  readonly failure: ApiFailure;
  readonly status: number | undefined;
  readonly detail: string;
  readonly retryAfterS: number | undefined;

  constructor(
    failure: ApiFailure,
    details: { status?: number; detail?: string; retryAfterS?: number | undefined } = {},
    options?: ErrorOptions,
  ) {
    super(`the call failed: ${failure}`, options);
    this.name = "ApiError";
    this.failure = failure;
    this.status = details.status;
    this.detail = details.detail ?? "";
    this.retryAfterS = details.retryAfterS;
  }
}

/** Turns an answer's JSON into a value, or throws a TypeError that says what is wrong. */
export type Parse<T> = (json: unknown) => T;

export type ApiClientOptions = {
  readonly origin: string;
  readonly timeoutMs: number;
  readonly maxAnswerBytes?: number;
  readonly fetch?: typeof fetch;
};

type Query = Readonly<Record<string, string | number | undefined>>;

export type Change = {
  readonly body?: unknown;
  /** The ETag that the change rests on. */
  readonly ifMatch?: string;
  readonly idempotencyKey?: string;
};

export class ApiClient {
  readonly #options: Required<ApiClientOptions>;

  constructor(options: ApiClientOptions) {
    this.#options = { maxAnswerBytes: 1024 * 1024, fetch: globalThis.fetch, ...options };
  }

  /** What is at `path`. Throws ApiError, or NoTenant outside of a request. */
  async get<T>(path: string, parse: Parse<T>, query: Query = {}): Promise<T> {
    return parsed(parse, await this.#call("GET", path, query, {}));
  }

  /** What the service answers to a change. Throws ApiError, or NoTenant outside of a request. */
  async send<T>(
    method: "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    change: Change,
    parse: Parse<T>,
  ): Promise<T> {
    return parsed(parse, await this.#call(method, path, {}, change));
  }

  async #call(method: string, path: string, query: Query, change: Change): Promise<unknown> {
    const { timeoutMs, maxAnswerBytes } = this.#options;
    const url = this.#urlOf(path, query);
    const headers = headersOf(change);
    const body = change.body === undefined ? null : JSON.stringify(change.body);
    const signal = AbortSignal.timeout(timeoutMs);
    // A redirect could carry the token to another host, so none is followed. Answers belong to
    // one tenant, so nothing caches them.
    const rules = { redirect: "manual", cache: "no-store" } as const;
    let status: number;
    let answer: string;
    let retryAfter: string | null;
    try {
      const { fetch } = this.#options;
      const response = await fetch(url, { method, headers, body, signal, ...rules });
      status = response.status;
      retryAfter = response.headers.get("retry-after");
      answer = await readBounded(response, maxAnswerBytes);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new ApiError(signal.aborted ? "time-out" : "unavailable", {}, { cause: error });
    }
    if (status >= 200 && status < 300) return status === 204 ? undefined : jsonOf(answer, status);
    throw new ApiError(failureOf(status), {
      status,
      detail: detailOf(answer),
      retryAfterS: /^\d{1,6}$/.test(retryAfter ?? "") ? Number(retryAfter) : undefined,
    });
  }

  #urlOf(path: string, query: Query): URL {
    const url = new URL(path, this.#options.origin);
    if (!path.startsWith("/") || url.origin !== this.#options.origin) {
      throw new TypeError("a call's path must stay on the service's origin");
    }
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return url;
  }
}

function headersOf(change: Change): Record<string, string> {
  const identity = currentIdentity();
  return {
    accept: "application/json",
    authorization: `Bearer ${identity.token}`,
    traceparent: traceparentOf(currentTrace()),
    "x-tenant-id": identity.tenantId,
    ...(change.body === undefined ? {} : { "content-type": "application/json" }),
    ...(change.ifMatch === undefined ? {} : { "if-match": change.ifMatch }),
    ...(change.idempotencyKey === undefined ? {} : { "idempotency-key": change.idempotencyKey }),
  };
}

async function readBounded(response: Response, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.byteLength;
    if (size > maxBytes) {
      throw new ApiError("malformed", {
        status: response.status,
        detail: "the answer is too large",
      });
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function parsed<T>(parse: Parse<T>, json: unknown): T {
  try {
    return parse(json);
  } catch (error) {
    throw new ApiError("malformed", {}, { cause: error });
  }
}

function jsonOf(answer: string, status: number): unknown {
  try {
    return JSON.parse(answer);
  } catch (error) {
    throw new ApiError("malformed", { status }, { cause: error });
  }
}

function detailOf(answer: string): string {
  try {
    const problem: unknown = JSON.parse(answer);
    if (typeof problem !== "object" || problem === null) return "";
    const said = "detail" in problem ? problem.detail : "title" in problem ? problem.title : "";
    return typeof said === "string" ? said.slice(0, 300) : "";
  } catch {
    return ""; // an error page of a proxy, which tells people nothing
  }
}

function failureOf(status: number): ApiFailure {
  switch (status) {
    case 401:
      return "unauthenticated";
    case 403:
      return "forbidden";
    case 404:
    case 410:
      return "not-found";
    case 409:
    case 412:
    case 428:
      return "conflict";
    case 429:
      return "rate-limited";
    default:
      return status >= 500 ? "unavailable" : status >= 400 ? "invalid" : "malformed";
  }
}
