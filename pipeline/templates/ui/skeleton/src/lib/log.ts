/** Logs: one JSON object a line on stdout. Never a token, a cookie or a body. */

import { PRIMITIVE } from "./primitive.ts";

type Level = "INFO" | "WARNING" | "ERROR";

/** Writes one line. */
export function log(level: Level, message: string, fields: Record<string, unknown> = {}): void {
  process.stdout.write(`${lineOf(level, message, fields, new Date())}\n`);
}

/** The line, with control characters escaped by JSON. */
export function lineOf(
  level: Level,
  message: string,
  fields: Record<string, unknown>,
  at: Date,
): string {
  const head = { time: at.toISOString(), level, message, primitive: PRIMITIVE.instance };
  return JSON.stringify({ ...fields, ...head });
}

/** What an error is called, and its causes: their messages may hold what nobody should log. */
export function reasonsOf(error: unknown): string[] {
  const names: string[] = [];
  for (let at = error; at instanceof Error && names.length < 5; at = at.cause) {
    const code = "code" in at && typeof at.code === "string" ? ` (${at.code})` : "";
    names.push(`${at.name}${code}`);
  }
  return names;
}
