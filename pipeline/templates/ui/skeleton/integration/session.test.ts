/** Sealed cookies. Needs the package `jose`. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Seal, type Session } from "#src/lib/session.ts";

const KEY = Buffer.alloc(32, 1);
const nowS = () => Math.floor(Date.now() / 1000);
const seal = new Seal([KEY], "orders");

function session(changes: Partial<Session> = {}): Session {
  return {
    accessToken: "access",
    refreshToken: "refresh",
    idToken: "id",
    name: "A person",
    expiresAtS: nowS() + 60,
    endsAtS: nowS() + 600,
    ...changes,
  };
}

const LOGIN = { state: "s", nonce: "n", verifier: "v", returnTo: "/" };

test("a session comes back as it was", async () => {
  const made = session();
  assert.deepEqual(await seal.openSession(await seal.sealSession(made)), made);
});

test("what a browser holds tells nothing", async () => {
  const sealed = await seal.sealSession(session({ accessToken: "s3cret" }));
  for (const part of sealed.split(".")) {
    assert.ok(!Buffer.from(part, "base64url").includes("s3cret"));
  }
});

test("a changed session is none", async () => {
  const sealed = await seal.sealSession(session());
  const parts = sealed.split(".");
  const body = parts[3] ?? "";
  parts[3] = `${body.startsWith("A") ? "B" : "A"}${body.slice(1)}`;
  assert.equal(await seal.openSession(parts.join(".")), undefined);
});

test("a session that ended is none", async () => {
  const sealed = await seal.sealSession(session({ endsAtS: nowS() - 1 }));
  assert.equal(await seal.openSession(sealed), undefined);
});

test("another UI's session is none, even under the same key", async () => {
  const sealed = await new Seal([KEY], "invoices").sealSession(session());
  assert.equal(await seal.openSession(sealed), undefined);
});

test("a pending login is no session, and a session no pending login", async () => {
  const login = await seal.sealLogin(LOGIN, nowS() + 60);
  assert.deepEqual(await seal.openLogin(login), LOGIN);
  assert.equal(await seal.openSession(login), undefined);
  assert.equal(await seal.openLogin(await seal.sealSession(session())), undefined);
});

test("after a key was replaced the old one still opens, and then no more", async () => {
  const fresh = Buffer.alloc(32, 2);
  const sealed = await seal.sealSession(session());
  assert.ok(await new Seal([fresh, KEY], "orders").openSession(sealed));
  assert.equal(await new Seal([fresh], "orders").openSession(sealed), undefined);
});

test("what is no sealed value is no session", async () => {
  for (const text of ["", "x", "a.b.c.d.e", "eyJhbGciOiJub25lIn0.e30."]) {
    assert.equal(await seal.openSession(text), undefined);
  }
});
