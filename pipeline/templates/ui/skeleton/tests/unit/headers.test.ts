import assert from "node:assert/strict";
import { test } from "node:test";
import { contentSecurityPolicy, makeNonce, STATIC_HEADERS } from "#src/lib/headers.ts";

const OPTIONS = {
  nonce: "bm9uY2U=",
  issuerOrigin: "https://id.example.invalid",
  secure: true,
  development: false,
};

function directives(policy: string): Map<string, string> {
  return new Map(
    policy.split("; ").map((line) => {
      const [name = "", ...sources] = line.split(" ");
      return [name, sources.join(" ")];
    }),
  );
}

test("scripts run by their nonce alone", () => {
  const found = directives(contentSecurityPolicy(OPTIONS));
  assert.equal(found.get("script-src"), "'self' 'nonce-bm9uY2U=' 'strict-dynamic'");
  assert.equal(found.get("default-src"), "'none'");
  assert.ok(!contentSecurityPolicy(OPTIONS).includes("unsafe"));
});

test("nobody frames it, and a form ends here or at the issuer", () => {
  const found = directives(contentSecurityPolicy(OPTIONS));
  assert.equal(found.get("frame-ancestors"), "'none'");
  assert.equal(found.get("base-uri"), "'none'");
  assert.equal(found.get("form-action"), "'self' https://id.example.invalid");
});

test("without TLS nothing is upgraded to it", () => {
  const plain = directives(contentSecurityPolicy({ ...OPTIONS, secure: false }));
  assert.ok(!plain.has("upgrade-insecure-requests"));
  assert.ok(directives(contentSecurityPolicy(OPTIONS)).has("upgrade-insecure-requests"));
});

test("a nonce has 128 bits and comes once", () => {
  const nonces = new Set(Array.from({ length: 1_000 }, makeNonce));
  assert.equal(nonces.size, 1_000);
  for (const nonce of nonces) assert.equal(Buffer.from(nonce, "base64").length, 16);
});

test("every answer is held to TLS, its type and its own origin", () => {
  const found = new Map(STATIC_HEADERS.map(({ key, value }) => [key, value]));
  assert.match(found.get("Strict-Transport-Security") ?? "", /^max-age=\d{8}/);
  assert.equal(found.get("X-Content-Type-Options"), "nosniff");
  assert.equal(found.get("Referrer-Policy"), "same-origin");
});
