import assert from "node:assert/strict";
import { test } from "node:test";
import {
  choice,
  list,
  readSettings,
  SettingsError,
  secureOrigin,
  secureUrl,
  text,
  variableOf,
  wholeNumber,
} from "../settings.ts";

const SHAPE = {
  tokenIssuer: secureUrl(),
  onlyTenant: text(""),
  timeoutMs: wholeNumber(1, 10, 5),
  logLevel: choice(["INFO", "ERROR"], "INFO"),
  scopes: list([]),
};

test("a field reads the variable of its name", () => {
  assert.equal(variableOf("tokenJwksUrl"), "TOKEN_JWKS_URL");
});

test("values are typed, and what is absent or empty has its fallback", () => {
  const read = readSettings(SHAPE, {
    TOKEN_ISSUER: "https://id.example.invalid/realms/main/",
    TIMEOUT_MS: "7",
    LOG_LEVEL: "",
    SCOPES: "a, b,,c",
  });
  assert.deepEqual(read, {
    tokenIssuer: "https://id.example.invalid/realms/main",
    onlyTenant: "",
    timeoutMs: 7,
    logLevel: "INFO",
    scopes: ["a", "b", "c"],
  });
  assert.throws(() => Object.assign(read, { timeoutMs: 1 }), TypeError);
});

test("all problems are told at once, without the values", () => {
  const environment = { TIMEOUT_MS: "s3cret", LOG_LEVEL: "s3cret" };
  assert.throws(
    () => readSettings(SHAPE, environment),
    (error) => {
      assert.ok(error instanceof SettingsError);
      assert.deepEqual(error.problems, [
        "TOKEN_ISSUER is missing",
        "TIMEOUT_MS must be a whole number from 1 to 10",
        "LOG_LEVEL must be one of INFO, ERROR",
      ]);
      assert.ok(!error.message.includes("s3cret"));
      return true;
    },
  );
});

for (const value of ["0", "11", "1.5", "-1", "0x5", "5 ", "１"]) {
  test(`the number ${JSON.stringify(value)} is judged by its bounds and digits`, () => {
    const read = () => readSettings({ n: wholeNumber(1, 10) }, { N: value });
    if (value.trim() === "5") assert.equal(read().n, 5);
    else assert.throws(read, SettingsError);
  });
}

for (const value of [
  "http://id.example.invalid",
  "https://user:word@id.example.invalid",
  "https://id.example.invalid/?a=b",
  "https://id.example.invalid/#a",
  "ftp://127.0.0.1",
  "javascript:alert(1)",
  "id.example.invalid",
]) {
  test(`credentials do not go to ${value}`, () => {
    assert.throws(() => readSettings({ a: secureUrl() }, { A: value }), SettingsError);
  });
}

test("http is for this machine alone", () => {
  assert.equal(
    readSettings({ a: secureUrl() }, { A: "http://127.0.0.1:8080/x" }).a,
    "http://127.0.0.1:8080/x",
  );
});

test("an origin has no path", () => {
  assert.equal(
    readSettings({ a: secureOrigin() }, { A: "https://x.example.invalid" }).a,
    "https://x.example.invalid",
  );
  assert.throws(
    () => readSettings({ a: secureOrigin() }, { A: "https://x.example.invalid/y" }),
    SettingsError,
  );
});
