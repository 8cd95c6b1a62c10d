/**
 * Verifies access tokens against the issuer's keys: algorithms pinned, issuer and audience checked,
 * keys refetched when an unknown one appears. Needs the package `jose`.
 */

import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from "jose";
import {
  bearerToken,
  type Identity,
  identityOfClaims,
  KeysUnavailable,
  Unauthenticated,
  type UnauthenticatedCode,
} from "./claims.ts";

/** Asymmetric only: with a shared secret every service could make tokens, with `none` everybody. */
export const ALGORITHMS: readonly string[] = ["RS256", "ES256"];

/** The issuer's keys: cached, and for an unknown key id asked for anew at most every 10 s. */
export function remoteKeys(jwksUrl: string, timeoutMs = 3_000): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(jwksUrl), {
    cooldownDuration: 10_000,
    cacheMaxAge: 600_000,
    timeoutDuration: timeoutMs,
  });
}

export type VerifierOptions = {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: JWTVerifyGetKey;
  readonly algorithms?: readonly string[];
  readonly tenantClaim?: string;
  readonly onlyTenant?: string;
  readonly leewayS?: number;
};

/** Turns an `Authorization` header into an identity; the one place that decides about tokens. */
export class IdentityVerifier {
  readonly #options: VerifierOptions;

  constructor(options: VerifierOptions) {
    this.#options = options;
  }

  /**
   * The caller. `claimedTenant` (header `x-tenant-id`) must agree with the token if it is there.
   * Throws Unauthenticated, or KeysUnavailable when the issuer does not answer.
   */
  async verify(
    authorization: string | null | undefined,
    claimedTenant?: string | null,
  ): Promise<Identity> {
    const { issuer, audience, keys, algorithms = ALGORITHMS } = this.#options;
    const token = bearerToken(authorization);
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: [...algorithms],
        clockTolerance: this.#options.leewayS ?? 10,
        requiredClaims: ["exp", "iat", "sub"],
      });
      return identityOfClaims(payload, token, {
        tenantClaim: this.#options.tenantClaim ?? "tenant_id",
        onlyTenant: this.#options.onlyTenant ?? "",
        claimedTenant,
      });
    } catch (error) {
      throw translated(error);
    }
  }
}

function translated(error: unknown): Error {
  if (error instanceof Unauthenticated) return error;
  const code = codeOf(error);
  if (code !== undefined) return new Unauthenticated(code, { cause: error });
  return new KeysUnavailable({ cause: error });
}

function codeOf(error: unknown): UnauthenticatedCode | undefined {
  if (error instanceof errors.JWTExpired) return "token-expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "aud") return "audience";
    if (error.claim === "iss") return "issuer";
    return error.claim === "nbf" ? "not-yet-valid" : "token-malformed";
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return "algorithm";
  if (error instanceof errors.JWKSNoMatchingKey) return "key-unknown";
  if (error instanceof errors.JWKSMultipleMatchingKeys) return "key-unknown";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature";
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) {
    return "token-malformed";
  }
  return error instanceof errors.JOSENotSupported ? "algorithm" : undefined;
}
