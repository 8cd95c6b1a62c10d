/** Sessions and pending logins, sealed so that only this UI can read or make them. */

import { EncryptJWT, jwtDecrypt } from "jose";

/** What a signed-in browser holds. Tokens never reach its scripts. */
export type Session = {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly idToken: string;
  /** What to call the person; shown, never decided by. */
  readonly name: string;
  readonly expiresAtS: number;
  /** When the person must sign in anew, whatever the tokens say. */
  readonly endsAtS: number;
};

/** What must come back from the issuer, and where to go then. */
export type PendingLogin = {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly returnTo: string;
};

type Purpose = "session" | "login";

/** Seals with the first key and opens with any: authenticated encryption, bound to a purpose. */
export class Seal {
  readonly #keys: readonly Uint8Array[];
  readonly #instance: string;

  constructor(keys: readonly Uint8Array[], instance: string) {
    this.#keys = keys;
    this.#instance = instance;
  }

  async sealSession(session: Session): Promise<string> {
    return this.#seal("session", session, session.endsAtS);
  }

  async openSession(sealed: string): Promise<Session | undefined> {
    const found = await this.#open("session", sealed);
    if (found === undefined) return undefined;
    const { accessToken, refreshToken, idToken, name, expiresAtS, endsAtS } = found;
    const whole =
      areTexts(accessToken, refreshToken, idToken, name) &&
      typeof expiresAtS === "number" &&
      typeof endsAtS === "number";
    return whole ? (found as Session) : undefined;
  }

  async sealLogin(login: PendingLogin, endsAtS: number): Promise<string> {
    return this.#seal("login", login, endsAtS);
  }

  async openLogin(sealed: string): Promise<PendingLogin | undefined> {
    const found = await this.#open("login", sealed);
    if (found === undefined) return undefined;
    const { state, nonce, verifier, returnTo } = found;
    return areTexts(state, nonce, verifier, returnTo) ? (found as PendingLogin) : undefined;
  }

  async #seal(purpose: Purpose, content: object, endsAtS: number): Promise<string> {
    const [key] = this.#keys;
    if (key === undefined) throw new TypeError("there is no key to seal with");
    return new EncryptJWT({ content })
      .setProtectedHeader({ alg: "dir", enc: "A256GCM" })
      .setAudience(this.#audienceOf(purpose))
      .setIssuedAt()
      .setExpirationTime(endsAtS)
      .encrypt(key);
  }

  async #open(purpose: Purpose, sealed: string): Promise<Record<string, unknown> | undefined> {
    for (const key of this.#keys) {
      try {
        const { payload } = await jwtDecrypt(sealed, key, {
          audience: this.#audienceOf(purpose),
          keyManagementAlgorithms: ["dir"],
          contentEncryptionAlgorithms: ["A256GCM"],
          requiredClaims: ["exp"],
        });
        return payload.content as Record<string, unknown>;
      } catch {
        // Sealed with another key, ended, or made up: all the same as no session.
      }
    }
    return undefined;
  }

  #audienceOf(purpose: Purpose): string {
    return `${this.#instance}/${purpose}`;
  }
}

function areTexts(...values: unknown[]): boolean {
  return values.every((value) => typeof value === "string");
}
