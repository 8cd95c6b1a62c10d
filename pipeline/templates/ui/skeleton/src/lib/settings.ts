/** The settings of this UI, read once from the environment. */

import {
  choice,
  readSettings,
  SettingsError,
  type SettingsOf,
  secureOrigin,
  secureUrl,
  text,
  wholeNumber,
} from "#sdk/settings.ts";

const SHAPE = {
  /** Where browsers find it; every address that leaves it is made from this, never from a header. */
  publicOrigin: secureOrigin(),
  platformApiUrl: secureOrigin(),
  apiTimeoutMs: wholeNumber(100, 30_000, 5_000),
  tokenIssuer: secureUrl(),
  tokenAudience: text(),
  tokenJwksUrl: secureUrl(),
  oidcClientId: text(),
  oidcClientSecret: text(""),
  onlyTenant: text(""),
  /** One or two keys, newest first: the first seals, all open. So a key can be replaced. */
  sessionKeys: text(),
  sessionMaxS: wholeNumber(300, 86_400, 28_800),
  logLevel: choice(["DEBUG", "INFO", "WARNING", "ERROR"], "INFO"),
};

export type UiSettings = Omit<SettingsOf<typeof SHAPE>, "sessionKeys"> & {
  readonly sessionKeys: readonly Uint8Array[];
  /** Whether browsers reach it over TLS; false on this machine only. */
  readonly secure: boolean;
};

/** Throws SettingsError with all problems. */
export function readUiSettings(
  environment: Readonly<Record<string, string | undefined>>,
): UiSettings {
  const read = readSettings(SHAPE, environment);
  const keys = read.sessionKeys.split(",").map((key) => Buffer.from(key.trim(), "base64url"));
  if (keys.length > 2 || keys.some((key) => key.length !== 32)) {
    throw new SettingsError(["SESSION_KEYS must be one or two keys of 32 bytes in base64url"]);
  }
  const secure = new URL(read.publicOrigin).protocol === "https:";
  return Object.freeze({ ...read, sessionKeys: keys, secure });
}
