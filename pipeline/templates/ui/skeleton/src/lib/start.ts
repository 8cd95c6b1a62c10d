/** What happens once before the first request. */

import { log } from "./log.ts";
import { services } from "./services.ts";

const EX_CONFIG = 78; // sysexits.h

/** Reads the settings, and ends the process when they are unusable. */
export function started(): void {
  try {
    const { settings } = services();
    log("INFO", "started", { public_origin: settings.publicOrigin });
  } catch (error) {
    log("ERROR", error instanceof Error ? error.message : "settings are unusable");
    process.exit(EX_CONFIG);
  }
}
