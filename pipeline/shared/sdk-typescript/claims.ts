/** What a verified token says, and the codes by which a bad one is refused. No packages needed. */

/** Who calls and for which tenant. Made by `IdentityVerifier` only. */
export type Identity = {
  readonly subject: string;
  readonly tenantId: string;
  readonly roles: ReadonlySet<string>;
  readonly scopes: ReadonlySet<string>;
  readonly token: string;
};

/** The same codes as the Python twin's. */
export type UnauthenticatedCode =
  | "token-missing"
  | "token-malformed"
  | "token-expired"
  | "not-yet-valid"
  | "audience"
  | "issuer"
  | "algorithm"
  | "key-unknown"
  | "signature"
  | "tenant-missing"
  | "tenant-mismatch";

/** The caller proves nothing. The message holds no part of the token. */
export class Unauthenticated extends Error {
  readonly code: UnauthenticatedCode;

  constructor(code: UnauthenticatedCode, options?: ErrorOptions) {
    super(`not authenticated: ${code}`, options);
    this.name = "Unauthenticated";
    this.code = code;
  }
}

/** The issuer's keys cannot be read now, so nothing is known about the token. */
export class KeysUnavailable extends Error {
  constructor(options?: ErrorOptions) {
    super("the issuer's keys cannot be read", options);
    this.name = "KeysUnavailable";
  }
}

const TENANT_ID = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const MAX_TOKEN_CHARACTERS = 16_384;

/** The token of an `Authorization: Bearer` header. Throws Unauthenticated. */
export function bearerToken(authorization: string | null | undefined): string {
  if (authorization === null || authorization === undefined || authorization === "") {
    throw new Unauthenticated("token-missing");
  }
  const match = /^Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)$/i.exec(authorization);
  const token = match?.[1];
  if (token === undefined || token.length > MAX_TOKEN_CHARACTERS) {
    throw new Unauthenticated("token-malformed");
  }
  return token;
}

/** What decides about the tenant besides the token itself. */
export type TenantRules = {
  readonly tenantClaim: string;
  readonly onlyTenant: string;
  /** What a header says; it may agree and decides nothing. */
  readonly claimedTenant?: string | null | undefined;
};

/** The identity in claims whose signature was verified before. Throws Unauthenticated. */
export function identityOfClaims(
  claims: Readonly<Record<string, unknown>>,
  token: string,
  rules: TenantRules,
): Identity {
  const subject = claims.sub;
  if (typeof subject !== "string" || subject === "") throw new Unauthenticated("token-malformed");
  const tenantId = claims[rules.tenantClaim];
  if (typeof tenantId !== "string" || tenantId.length > 40 || !TENANT_ID.test(tenantId)) {
    throw new Unauthenticated("tenant-missing");
  }
  const { claimedTenant, onlyTenant } = rules;
  if (onlyTenant !== "" && onlyTenant !== tenantId) throw new Unauthenticated("tenant-mismatch");
  if (claimedTenant !== null && claimedTenant !== undefined && claimedTenant !== tenantId) {
    throw new Unauthenticated("tenant-mismatch");
  }
  const scope = claims.scope;
  const known = {
    subject,
    tenantId,
    roles: new Set(rolesOf(claims)),
    scopes: new Set(typeof scope === "string" ? scope.split(" ").filter(Boolean) : []),
  };
  // Not enumerable: a logged identity does not hold the token.
  const identity = Object.defineProperty(known, "token", { value: token, enumerable: false });
  return Object.freeze(identity as typeof known & { token: string });
}

function rolesOf(claims: Readonly<Record<string, unknown>>): string[] {
  // Keycloak keeps realm roles here.
  const access = claims.realm_access;
  const roles = typeof access === "object" && access !== null && "roles" in access && access.roles;
  return Array.isArray(roles) ? roles.filter((role) => typeof role === "string") : [];
}
