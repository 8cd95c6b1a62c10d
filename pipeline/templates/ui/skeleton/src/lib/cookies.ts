/** Cookies that hold sealed values: their names, attributes, and values too long for one cookie. */

/** Browsers keep 4,096 bytes of name, value and attributes (RFC 6265, section 6.1). */
export const MAX_CHUNK_CHARACTERS = 3_600;
export const MAX_CHUNKS = 4;

export type CookieAttributes = {
  readonly httpOnly: true;
  readonly sameSite: "lax";
  readonly secure: boolean;
  readonly path: string;
  readonly maxAge: number;
};

export type CookieChange = {
  readonly name: string;
  readonly value: string;
  readonly maxAge: number;
};

/** `__Secure-` makes browsers refuse the cookie from anything but TLS. */
export function cookieName(
  purpose: "session" | "login",
  instance: string,
  secure: boolean,
): string {
  return `${secure ? "__Secure-" : ""}${instance}-${purpose}`;
}

/** Lax, since the issuer sends browsers back here; the prefix keeps other UIs from getting it. */
export function cookieAttributes(path: string, secure: boolean, maxAge: number): CookieAttributes {
  return { httpOnly: true, sameSite: "lax", secure, path, maxAge };
}

/**
 * What to set so that `name` holds `value`, and nothing of a longer value before is left; an empty
 * value removes it. `present` are the names that the browser sent. Throws RangeError.
 */
export function plannedCookies(
  name: string,
  value: string,
  maxAge: number,
  present: Iterable<string>,
): CookieChange[] {
  const chunks = value.match(new RegExp(`.{1,${MAX_CHUNK_CHARACTERS}}`, "gs")) ?? [];
  if (chunks.length > MAX_CHUNKS) throw new RangeError("the session is too large for cookies");
  const set = chunks.map((chunk, index) => ({ name: `${name}.${index}`, value: chunk, maxAge }));
  const kept = new Set(set.map((change) => change.name));
  const removed = [...present]
    .filter((found) => found.startsWith(`${name}.`) && !kept.has(found))
    .map((found) => ({ name: found, value: "", maxAge: 0 }));
  return [...set, ...removed];
}

/** The value that `plannedCookies` spread; empty when there is none. */
export function joinedCookies(name: string, read: (name: string) => string | undefined): string {
  let value = "";
  for (let index = 0; index < MAX_CHUNKS; index += 1) {
    const chunk = read(`${name}.${index}`);
    if (chunk === undefined || chunk === "") break;
    value += chunk;
  }
  return value;
}
