/** The platform API as the UI uses it: the tenant's primitives, a page at a time. */

import type { ApiClient } from "./api.ts";

/** The states of a draft (design §4). */
export const STATES = [
  "PENDING",
  "SCAFFOLDED",
  "IN_REVIEW",
  "PROMOTED_DEV",
  "PROMOTED_STAGING",
  "PROMOTED_PROD",
  "REJECTED",
] as const;

export const PRIMITIVE_TYPES = ["domain", "process", "agent", "ui"] as const;

export type Primitive = {
  readonly id: string;
  readonly type: (typeof PRIMITIVE_TYPES)[number];
  readonly state: (typeof STATES)[number];
  readonly description: string;
  readonly updatedAt: Date;
};

export type Page<T> = { readonly items: readonly T[]; readonly nextPageToken: string | undefined };

export class PlatformApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** A page of the tenant's primitives, in the service's order. */
  async listPrimitives(options: { pageSize?: number; pageToken?: string | undefined } = {}) {
    const { pageSize = 20, pageToken } = options;
    const query = { page_size: pageSize, page_token: pageToken };
    return this.#client.get("/v1/primitives", (json) => pageOf(json, parsePrimitive), query);
  }

  /** One primitive of the tenant. */
  async readPrimitive(id: string): Promise<Primitive> {
    return this.#client.get(`/v1/primitives/${encodeURIComponent(id)}`, parsePrimitive);
  }
}

/** A page whose items `parse` accepts. Throws TypeError. */
export function pageOf<T>(json: unknown, parse: (item: unknown) => T): Page<T> {
  const page = objectOf(json, "page");
  const items = page.items;
  if (!Array.isArray(items)) throw new TypeError("the page has no items");
  const token = page.next_page_token;
  return {
    items: items.map(parse),
    nextPageToken: typeof token === "string" && token !== "" ? token : undefined,
  };
}

/** A primitive as the API writes it. Throws TypeError. */
export function parsePrimitive(json: unknown): Primitive {
  const item = objectOf(json, "primitive");
  const updatedAt = new Date(textOf(item, "updated_at"));
  if (Number.isNaN(updatedAt.getTime())) throw new TypeError("`updated_at` is no time");
  return {
    id: textOf(item, "id"),
    type: wordOf(item, "type", PRIMITIVE_TYPES),
    state: wordOf(item, "state", STATES),
    description: textOf(item, "description"),
    updatedAt,
  };
}

function objectOf(json: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new TypeError(`the ${what} is no object`);
  }
  return json as Readonly<Record<string, unknown>>;
}

function textOf(item: Readonly<Record<string, unknown>>, name: string): string {
  const value = item[name];
  if (typeof value !== "string") throw new TypeError(`\`${name}\` is no text`);
  return value;
}

function wordOf<T extends string>(
  item: Readonly<Record<string, unknown>>,
  name: string,
  words: readonly T[],
): T {
  const found = words.find((word) => word === item[name]);
  if (found === undefined) throw new TypeError(`\`${name}\` is none of ${words.join(", ")}`);
  return found;
}
