import assert from "node:assert/strict";
import { test } from "node:test";
import { continueTrace, traceparentOf } from "../trace.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

test("a trace goes on with a span of its own", () => {
  const trace = continueTrace(`00-${TRACE}-${SPAN}-01`);
  assert.equal(trace.traceId, TRACE);
  assert.notEqual(trace.spanId, SPAN);
  assert.equal(traceparentOf(trace), `00-${TRACE}-${trace.spanId}-01`);
});

test("what is not sampled stays so", () => {
  assert.ok(traceparentOf(continueTrace(`00-${TRACE}-${SPAN}-00`)).endsWith("-00"));
});

test("a later version may say more", () => {
  assert.equal(continueTrace(`01-${TRACE}-${SPAN}-01-more`).traceId, TRACE);
});

for (const header of [
  null,
  "",
  "x",
  `ff-${TRACE}-${SPAN}-01`,
  `00-${"0".repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${"0".repeat(16)}-01`,
  `00-${TRACE}-${SPAN}-01-more`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-01\r\nx: y`,
]) {
  test(`${JSON.stringify(header)} starts a new trace`, () => {
    const trace = continueTrace(header);
    assert.notEqual(trace.traceId, TRACE);
    assert.match(traceparentOf(trace), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });
}
