/** Tokens made by hand, good and bad. Needs the package `jose`. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import {
  base64url,
  createLocalJWKSet,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  SignJWT,
} from "jose";
import { KeysUnavailable, Unauthenticated } from "../claims.ts";
import { IdentityVerifier, remoteKeys } from "../identity.ts";

const ISSUER = "https://id.example.invalid/realms/main";
const AUDIENCE = "platform-api";
const now = () => Math.floor(Date.now() / 1000);

const rsa = await generateKeyPair("RS256", { extractable: true });
const other = await generateKeyPair("RS256", { extractable: true });
const jwkOf = async (key: CryptoKey, kid: string) => ({
  ...(await exportJWK(key)),
  kid,
  alg: "RS256",
  use: "sig",
});
const keys = createLocalJWKSet({ keys: [await jwkOf(rsa.publicKey, "one")] });
const verifier = new IdentityVerifier({ issuer: ISSUER, audience: AUDIENCE, keys });

type Options = {
  claims?: Record<string, unknown>;
  header?: { alg: string; kid?: string };
  key?: CryptoKey | Uint8Array;
};

async function token({ claims = {}, header, key = rsa.privateKey }: Options = {}): Promise<string> {
  const whole = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: "7",
    iat: now(),
    exp: now() + 60,
    tenant_id: "acme",
    ...claims,
  };
  const kept = Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined));
  return new SignJWT(kept).setProtectedHeader(header ?? { alg: "RS256", kid: "one" }).sign(key);
}

async function codeOf(text: string, claimedTenant?: string): Promise<string> {
  try {
    await verifier.verify(`Bearer ${text}`, claimedTenant);
  } catch (error) {
    assert.ok(error instanceof Unauthenticated, String(error));
    assert.ok(!error.message.includes(text));
    return error.code;
  }
  return "accepted";
}

test("a good token gives its identity", async () => {
  const identity = await verifier.verify(`Bearer ${await token()}`, "acme");
  assert.equal(identity.tenantId, "acme");
  assert.equal(identity.subject, "7");
});

for (const [what, claims, code] of [
  ["expired", { exp: now() - 60 }, "token-expired"],
  ["not valid yet", { nbf: now() + 60 }, "not-yet-valid"],
  ["for another audience", { aud: "other" }, "audience"],
  ["for no audience", { aud: undefined }, "audience"],
  ["of another issuer", { iss: "https://evil.example.invalid" }, "issuer"],
  ["without an end", { exp: undefined }, "token-malformed"],
  ["without a subject", { sub: undefined }, "token-malformed"],
  ["without a tenant", { tenant_id: undefined }, "tenant-missing"],
] as const) {
  test(`a token ${what} is refused as ${code}`, async () => {
    assert.equal(await codeOf(await token({ claims })), code);
  });
}

test("a header that names another tenant is refused", async () => {
  assert.equal(await codeOf(await token(), "contoso"), "tenant-mismatch");
});

test("a token of an unknown key is refused", async () => {
  const made = { header: { alg: "RS256", kid: "two" }, key: other.privateKey };
  assert.equal(await codeOf(await token(made)), "key-unknown");
});

test("a token of another key under a known id is refused", async () => {
  assert.equal(await codeOf(await token({ key: other.privateKey })), "signature");
});

test("a changed token is refused", async () => {
  const [head, body, signature] = (await token()).split(".");
  const claims = JSON.parse(new TextDecoder().decode(base64url.decode(body ?? "")));
  const forged = base64url.encode(JSON.stringify({ ...claims, tenant_id: "contoso" }));
  assert.equal(await codeOf(`${head}.${forged}.${signature}`), "signature");
});

test("`alg: none` is refused", async () => {
  const head = base64url.encode(JSON.stringify({ alg: "none", kid: "one" }));
  const [, body] = (await token()).split(".");
  assert.equal(await codeOf(`${head}.${body}.`), "algorithm");
});

test("HS256 with the public key as the secret is refused", async () => {
  const secret = new TextEncoder().encode(await exportSPKI(rsa.publicKey));
  const made = { header: { alg: "HS256", kid: "one" }, key: secret };
  assert.equal(await codeOf(await token(made)), "algorithm");
});

test("an algorithm that is not pinned is refused", async () => {
  const made = {
    header: { alg: "PS256", kid: "one" },
    key: (await generateKeyPair("PS256")).privateKey,
  };
  assert.equal(await codeOf(await token(made)), "algorithm");
});

test("what is no token is refused", async () => {
  assert.equal(await codeOf("a.b.c"), "token-malformed");
});

test("a key that the issuer adds is found, and one that it drops is not", async () => {
  let served = [await jwkOf(rsa.publicKey, "one")];
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ keys: served }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/certs`;
  const rotating = () =>
    new IdentityVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: remoteKeys(url) });
  const first = rotating();
  await first.verify(`Bearer ${await token()}`);
  await first.verify(`Bearer ${await token()}`);
  assert.equal(asked, 1);

  served = [await jwkOf(other.publicKey, "two")];
  const fresh = `Bearer ${await token({ header: { alg: "RS256", kid: "two" }, key: other.privateKey })}`;
  // Just asked: a stream of made-up key ids must not become a stream of requests.
  await assert.rejects(first.verify(fresh), Unauthenticated);
  assert.equal(asked, 1);
  const realNow = Date.now;
  Date.now = () => realNow() + 11_000;
  try {
    assert.equal((await first.verify(fresh)).tenantId, "acme");
    assert.equal(asked, 2);
    await assert.rejects(first.verify(`Bearer ${await token()}`), Unauthenticated);
  } finally {
    Date.now = realNow;
  }
});

test("an issuer that does not answer is no verdict about the token", async () => {
  const away = new IdentityVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    keys: remoteKeys("http://127.0.0.1:1/certs", 500),
  });
  await assert.rejects(away.verify(`Bearer ${await token()}`), KeysUnavailable);
});
