import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, isHealthPath, isPublicPath, safeReturnPath } from "#src/lib/addresses.ts";

for (const path of ["/", "/primitives/order-router", "/?page_token=a%20b", "/a?b=/c//d"]) {
  test(`${path} is gone back to`, () => {
    assert.equal(safeReturnPath(path), path);
  });
}

for (const path of [
  null,
  "",
  "primitives",
  "//evil.example.invalid",
  "/\\evil.example.invalid",
  "/..//evil.example.invalid",
  "/a/..//evil.example.invalid",
  "/%2e%2e//evil.example.invalid",
  "https://evil.example.invalid/",
  "javascript:alert(1)",
  "/\tevil",
  "/\n/evil.example.invalid",
  "/a b",
  `/${"a".repeat(3_000)}`,
  "/auth/login?return_to=/",
  "/auth/logout",
  "/x/../auth/login",
]) {
  test(`${JSON.stringify(path)?.slice(0, 40)} is not gone back to`, () => {
    assert.equal(safeReturnPath(path), "/");
  });
}

test("addresses are made below the prefix of the public origin", () => {
  const origin = "https://workspace.example.invalid";
  assert.equal(addressOf(origin, "/acme/orders", "/").href, `${origin}/acme/orders`);
  assert.equal(
    addressOf(origin, "/acme/orders", "/auth/callback").href,
    `${origin}/acme/orders/auth/callback`,
  );
});

test("only signing in, signing out and health are public", () => {
  for (const path of ["/", "/primitives/x", "/healthz/x", "/auth/loginx", "/auth"]) {
    assert.equal(isPublicPath(path), false, path);
  }
  assert.ok(isPublicPath("/auth/callback") && isPublicPath("/healthz"));
  assert.ok(isHealthPath("/readyz") && !isHealthPath("/signed-out"));
});
