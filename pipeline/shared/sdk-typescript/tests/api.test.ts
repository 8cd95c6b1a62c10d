import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { ApiClient, ApiError } from "../api.ts";
import { identityOfClaims } from "../claims.ts";
import { PlatformApi, parsePrimitive } from "../platform.ts";
import { bound, currentIdentity, NoTenant } from "../tenancy.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const ITEM = {
  id: "order-router",
  type: "domain",
  state: "PROMOTED_DEV",
  description: "Routes orders",
  updated_at: "2030-01-02T03:04:05Z",
};
const TRACE = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true };

let handler: Handler = (_, response) => response.end();
const server = createServer((request, response) => handler(request, response));
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
after(() => {
  server.closeAllConnections();
  server.close();
});
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const client = new ApiClient({ origin, timeoutMs: 300, maxAnswerBytes: 2_000 });

function identity(tenant: string) {
  const rules = { tenantClaim: "tenant_id", onlyTenant: "" };
  return identityOfClaims({ sub: "7", tenant_id: tenant }, `token-of-${tenant}`, rules);
}

function asAcme<T>(work: () => T): T {
  return bound(identity("acme"), TRACE, work);
}

function answering(status: number, body: unknown, headers: Record<string, string> = {}): Handler {
  return (_, response) => response.writeHead(status, headers).end(JSON.stringify(body));
}

async function failureOf(work: () => Promise<unknown>): Promise<ApiError> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    return error;
  }
  assert.fail("the call did not fail");
}

test("a call carries token, tenant and trace", async () => {
  let seen: IncomingMessage | undefined;
  handler = (request, response) => {
    seen = request;
    answering(200, { items: [ITEM], next_page_token: "n" })(request, response);
  };
  const page = await asAcme(() => new PlatformApi(client).listPrimitives({ pageToken: "a b&c" }));
  assert.equal(seen?.headers.authorization, "Bearer token-of-acme");
  assert.equal(seen.headers["x-tenant-id"], "acme");
  assert.equal(seen.headers.traceparent, `00-${TRACE.traceId}-${TRACE.spanId}-01`);
  assert.equal(seen.url, "/v1/primitives?page_size=20&page_token=a+b%26c");
  assert.deepEqual(page.items[0], parsePrimitive(ITEM));
  assert.equal(page.nextPageToken, "n");
});

test("no call is made for nobody", async () => {
  let called = false;
  handler = (_, response) => {
    called = true;
    response.end();
  };
  await assert.rejects(
    () => client.get("/", (json) => json),
    (error) => error instanceof NoTenant,
  );
  assert.equal(called, false);
});

test("work at the same time keeps its own tenant", async () => {
  const tenants = ["acme", "contoso"];
  const found = await Promise.all(
    Array.from({ length: 50 }, (_, index) => {
      const tenant = tenants[index % 2] ?? "";
      return bound(identity(tenant), TRACE, async () => {
        await new Promise((resolve) => setTimeout(resolve, index % 7));
        return currentIdentity().tenantId === tenant;
      });
    }),
  );
  assert.ok(found.every(Boolean));
});

for (const path of ["//elsewhere.invalid/x", "https://elsewhere.invalid/x", "x", "/\\elsewhere"]) {
  test(`the token does not go to ${path}`, async () => {
    await assert.rejects(
      asAcme(() => client.get(path, (json) => json)),
      TypeError,
    );
  });
}

for (const [status, failure] of [
  [400, "invalid"],
  [401, "unauthenticated"],
  [403, "forbidden"],
  [404, "not-found"],
  [412, "conflict"],
  [429, "rate-limited"],
  [500, "unavailable"],
  [503, "unavailable"],
] as const) {
  test(`the answer ${status} is ${failure}, with the service's words`, async () => {
    handler = answering(status, { title: "t", detail: "why" }, { "retry-after": "7" });
    const error = await failureOf(() => asAcme(() => client.get("/", (json) => json)));
    assert.equal(error.failure, failure);
    assert.equal(error.status, status);
    assert.equal(error.detail, "why");
    assert.equal(error.retryAfterS, 7);
  });
}

test("a redirect is not followed", async () => {
  handler = answering(302, {}, { location: "/v1/primitives" });
  const error = await failureOf(() => asAcme(() => client.get("/", (json) => json)));
  assert.equal(error.failure, "malformed");
});

test("a service that is slow to begin or to end is given up", async () => {
  handler = () => undefined;
  const begin = await failureOf(() => asAcme(() => client.get("/", (json) => json)));
  handler = (_, response) => response.write("{");
  const end = await failureOf(() => asAcme(() => client.get("/", (json) => json)));
  assert.deepEqual([begin.failure, end.failure], ["time-out", "time-out"]);
});

test("a service that is not there is unavailable", async () => {
  const nowhere = new ApiClient({ origin: "http://127.0.0.1:1", timeoutMs: 300 });
  const error = await failureOf(() => asAcme(() => nowhere.get("/", (json) => json)));
  assert.equal(error.failure, "unavailable");
});

test("an endless answer is cut off", async () => {
  handler = (_, response) => response.end(JSON.stringify("x".repeat(3_000)));
  const error = await failureOf(() => asAcme(() => client.get("/", (json) => json)));
  assert.equal(error.failure, "malformed");
});

for (const [name, value] of [
  ["id", 7],
  ["type", "daemon"],
  ["state", "UNKNOWN"],
  ["updated_at", "yesterday"],
] as const) {
  test(`an item whose ${name} is ${value} is malformed`, async () => {
    handler = answering(200, { items: [{ ...ITEM, [name]: value }] });
    const error = await failureOf(() => asAcme(() => new PlatformApi(client).listPrimitives()));
    assert.equal(error.failure, "malformed");
  });
}

test("a change carries its body, version and idempotency key", async () => {
  let seen: IncomingMessage | undefined;
  let body = "";
  handler = (request, response) => {
    seen = request;
    request.on("data", (part) => {
      body += part;
    });
    request.on("end", () => response.writeHead(204).end());
  };
  const change = { body: { name: "n" }, ifMatch: '"3"', idempotencyKey: "k" };
  await asAcme(() => client.send("PUT", "/v1/x", change, () => undefined));
  assert.equal(seen?.method, "PUT");
  assert.equal(seen.headers["if-match"], '"3"');
  assert.equal(seen.headers["idempotency-key"], "k");
  assert.equal(body, '{"name":"n"}');
});

test("a path is one segment, whatever the id holds", async () => {
  let url: string | undefined;
  handler = (request, response) => {
    url = request.url;
    answering(200, ITEM)(request, response);
  };
  await asAcme(() => new PlatformApi(client).readPrimitive("a/../b?c"));
  assert.equal(url, "/v1/primitives/a%2F..%2Fb%3Fc");
});
