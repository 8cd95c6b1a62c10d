/** What this primitive is: rendered once from the request that made it. */

import primitive from "#primitive" with { type: "json" };

export type PrimitiveFacts = {
  readonly id: string;
  readonly instance: string;
  readonly description: string;
  readonly owner: string;
  readonly platform: string;
  readonly pathPrefix: string;
  readonly scopes: readonly string[];
  readonly template: string;
};

export const PRIMITIVE: PrimitiveFacts = primitive;
