import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingsError } from "#sdk/settings.ts";
import { readUiSettings } from "#src/lib/settings.ts";

const KEY = Buffer.alloc(32, 7).toString("base64url");
const ENVIRONMENT = {
  PUBLIC_ORIGIN: "https://workspace.example.invalid",
  PLATFORM_API_URL: "https://api.example.invalid",
  TOKEN_ISSUER: "https://id.example.invalid/realms/main",
  TOKEN_AUDIENCE: "platform-api",
  TOKEN_JWKS_URL: "https://id.example.invalid/realms/main/certs",
  OIDC_CLIENT_ID: "platform-ui",
  SESSION_KEYS: KEY,
};

test("the settings of a cluster are read", () => {
  const settings = readUiSettings(ENVIRONMENT);
  assert.equal(settings.secure, true);
  assert.equal(settings.apiTimeoutMs, 5_000);
  assert.equal(settings.onlyTenant, "");
  assert.equal(settings.sessionKeys.length, 1);
});

test("a new key goes first and the old one still opens", () => {
  const second = Buffer.alloc(32, 8).toString("base64url");
  const settings = readUiSettings({ ...ENVIRONMENT, SESSION_KEYS: `${second}, ${KEY}` });
  assert.deepEqual(
    settings.sessionKeys.map((key) => key[0]),
    [8, 7],
  );
});

for (const keys of ["", "short", `${KEY},${KEY},${KEY}`, "A".repeat(44)]) {
  test(`the keys ${JSON.stringify(keys).slice(0, 12)} are refused`, () => {
    assert.throws(() => readUiSettings({ ...ENVIRONMENT, SESSION_KEYS: keys }), SettingsError);
  });
}

test("cookies are bound to TLS but on this machine", () => {
  const local = readUiSettings({ ...ENVIRONMENT, PUBLIC_ORIGIN: "http://127.0.0.1:3000" });
  assert.equal(local.secure, false);
});

for (const name of Object.keys(ENVIRONMENT)) {
  test(`${name} is asked for`, () => {
    assert.throws(
      () => readUiSettings({ ...ENVIRONMENT, [name]: undefined }),
      (error) => error instanceof SettingsError && error.message.includes(`${name} is missing`),
    );
  });
}
