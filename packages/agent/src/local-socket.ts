import { openSync } from "node:fs";

/** In the state directory: whoever may enter it (mode 0700) may stop and ask without a token. */
const localSocket = "agent.sock";

/**
 * The path to give to bind(2) and connect(2), which take 107 bytes only: a state directory may lie deeper than that. Opens the directory for the
 * life of the process.
 */
export function socketPath(stateDirectory: string): string {
  const path = `${stateDirectory}/${localSocket}`;
  return Buffer.byteLength(path) <= 107
    ? path
    : `/proc/self/fd/${openSync(stateDirectory, "r")}/${localSocket}`;
}
