import { closeSync, openSync, readSync } from "node:fs";

/**
 * Bytes from the kernel's own source. `node:crypto` reads the same one, but loading it takes longer than all that an agent does before it
 * executes its application; it is loaded only where `/dev` is not there.
 */
export function randomBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  let file: number;
  try {
    file = openSync("/dev/urandom", "r");
  } catch {
    return process.getBuiltinModule("node:crypto").randomBytes(count);
  }
  try {
    if (readSync(file, bytes) !== count)
      throw new Error("cannot make random bytes: /dev/urandom gave too few");
  } finally {
    closeSync(file);
  }
  return bytes;
}
