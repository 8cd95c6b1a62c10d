/** What happens once before the first request. */

import { keepFrom, log } from "./log.ts";
import { services } from "./services.ts";

const EX_CONFIG = 78; // sysexits.h

/** Reads the settings, and ends the process when they are unusable. */
export function started(): void {
  try {
    const { settings } = services();
    keepFrom(settings.logLevel);
    log("INFO", "started", { public_origin: settings.publicOrigin });
  } catch (error) {
    log("ERROR", error instanceof Error ? error.message : "settings are unusable");
    process.exit(EX_CONFIG);
  }
}
