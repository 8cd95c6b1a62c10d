import assert from "node:assert/strict";
import { test } from "node:test";
import {
  cookieAttributes,
  cookieName,
  joinedCookies,
  MAX_CHUNK_CHARACTERS,
  MAX_CHUNKS,
  plannedCookies,
} from "#src/lib/cookies.ts";

function applied(jar: Map<string, string>, value: string): Map<string, string> {
  const after = new Map(jar);
  for (const change of plannedCookies("s", value, 60, jar.keys())) {
    if (change.maxAge === 0) after.delete(change.name);
    else after.set(change.name, change.value);
  }
  return after;
}

const joined = (jar: Map<string, string>) => joinedCookies("s", (name) => jar.get(name));

for (const length of [
  1,
  MAX_CHUNK_CHARACTERS,
  MAX_CHUNK_CHARACTERS + 1,
  4 * MAX_CHUNK_CHARACTERS,
]) {
  test(`a value of ${length} characters comes back whole`, () => {
    const value = Array.from({ length }, (_, index) => String(index % 10)).join("");
    const jar = applied(new Map([["other", "x"]]), value);
    assert.equal(joined(jar), value);
    assert.equal(jar.get("other"), "x");
    for (const part of jar.values()) assert.ok(part.length <= MAX_CHUNK_CHARACTERS);
  });
}

test("nothing of a longer value before is left", () => {
  const long = applied(new Map(), "a".repeat(3 * MAX_CHUNK_CHARACTERS));
  assert.equal(joined(applied(long, "b")), "b");
});

test("an empty value removes all of it, and nothing else", () => {
  const jar = applied(applied(new Map([["s-other.0", "x"]]), "a".repeat(9_000)), "");
  assert.deepEqual([...jar.keys()], ["s-other.0"]);
});

test("what no browser would keep is refused", () => {
  const value = "a".repeat(MAX_CHUNKS * MAX_CHUNK_CHARACTERS + 1);
  assert.throws(() => plannedCookies("s", value, 60, []), RangeError);
});

test("scripts and other paths do not get it, and TLS is demanded where there is TLS", () => {
  assert.deepEqual(cookieAttributes("/acme/orders", true, 60), {
    httpOnly: true,
    sameSite: "lax",
    secure: true,
    path: "/acme/orders",
    maxAge: 60,
  });
  assert.equal(cookieName("session", "orders", true), "__Secure-orders-session");
  assert.equal(cookieName("login", "orders", false), "orders-login");
});
