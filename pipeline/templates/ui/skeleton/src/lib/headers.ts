/** The security headers of answers. Sources: CSP Level 3; OWASP Secure Headers Project. */

export type Header = { readonly key: string; readonly value: string };

/** What every answer carries, pages and files alike. */
export const STATIC_HEADERS: Header[] = [
  { key: "Strict-Transport-Security", value: "max-age=63072000; includeSubDomains" },
  { key: "X-Content-Type-Options", value: "nosniff" },
  { key: "X-Frame-Options", value: "DENY" },
  // Not `no-referrer`: that would turn the Origin of a form into `null`.
  { key: "Referrer-Policy", value: "same-origin" },
  { key: "Cross-Origin-Opener-Policy", value: "same-origin" },
  { key: "Cross-Origin-Resource-Policy", value: "same-origin" },
  { key: "Permissions-Policy", value: "camera=(), geolocation=(), microphone=(), payment=()" },
];

export type PolicyOptions = {
  readonly nonce: string;
  /** Where a form may end besides here: signing out redirects to the issuer. */
  readonly issuerOrigin: string;
  readonly secure: boolean;
  /** `next dev` evaluates code to reload it; a built UI never does. */
  readonly development: boolean;
};

/** The Content-Security-Policy of one answer. */
export function contentSecurityPolicy(options: PolicyOptions): string {
  const { nonce, issuerOrigin, secure, development } = options;
  const directives = [
    "default-src 'none'",
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'${development ? " 'unsafe-eval'" : ""}`,
    development ? "style-src 'self' 'unsafe-inline'" : `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    `form-action 'self' ${issuerOrigin}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "object-src 'none'",
  ];
  if (secure) directives.push("upgrade-insecure-requests");
  return directives.join("; ");
}

/** 128 bits that nobody can guess, anew for each answer (CSP Level 3, section 7.1). */
export function makeNonce(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64");
}
