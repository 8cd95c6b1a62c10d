import assert from "node:assert/strict";
import { test } from "node:test";
import { STATES } from "#sdk/platform.ts";
import { isKept, keepFrom, lineOf, reasonsOf } from "#src/lib/log.ts";
import { isPrimitiveId } from "#src/lib/names.ts";
import { PRIMITIVE } from "#src/lib/primitive.ts";
import { failureWords, STATE_WORDS, signedOutWords, timeWords } from "#src/lib/words.ts";

test("every state has its own words", () => {
  assert.equal(new Set(STATES.map((state) => STATE_WORDS[state].label)).size, STATES.length);
});

test("trying again is offered where it can help", () => {
  assert.equal(failureWords("unavailable").retry, true);
  assert.equal(failureWords("forbidden").retry, false);
});

test("the signed-out page shows known reasons only", () => {
  const plain = signedOutWords(undefined);
  for (const reason of ["<b>", "constructor", "__proto__", "toString"]) {
    assert.equal(signedOutWords(reason), plain);
  }
  assert.notEqual(signedOutWords("expired"), plain);
});

test("times are told in UTC", () => {
  assert.equal(timeWords(new Date("2030-01-02T03:04:05Z")), "2 Jan 2030, 03:04 UTC");
});

test("only names that can exist are asked for", () => {
  assert.ok(isPrimitiveId("order-router"));
  for (const id of ["", "..", "a/b", "A", "a--b", "a".repeat(41)]) assert.ok(!isPrimitiveId(id));
});

test("a log line is one line, and its fields cannot replace what it says", () => {
  const line = lineOf("INFO", "a\nb", { level: "ERROR", path: "x\r\ny" }, new Date(0));
  assert.ok(!/[\r\n]/.test(line));
  const read = JSON.parse(line);
  assert.equal(read.level, "INFO");
  assert.equal(read.primitive, PRIMITIVE.instance);
});

test("what is less important than the level is left out", () => {
  keepFrom("WARNING");
  assert.deepEqual([isKept("INFO"), isKept("WARNING"), isKept("ERROR")], [false, true, true]);
  keepFrom("INFO");
});

test("an error is logged by its name and causes, without their messages", () => {
  const cause = Object.assign(new TypeError("s3cret"), { code: "ECONNREFUSED" });
  const reasons = reasonsOf(new Error("s3cret", { cause }));
  assert.deepEqual(reasons, ["Error", "TypeError (ECONNREFUSED)"]);
});

test("the path prefix is absolute and has no last slash", () => {
  assert.match(PRIMITIVE.pathPrefix, /^(\/[a-z0-9]+(-[a-z0-9]+)*)+$/);
});
