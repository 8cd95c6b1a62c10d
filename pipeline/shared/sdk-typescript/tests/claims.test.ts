import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { bearerToken, identityOfClaims, Unauthenticated } from "../claims.ts";

const RULES = { tenantClaim: "tenant_id", onlyTenant: "" };
const CLAIMS = { sub: "7", tenant_id: "acme", scope: "openid profile" };

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof Unauthenticated, String(error));
    return error.code;
  }
  return "accepted";
}

test("a bearer token is taken from its header", () => {
  assert.equal(bearerToken("Bearer a.b.c"), "a.b.c");
  assert.equal(bearerToken("bearer  a.b."), "a.b.");
});

for (const [header, code] of [
  [undefined, "token-missing"],
  [null, "token-missing"],
  ["", "token-missing"],
  ["Basic a.b.c", "token-malformed"],
  ["Bearer a.b", "token-malformed"],
  ["Bearer a.b.c, Bearer d.e.f", "token-malformed"],
  ["Bearer a.b.c\r\nx: y", "token-malformed"],
  [`Bearer a.b.${"c".repeat(20_000)}`, "token-malformed"],
] as const) {
  test(`the header ${String(header).slice(0, 30)} is refused as ${code}`, () => {
    assert.equal(
      codeOf(() => bearerToken(header)),
      code,
    );
  });
}

test("the tenant is the token's", () => {
  const identity = identityOfClaims(CLAIMS, "t", { ...RULES, claimedTenant: "acme" });
  assert.equal(identity.tenantId, "acme");
  assert.deepEqual([...identity.scopes], ["openid", "profile"]);
});

test("roles are the realm's, and only texts", () => {
  const claims = { ...CLAIMS, realm_access: { roles: ["editor", 7] } };
  assert.deepEqual([...identityOfClaims(claims, "t", RULES).roles], ["editor"]);
});

for (const tenant of [undefined, "", 7, ["acme"], "Acme", "acme/../contoso", "a".repeat(41)]) {
  test(`the tenant ${JSON.stringify(tenant)?.slice(0, 20)} counts as missing`, () => {
    const claims = { ...CLAIMS, tenant_id: tenant };
    assert.equal(
      codeOf(() => identityOfClaims(claims, "t", RULES)),
      "tenant-missing",
    );
  });
}

test("a header that names another tenant is refused", () => {
  const rules = { ...RULES, claimedTenant: "contoso" };
  assert.equal(
    codeOf(() => identityOfClaims(CLAIMS, "t", rules)),
    "tenant-mismatch",
  );
});

test("another tenant than the only one is refused", () => {
  const rules = { ...RULES, onlyTenant: "contoso" };
  assert.equal(
    codeOf(() => identityOfClaims(CLAIMS, "t", rules)),
    "tenant-mismatch",
  );
});

test("an identity that is logged shows no token", () => {
  const identity = identityOfClaims(CLAIMS, "s3cret", RULES);
  assert.equal(identity.token, "s3cret");
  assert.ok(!JSON.stringify(identity).includes("s3cret"));
  assert.ok(!inspect(identity).includes("s3cret"));
});
