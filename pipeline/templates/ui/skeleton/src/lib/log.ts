/** Logs: one JSON object a line on stdout. Never a token, a cookie or a body. */

import { PRIMITIVE } from "./primitive.ts";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"] as const;

export type Level = (typeof LEVELS)[number];

let least: Level = "INFO";

/** Leaves out what is less important than `level` from now on. */
export function keepFrom(level: Level): void {
  least = level;
}

/** Whether a line of this level is written. */
export function isKept(level: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(least);
}

/** Writes one line. */
export function log(level: Level, message: string, fields: Record<string, unknown> = {}): void {
  if (isKept(level)) process.stdout.write(`${lineOf(level, message, fields, new Date())}\n`);
}

/** The line, with control characters escaped by JSON; what it always says cannot be replaced. */
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
