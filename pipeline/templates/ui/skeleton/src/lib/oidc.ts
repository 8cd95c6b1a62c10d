/**
 * Signing in at the issuer: authorization code with PKCE, done on the server by `openid-client`.
 * Sources: OpenID Connect Core 1.0; RP-Initiated Logout 1.0; RFC 9700.
 */

import * as client from "openid-client";
import { addressOf } from "./addresses.ts";
import { PRIMITIVE } from "./primitive.ts";
import type { PendingLogin, Session } from "./session.ts";
import type { UiSettings } from "./settings.ts";

/** The issuer refused, or what came back was not what was asked for. */
export class SignInFailed extends Error {
  constructor(options?: ErrorOptions) {
    super("the issuer's answer was refused", options);
    this.name = "SignInFailed";
  }
}

const TIMEOUT_S = 5;
const RENEWAL_KEPT_MS = 10_000;

export class OidcClient {
  readonly #settings: UiSettings;
  #discovered: Promise<client.Configuration> | undefined;
  readonly #renewals = new Map<string, Promise<Session>>();

  constructor(settings: UiSettings) {
    this.#settings = settings;
  }

  /** The issuer's metadata: asked for once, and again after a failure. */
  async configuration(): Promise<client.Configuration> {
    this.#discovered ??= this.#discover().catch((error: unknown) => {
      this.#discovered = undefined;
      throw error;
    });
    return this.#discovered;
  }

  async #discover(): Promise<client.Configuration> {
    const { tokenIssuer, oidcClientId, oidcClientSecret } = this.#settings;
    const issuer = new URL(tokenIssuer);
    const execute = [client.enableNonRepudiationChecks];
    // Settings allow http for this machine only.
    if (issuer.protocol === "http:") execute.push(client.allowInsecureRequests);
    return client.discovery(
      issuer,
      oidcClientId,
      undefined,
      oidcClientSecret === "" ? client.None() : client.ClientSecretBasic(oidcClientSecret),
      { execute, timeout: TIMEOUT_S },
    );
  }

  /** Where to send the browser, and what to remember until it comes back. */
  async begin(returnTo: string): Promise<{ url: URL; login: PendingLogin }> {
    const configuration = await this.configuration();
    const login = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      returnTo,
    };
    const url = client.buildAuthorizationUrl(configuration, {
      redirect_uri: this.#address("/auth/callback").href,
      scope: [...new Set(["openid", ...PRIMITIVE.scopes])].join(" "),
      state: login.state,
      nonce: login.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(login.verifier),
      code_challenge_method: "S256",
    });
    return { url, login };
  }

  /** The session that the issuer's answer gives. Throws SignInFailed. */
  async finish(query: URLSearchParams, login: PendingLogin, nowS: number): Promise<Session> {
    const address = this.#address("/auth/callback");
    address.search = query.toString();
    try {
      const tokens = await client.authorizationCodeGrant(await this.configuration(), address, {
        pkceCodeVerifier: login.verifier,
        expectedState: login.state,
        expectedNonce: login.nonce,
        idTokenExpected: true,
      });
      return sessionOf(tokens, nowS, nowS + this.#settings.sessionMaxS);
    } catch (error) {
      throw new SignInFailed({ cause: error });
    }
  }

  /**
   * The session with a new access token. Throws SignInFailed. An issuer may accept a refresh token
   * only once, so requests that come together, or that left before the browser had the new
   * session, share one renewal.
   */
  async renew(session: Session, nowS: number): Promise<Session> {
    const before = this.#renewals.get(session.refreshToken);
    if (before !== undefined) return before;
    const renewal = this.#renew(session, nowS);
    this.#renewals.set(session.refreshToken, renewal);
    const forget = () => this.#renewals.delete(session.refreshToken);
    renewal.then(() => setTimeout(forget, RENEWAL_KEPT_MS).unref(), forget);
    return renewal;
  }

  async #renew(session: Session, nowS: number): Promise<Session> {
    try {
      const tokens = await client.refreshTokenGrant(
        await this.configuration(),
        session.refreshToken,
      );
      return sessionOf(tokens, nowS, session.endsAtS, session);
    } catch (error) {
      throw new SignInFailed({ cause: error });
    }
  }

  /** Where to send the browser so that the issuer's own session ends, too. */
  async end(idToken: string | undefined): Promise<URL> {
    return client.buildEndSessionUrl(await this.configuration(), {
      post_logout_redirect_uri: this.#address("/signed-out").href,
      ...(idToken ? { id_token_hint: idToken } : {}),
    });
  }

  #address(path: string): URL {
    return addressOf(this.#settings.publicOrigin, PRIMITIVE.pathPrefix, path);
  }
}

type Tokens = client.TokenEndpointResponse & client.TokenEndpointResponseHelpers;

function sessionOf(tokens: Tokens, nowS: number, endsAtS: number, before?: Session): Session {
  const claims = tokens.claims();
  const named = claims?.name ?? claims?.preferred_username ?? before?.name;
  return {
    accessToken: tokens.access_token,
    refreshToken: tokens.refresh_token ?? before?.refreshToken ?? "",
    idToken: tokens.id_token ?? before?.idToken ?? "",
    name: typeof named === "string" ? named.slice(0, 100) : "",
    expiresAtS: nowS + (tokens.expiresIn() ?? 60),
    endsAtS,
  };
}
