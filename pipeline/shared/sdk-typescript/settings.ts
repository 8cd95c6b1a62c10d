/**
 * Typed settings from the environment: `tokenIssuer` reads TOKEN_ISSUER. All problems are told at
 * once, and values are never part of a message, since some of them are secrets.
 */

/** How one variable is read; without a fallback it is required. */
export type Reader<T> = { readonly read: (text: string) => T; readonly fallback?: T };

type Shape = Readonly<Record<string, Reader<unknown>>>;

/** The values that a shape of readers gives. */
export type SettingsOf<S extends Shape> = {
  readonly [K in keyof S]: S[K] extends Reader<infer T> ? T : never;
};

/** The environment holds no usable settings; `problems` names each variable and what is wrong. */
export class SettingsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`settings are unusable: ${problems.join("; ")}`);
    this.name = "SettingsError";
    this.problems = problems;
  }
}

/** Frozen settings. Throws SettingsError. An empty variable counts as absent. */
export function readSettings<S extends Shape>(
  shape: S,
  environment: Readonly<Record<string, string | undefined>>,
): SettingsOf<S> {
  const problems: string[] = [];
  const found: Record<string, unknown> = {};
  for (const [field, reader] of Object.entries(shape)) {
    const name = variableOf(field);
    const text = environment[name]?.trim() ?? "";
    if (text === "") {
      if (reader.fallback === undefined) problems.push(`${name} is missing`);
      found[field] = reader.fallback;
      continue;
    }
    try {
      found[field] = reader.read(text);
    } catch (error) {
      problems.push(`${name} ${error instanceof Error ? error.message : "is malformed"}`);
    }
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return Object.freeze(found) as SettingsOf<S>;
}

/** The variable that a field reads. */
export function variableOf(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** Any text. */
export function text(fallback?: string): Reader<string> {
  return optional((value) => value, fallback);
}

/** One of the given words. */
export function choice<T extends string>(options: readonly T[], fallback?: T): Reader<T> {
  return optional((value) => {
    const found = options.find((option) => option === value);
    if (found === undefined) throw new Error(`must be one of ${options.join(", ")}`);
    return found;
  }, fallback);
}

/** A whole number within bounds, both included. */
export function wholeNumber(minimum: number, maximum: number, fallback?: number): Reader<number> {
  return optional((value) => {
    const number = Number(value);
    if (!/^\d{1,15}$/.test(value) || number < minimum || number > maximum) {
      throw new Error(`must be a whole number from ${minimum} to ${maximum}`);
    }
    return number;
  }, fallback);
}

/** Words separated by commas. */
export function list(fallback?: readonly string[]): Reader<readonly string[]> {
  return optional(
    (value) =>
      value
        .split(",")
        .map((word) => word.trim())
        .filter((word) => word !== ""),
    fallback,
  );
}

/** An address that credentials may go to: https, or http to this machine. Without a last slash. */
export function secureUrl(fallback?: string): Reader<string> {
  return optional((value) => checkedUrl(value).href.replace(/\/$/, ""), fallback);
}

/** As `secureUrl`, but scheme, host and port only. */
export function secureOrigin(fallback?: string): Reader<string> {
  return optional((value) => {
    const url = checkedUrl(value);
    if (url.pathname !== "/") throw new Error("must be an origin, without a path");
    return url.origin;
  }, fallback);
}

/** Whether the host is this machine, where http is as private as https. */
function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "127.0.0.1" || hostname === "[::1]";
}

function checkedUrl(value: string): URL {
  const url = URL.parse(value);
  if (url === null) throw new Error("is no address");
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new Error("must hold no credentials, query or fragment");
  }
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url.hostname))) {
    throw new Error("must use https");
  }
  return url;
}

function optional<T>(read: (text: string) => T, fallback: T | undefined): Reader<T> {
  return fallback === undefined ? { read } : { read, fallback };
}
