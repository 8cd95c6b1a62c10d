/** The parts that live as long as the process, made when they are first needed. */

import { ApiClient } from "#sdk/api.ts";
import { IdentityVerifier, remoteKeys } from "#sdk/identity.ts";
import { PlatformApi } from "#sdk/platform.ts";
import { keepFrom } from "./log.ts";
import { OidcClient } from "./oidc.ts";
import { PRIMITIVE } from "./primitive.ts";
import { Seal } from "./session.ts";
import { readUiSettings, type UiSettings } from "./settings.ts";

export type Services = {
  readonly settings: UiSettings;
  readonly verifier: IdentityVerifier;
  readonly oidc: OidcClient;
  readonly seal: Seal;
  readonly api: PlatformApi;
};

let made: Services | undefined;

/** Throws SettingsError. Not made at import: a build has no settings. */
export function services(): Services {
  made ??= makeServices(readUiSettings(process.env));
  return made;
}

function makeServices(settings: UiSettings): Services {
  keepFrom(settings.logLevel);
  return Object.freeze({
    settings,
    verifier: new IdentityVerifier({
      issuer: settings.tokenIssuer,
      audience: settings.tokenAudience,
      keys: remoteKeys(settings.tokenJwksUrl),
      onlyTenant: settings.onlyTenant,
    }),
    oidc: new OidcClient(settings),
    seal: new Seal(settings.sessionKeys, PRIMITIVE.instance),
    api: new PlatformApi(
      new ApiClient({ origin: settings.platformApiUrl, timeoutMs: settings.apiTimeoutMs }),
    ),
  });
}
