import assert from "node:assert/strict";
import { test } from "node:test";
import { decide, type GateInput } from "#src/lib/gate.ts";

const NOW = 1_000_000;

function decision(changes: Partial<GateInput> = {}): string {
  return decide({
    path: "/",
    method: "GET",
    navigates: true,
    session: { expiresAtS: NOW + 300, renewable: true },
    nowS: NOW,
    ...changes,
  });
}

test("a good session is served", () => {
  assert.equal(decision(), "serve");
});

test("a browser without a session is sent to sign in", () => {
  assert.equal(decision({ session: undefined }), "sign-in");
});

test("a script or a change without a session is refused", () => {
  assert.equal(decision({ session: undefined, navigates: false }), "refuse");
  assert.equal(decision({ session: undefined, method: "POST" }), "refuse");
});

test("public paths need no session", () => {
  assert.equal(decision({ session: undefined, path: "/auth/login" }), "serve");
  assert.equal(decision({ session: undefined, path: "/signed-out" }), "serve");
});

test("a token about to end is renewed before the page is made", () => {
  assert.equal(decision({ session: { expiresAtS: NOW + 30, renewable: true } }), "renew");
  assert.equal(decision({ session: { expiresAtS: NOW + 31, renewable: true } }), "serve");
});

test("a token that cannot be renewed means signing in", () => {
  assert.equal(decision({ session: { expiresAtS: NOW, renewable: false } }), "sign-in");
});
